"""The rates from which docs/scale.md extrapolates: images listed, headers read, rows predicted; bytes of each.

    python benchmarks/scale_rates.py [--images 20000] [--rows 20000] [--features 1280] [--clusters 100]

Processor seconds of one process, one thread where torch computes; the images are JPEG of 160 pixels, in a folder, in a
tar archive and in a Parquet table. Memory is what Python allocates for each image.
"""

import argparse
import io
import os
import tarfile
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pyarrow import parquet

from ruc.doors.predict import Request
from ruc.images.reading import READING
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.pipeline import run_to_folder
from ruc.scale.images import image_shards
from ruc.scale.predicting import PredictShard
from ruc.settings import make_settings


def seconds_of(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the processor seconds that it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def make_images(folder: Path, n_images: int) -> None:
    """The same picture many times, three ways."""
    buffer, noise = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    content, names = buffer.getvalue(), [f"{number:07}.jpg" for number in range(n_images)]
    (folder / "folder").mkdir()
    with tarfile.open(folder / "archive.tar", "w") as archive:
        for name in names:
            (folder / "folder" / name).write_bytes(content)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    table = pa.table({"file_name": names, "image": [content] * n_images})
    parquet.write_table(table, folder / "table.parquet", row_group_size=1000)


def listing(folder: Path, n_images: int) -> None:
    """Print the rates of each kind of source, and the memory of one."""
    for name in ("folder", "archive.tar", "table.parquet"):
        source, listed = seconds_of(lambda: find_images(folder / name))  # noqa: B023
        _, surveyed = seconds_of(lambda: survey(source, READING))  # noqa: B023
        print(
            f"{name}: {n_images / listed:,.0f} listed a second, {n_images / surveyed:,.0f} headers a second"
        )
    tracemalloc.start()
    source = find_images(folder / "archive.tar")
    held, peak = tracemalloc.get_traced_memory()
    shards = image_shards(source)
    handed = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    each = [f"{size / n_images:.0f}" for size in (held, peak, handed)]
    print(
        f"an image of an archive: {each[0]} B held, {each[1]} B while listing, {each[2]} B in {len(shards)} shards"
    )


def predicting(folder: Path, n_rows: int, n_features: int, n_clusters: int) -> None:
    """Print the rate of a worker, the second time it's asked, and bytes of a row."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (n_clusters, n_features))
    rows = centres[generator.integers(0, n_clusters, n_rows)] + generator.normal(0, 1, (n_rows, n_features))
    np.save(folder / "some.npy", rows[: max(4000, 20 * n_clusters)].astype(np.float32))
    given = {"features": str(folder / "some.npy"), "n_clusters": n_clusters, "base": "kmeans"}
    made = {**given, "output": str(folder / "run"), "refine": {"n_epochs": 1}}
    run_to_folder(make_settings(made), overwrite=False, verbose=False)
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).ravel()), n_features)
    parquet.write_table(pa.table({"embedding": column}), folder / "features.parquet")
    (folder / "out").mkdir()
    worker = PredictShard(
        folder / "out", Request(folder / "run", None, (str(folder / "features.parquet"),)), "cpu"
    )
    shard = {"number": 0, "path": os.fsencode(folder / "features.parquet"), "first": 0}
    worker(shard)
    _, seconds = seconds_of(lambda: worker(shard))
    read, written = (
        path.stat().st_size / n_rows
        for path in (folder / "features.parquet", next((folder / "out").iterdir()))
    )
    print(
        f"{n_rows / seconds:,.0f} rows predicted a second; {read:.0f} B read and {written:.1f} B written of each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--clusters", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        make_images(Path(place), arguments.images)
        listing(Path(place), arguments.images)
        predicting(Path(place), arguments.rows, arguments.features, arguments.clusters)


if __name__ == "__main__":
    main()
