"""How many labels change with the processor's instruction set or the number of threads, all else being the same.

    python experiments/instruction_sets.py digits blood8 aerial7 waste6 --n-images 300
    python experiments/instruction_sets.py digits --n-images 300 --options --embedder pixels

Each set (so many of its images) is clustered natively with one thread, then natively again, with two threads, with
the instructions of AVX2 and of no vector extension alone, and, to compare with, natively by another seed. Clusters are
matched before labels are compared; `stability` is what the run says of the images whose label changed and of the rest.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from scipy.optimize import linear_sum_assignment

DATA = Path(os.environ.get("RUC_DATA", Path(__file__).parents[2] / "shared" / "data"))
SEED = ["--seed", "1"]
WAYS: dict[str, tuple[dict[str, str], list[str]]] = {
    "again": ({}, []),
    "two threads": ({"OMP_NUM_THREADS": "2"}, []),
    "AVX2": ({"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, []),
    "no vectors": ({"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}, []),
    "another seed": ({}, SEED),
}


def images_of(name: str, folder: Path, n_images: int) -> tuple[Path, int]:
    """A folder with the first images of a set, and the number of its classes."""
    if name == "digits":
        from ruc.doors.demo import write_digits

        images, truth = write_digits(folder / "digits")
    else:
        images, truth = DATA / name / "images", DATA / name / "truth.csv"
    target = folder / name / "some"
    target.mkdir(parents=True)
    for path in sorted(images.iterdir())[:n_images]:
        shutil.copy2(path, target)
    return target, len({line.rsplit(",", 1)[1] for line in truth.read_text().splitlines()[1:]})


def clustered(
    images: Path, n_clusters: int, output: Path, options: list[str], way: dict[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clusters, confidence and stability of each image, by name."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "ruc.cli",
        "cluster",
        str(images),
        "-k",
        str(n_clusters),
        "-o",
        str(output),
    ]
    command += ["-q", *options]
    subprocess.run(command, check=True, env={**os.environ, **threads, **way}, stdout=subprocess.DEVNULL)
    table = parquet.read_table(output / "clusters.parquet")
    return tuple(table.column(name).to_numpy() for name in ("cluster", "confidence", "stability"))


def is_changed(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which labels differ once clusters are matched."""
    counts = np.zeros((max(one.max(), other.max()) + 1,) * 2, int)
    np.add.at(counts, (one, other), 1)
    return linear_sum_assignment(-counts)[1][one] != other


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--n-images", type=int, default=300)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of `ruc cluster`")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name in asked.sets:
            images, n_clusters = images_of(name, Path(place), asked.n_images)
            first, sure, stability = clustered(
                images, n_clusters, Path(place) / f"{name} first", asked.options, {}
            )
            for way in asked.ways:
                variables, more = WAYS[way]
                labels, confidence, _ = clustered(
                    images, n_clusters, Path(place) / f"{name} {way}", [*asked.options, *more], variables
                )
                changed = is_changed(first, labels)
                of_changed = f" {stability[changed].mean():.2f} of these," if changed.any() else ""
                print(
                    f"{name}, {len(first)} images, {way}: {changed.mean():.1%} of the labels changed; stability"
                    f"{of_changed} {stability[~changed].mean():.2f} of the others; "
                    f"confidence changed by at most {np.abs(confidence - sure).max():.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
