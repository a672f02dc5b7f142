"""How long a user waits before anything is seen, against importing torch alone in the same run.

    python benchmarks/startup.py [--repeats 5]

Printed are medians of the wall clock of `import ruc`, of `ruc --help` and of the time from starting `ruc cluster` on a
terminal to its first progress bar, and their ratio to `import torch`.
"""

import argparse
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

N_IMAGES, SIDE = 500, 28
RUC = (sys.executable, "-c", "from ruc.cli import main; main()")


def seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"}
    )
    return time.perf_counter() - started


def seconds_to_first_bar(command: Sequence[str]) -> float:
    """Until a progress bar is drawn on a terminal of the command's own."""
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs)
    shown = b""
    while "━".encode() not in shown:
        shown += os.read(ours, 1024)
    waited = time.perf_counter() - started
    process.kill()
    process.wait()
    os.close(ours)
    os.close(theirs)
    return waited


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
        rows: dict[str, Callable[[], float]] = {
            "import torch": lambda: seconds((sys.executable, "-c", "import torch")),
            "python": lambda: seconds((sys.executable, "-c", "pass")),
            "import ruc": lambda: seconds((sys.executable, "-c", "import ruc")),
            "ruc --help": lambda: seconds((*RUC, "--help")),
            "ruc cluster: first bar": lambda: seconds_to_first_bar(cluster),
        }
        print(f"{'':24}{'seconds':>10}{'ratio':>8}")
        reference = 0.0
        for title, measure in rows.items():
            median = statistics.median(measure() for _ in range(repeats))
            reference = reference or median
            print(f"{title:24}{median:10.2f}{median / reference:8.2f}")


if __name__ == "__main__":
    main()
