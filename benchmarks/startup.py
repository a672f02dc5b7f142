"""How long a user waits before anything is seen, against importing torch alone in the same run.

    python benchmarks/startup.py [--repeats 5]

Printed are medians of `import ruc`, of `ruc --help` and of the time from starting `ruc cluster` on a terminal to its
first progress bar: wall clock, processor seconds (what a busy machine leaves about as they are), and the ratio of
these to `import torch`.
"""

import argparse
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

N_IMAGES, SIDE = 500, 28
RUC = (sys.executable, "-c", "from ruc.cli import main; main()")


class Waited(NamedTuple):
    """Seconds of the clock, and of the processors."""

    wall: float
    processor: float


def processor_seconds() -> float:
    """Of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def until_end(command: Sequence[str]) -> Waited:
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    started, used = time.perf_counter(), processor_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=quiet)
    return Waited(time.perf_counter() - started, processor_seconds() - used)


def until_first_bar(command: Sequence[str]) -> Waited:
    """Until a progress bar is drawn on a terminal of the command's own."""
    ours, theirs = pty.openpty()
    started, used = time.perf_counter(), processor_seconds()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs)
    shown = b""
    while "━".encode() not in shown:
        shown += os.read(ours, 1024)
    waited = time.perf_counter() - started
    process.kill()
    process.wait()
    os.close(ours)
    os.close(theirs)
    return Waited(waited, processor_seconds() - used)


def make_images(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (N_IMAGES, SIDE, SIDE), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:03d}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        images = Path(name) / "images"
        images.mkdir()
        make_images(images)
        cluster = (*RUC, "cluster", str(images), "-k", "10", "-o", f"{name}/run", "--overwrite")
        rows: dict[str, Callable[[], Waited]] = {
            "import torch": lambda: until_end((sys.executable, "-c", "import torch")),
            "python": lambda: until_end((sys.executable, "-c", "pass")),
            "import ruc": lambda: until_end((sys.executable, "-c", "import ruc")),
            "ruc --help": lambda: until_end((*RUC, "--help")),
            "ruc cluster: first bar": lambda: until_first_bar(cluster),
        }
        print(f"{'':24}{'seconds':>10}{'processor s':>13}{'ratio':>8}")
        reference = 0.0
        for title, measure in rows.items():
            wall, processor = map(statistics.median, zip(*(measure() for _ in range(repeats)), strict=True))
            reference = reference or processor
            print(f"{title:24}{wall:10.2f}{processor:13.2f}{processor / reference:8.2f}")


if __name__ == "__main__":
    main()
