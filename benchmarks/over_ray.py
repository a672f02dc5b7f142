"""`ruc embed` and `ruc predict` with and without `--ray` on the same cores, the growth with a second one, and memory.

    python benchmarks/over_ray.py [--images 4000] [--rows 300000] [--features 128] [--repeats 1] [--cores 2]

Every command is a new process that is bound to one core (or `--cores`), as all that it starts is; Ray has as many
workers as there are cores, of one thread each. Seconds are of the whole command, and of those Ray's own start is told
apart: it doesn't grow with the work. They take turns; printed are medians, and ratios to the plain command on as many
cores. Memory is the largest that one of Ray's workers had, with the shards given and with a quarter of them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

SHARD_ROWS = 15_000
PLAIN = "from ruc.cli import main; main()"
OVER_RAY = """
import os, sys, time
started = time.perf_counter()
from ruc.scale.over_ray import QUIET
os.environ.update(QUIET)
import ray
ray.init("local", num_cpus={cores}, logging_level="ERROR", log_to_driver=False)
print(f"start {{time.perf_counter() - started}}", file=sys.stderr, flush=True)
from ruc.cli import main; main()
"""


def make_images(folder: Path, n_images: int) -> None:
    """Smooth noise as JPEG of 160 pixels."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(n_images):
        small = Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        small.resize((160, 160), Image.Resampling.BICUBIC).save(folder / f"{number:05}.jpg")


def make_features(folder: Path, n_rows: int, n_features: int) -> None:
    """Twenty blobs in shards, and a matrix of 2,000 of the rows."""
    generator = np.random.default_rng(0)
    centres = generator.normal(0, 1, (20, n_features))
    folder.mkdir()
    for number, start in enumerate(range(0, n_rows, SHARD_ROWS)):
        n_here = min(SHARD_ROWS, n_rows - start)
        rows = centres[generator.integers(0, 20, n_here)] + generator.normal(0, 1, (n_here, n_features))
        column = pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).ravel()), n_features)
        parquet.write_table(pa.table({"embedding": column}), folder / f"{number:05}.parquet")
        if number == 0:
            np.save(folder.with_suffix(".npy"), rows[:2000].astype(np.float32))


class WorkersMemory:
    """The largest resident memory that any of Ray's workers had while the block ran, in MiB."""

    def __enter__(self) -> "WorkersMemory":
        self.largest, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if (process / "cmdline").read_bytes().startswith(b"ray::_Held"):
                        lines = (process / "status").read_text().splitlines()
                        peak = next(line for line in lines if line.startswith("VmHWM"))
                        self.largest = max(self.largest, int(peak.split()[1]) / 1024)
                except (OSError, StopIteration):  # it has ended
                    continue


def measure(arguments: list[str], n_cores: int, over_ray: bool) -> tuple[float, float, float]:
    """Seconds of a command, those of Ray's start, and the largest memory of a worker in MiB."""
    code = OVER_RAY.format(cores=n_cores) if over_ray else PLAIN
    asked = [*arguments, "--ray", "local"] if over_ray else arguments
    output = "out.csv" if arguments[0] == "predict" and not over_ray else "out"  # Ray writes a folder
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    with tempfile.TemporaryDirectory() as folder, WorkersMemory() as memory:
        command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-c", code, *asked]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "-o", f"{folder}/{output}"], capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": str(1 if over_ray else n_cores)},
        )  # fmt: skip
        seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{asked} ended with {done.returncode}:\n{done.stderr}")
    begun = next(
        (float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("start ")), 0.0
    )
    return seconds, begun, memory.largest


def compare(what: str, n_items: int, arguments: list[str], n_repeats: int, n_most_cores: int) -> None:
    """Print a row for each number of cores, without and with Ray."""
    print(f"\n{what}: {n_items:,}")
    print(f"{'cores':>5} {'':>8} {'seconds':>8} {'start':>6} {'ratio':>6} {'without start':>14} {'MiB':>6}")
    for n_cores in range(1, n_most_cores + 1):
        taken: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
        for _ in range(n_repeats):
            for over_ray, rows in taken.items():
                rows.append(measure(arguments, n_cores, over_ray))
        plain, over = (
            [statistics.median(column) for column in zip(*rows, strict=True)] for rows in taken.values()
        )
        print(f"{n_cores:5} {'plain':>8} {plain[0]:8.1f}")
        ratio, without_start = over[0] / plain[0], (over[0] - over[1]) / plain[0]
        measured = f"{over[0]:8.1f} {over[1]:6.1f} {ratio:6.2f} {without_start:14.2f} {over[2]:6.0f}"
        print(f"{n_cores:5} {'--ray':>8} {measured}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--features", type=int, default=128, help="numbers in a row of features")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if arguments.images:
            make_images(folder / "photos", arguments.images)
            asked = ["embed", str(folder / "photos"), "--embedder", "lite0", "-q"]
            compare("embed, images", arguments.images, asked, arguments.repeats, arguments.cores)
        if not arguments.rows:
            return
        make_features(folder / "features", arguments.rows, arguments.features)
        make_features(folder / "quarter", arguments.rows // 4, arguments.features)
        run = [sys.executable, "-c", PLAIN, "cluster", "--features", str(folder / "features.npy"), "-k", "20"]
        subprocess.run(
            [*run, "--base", "kmeans", "-o", str(folder / "run"), "-q"], check=True, capture_output=True
        )
        asked = ["predict", str(folder / "run"), "-q", "--features"]
        compare(
            f"predict, rows of {arguments.features}", arguments.rows, [*asked, str(folder / "features")],
            arguments.repeats, arguments.cores,
        )  # fmt: skip
        _, _, memory = measure([*asked, str(folder / "quarter")], 1, over_ray=True)
        print(f"memory of a worker with a quarter of the shards: {memory:.0f} MiB")


if __name__ == "__main__":
    main()
