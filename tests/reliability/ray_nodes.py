"""Take nodes of a Ray cluster, and the command itself, away at random moments of `ruc embed --ray` and `predict --ray`.

    python tests/reliability/ray_nodes.py                    ten nodes lost while embedding, ten while predicting
    python tests/reliability/ray_nodes.py --embed 2 --predict 2 --seed 7

A cluster of three nodes of one core runs on this machine; a killed node is replaced after the command. What is written
must be what an undisturbed command writes: features bit for bit, clusters the same, confidence to six digits. Then the
command is killed at random moments and given again, and a damaged shard of features has to be named.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

SHARD = 24  # images
N_IMAGES = 480
N_ROWS = 40_000  # of features, in shards of 1,000
COMMAND = f"from ruc.scale import images; images.SHARD_IMAGES = {SHARD}; from ruc.cli import main; main()"


def make_inputs(folder: Path) -> None:
    """Photographs of noise, of which two are damaged, and features in shards, of a matrix that a run is made of."""
    generator = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(N_IMAGES):
        content = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(content).save(folder / "photos" / f"{number:04}.png")
    for number in (7, 300):
        (folder / "photos" / f"{number:04}.png").write_bytes(b"damaged")
    centres = generator.normal(0, 3, (5, 64))
    rows = (centres[generator.integers(0, 5, N_ROWS)] + generator.normal(0, 1, (N_ROWS, 64))).astype(
        np.float32
    )
    np.save(folder / "some.npy", rows[:2000])
    (folder / "features").mkdir()
    for number, part in enumerate(np.split(rows, N_ROWS // 1000)):
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), 64)
        parquet.write_table(pa.table({"embedding": column}), folder / "features" / f"{number:03}.parquet")


def same_features(one: Path, other: Path) -> bool:
    """Names, features and hashes, bit for bit."""
    return parquet.read_table(one).equals(parquet.read_table(other))


def same_predictions(one: Path, other: Path) -> bool:
    """Names and clusters the same, the numbers to six digits."""
    first, second = parquet.read_table(one), parquet.read_table(other)
    return all(first.column(name).equals(second.column(name)) for name in ("file_name", "cluster")) and all(
        np.allclose(first.column(name).to_numpy(), second.column(name).to_numpy(), atol=1e-6)
        for name in ("confidence", "novelty")
    )


def lose_nodes(
    cluster: Any,
    n_kills: int,
    seed: int,
    write: Callable[[Path], None],
    folder: Path,
    same: Callable[[Path, Path], bool],
) -> int:
    """How many of the commands, each of which lost a node at a random moment, wrote something else."""
    draw = random.Random(seed)
    started = time.monotonic()
    write(folder / "undisturbed")
    duration, wrong = time.monotonic() - started, 0
    print(f"undisturbed: {duration:.0f} s")
    for kill in range(n_kills):
        node, moment = draw.choice(cluster.list_all_nodes()[1:]), draw.uniform(0, duration)
        ended = threading.Event()

        def strike(node: Any = node, moment: float = moment, ended: threading.Event = ended) -> None:
            if not ended.wait(moment):
                cluster.remove_node(node, allow_graceful=False)

        thread = threading.Thread(target=strike)
        thread.start()
        try:
            write(folder / f"kill-{kill}")
        finally:
            was_killed = not thread.is_alive()
            ended.set()
            thread.join()
        is_same = same(folder / "undisturbed", folder / f"kill-{kill}")
        left = [path.name for path in folder.glob(".*")]
        wrong += not is_same or bool(left)
        said = "" if was_killed else " (the command had ended)"
        print(
            f"kill {kill} after {moment:.1f} s{said}: {'the same' if is_same else 'NOT THE SAME'} {left or ''}",
            flush=True,
        )
        if was_killed:
            cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
    return wrong


def stop_command(
    arguments: list[str], n_stops: int, seed: int, output: Path, same: Callable[[Path], bool]
) -> int:
    """How many times a command that was killed and given again wrote something else."""
    draw, wrong = random.Random(seed), 0
    unfinished = output.with_name(f".{output.name}.unfinished")
    command = [sys.executable, "-c", COMMAND, *arguments, "-o", str(output)]
    for stop in range(n_stops):
        n_before = draw.randrange(1, 8)  # shards that are done when it's killed
        process = subprocess.Popen(command, start_new_session=True)
        while process.poll() is None and len(list(unfinished.rglob("part-*"))) < n_before:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = {path.name: path.stat().st_mtime_ns for path in unfinished.rglob("part-*")}
        subprocess.run(command, check=True, capture_output=True)
        again = [name for name, when in kept.items() if (output / name).stat().st_mtime_ns != when]
        is_same = same(output)
        wrong += not is_same or bool(again)
        print(
            f"stop {stop}: {len(kept)} shards were kept, {len(again)} of them made again; "
            f"{'the same' if is_same else 'NOT THE SAME'}",
            flush=True,
        )
        shutil.rmtree(output)
    return wrong


def damaged_shard(folder: Path) -> int:
    """1 unless a damaged shard of features is named, and what it was before is predicted once it's mended."""
    shard = folder / "features" / "020.parquet"
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "predict",
        str(folder / "run"),
        "--features",
        str(folder / "features"),
    ]
    command += ["--ray", "auto", "-o", str(folder / "damaged")]
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    print("damaged shard:", refused.returncode, refused.stderr.strip().splitlines()[-1])
    shard.write_bytes(content)
    subprocess.run(command, check=True, capture_output=True)
    is_same = same_predictions(folder / "predicted" / "undisturbed", folder / "damaged")
    print("mended:", "the same" if is_same else "NOT THE SAME")
    return int(refused.returncode != 1 or "020.parquet" not in refused.stderr or not is_same)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--embed", type=int, default=10)
    parser.add_argument("--predict", type=int, default=10)
    parser.add_argument("--stops", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # Ray's own
    from ruc.scale.over_ray import QUIET

    os.environ.update(QUIET)
    import ray
    from ray.cluster_utils import Cluster

    from ruc.doors.predict import Request
    from ruc.pipeline import run_to_folder
    from ruc.runtime import Runtime
    from ruc.scale import images
    from ruc.scale.embedding import embed_to_shards
    from ruc.scale.predicting import predict_to_shards
    from ruc.settings import make_settings

    images.SHARD_IMAGES = SHARD
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_inputs(folder)
        made = {
            "features": str(folder / "some.npy"),
            "n_clusters": 5,
            "base": "kmeans",
            "output": str(folder / "run"),
        }
        run_to_folder(make_settings({**made, "refine": {"n_epochs": 1}}), overwrite=False, verbose=False)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        os.environ["RAY_ADDRESS"] = cluster.address
        settings = make_settings({"source": str(folder / "photos"), "embedder": "lite0"})

        def embed(output: Path) -> None:
            embed_to_shards(settings, output, "auto", False)

        def predict(output: Path) -> None:
            request = Request(folder / "run", None, (str(folder / "features"),))
            predict_to_shards(request, output, "auto", Runtime("cpu"))

        embedded, predicted = folder / "embedded", folder / "predicted"
        print("embed")
        wrong = lose_nodes(cluster, arguments.embed, arguments.seed, embed, embedded, same_features)
        print("predict")
        wrong += lose_nodes(
            cluster, arguments.predict, arguments.seed + 1, predict, predicted, same_predictions
        )
        print("the command killed and given again")
        asked = ["embed", str(folder / "photos"), "--embedder", "lite0", "--ray", cluster.address, "-q"]
        undisturbed = embedded / "undisturbed"
        wrong += stop_command(
            asked,
            arguments.stops,
            arguments.seed + 2,
            folder / "again",
            lambda output: same_features(undisturbed, output),
        )
        wrong += damaged_shard(folder)
        ray.shutdown()
        cluster.shutdown()
    print(f"{wrong} wrong")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
