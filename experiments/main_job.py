"""The table of the README: `ruc cluster` and `ruc evaluate` as a user runs them, for several seeds.

    python experiments/main_job.py DATA/mnist5k -k 10 --seeds 3 -o runs/mnist5k

The folder holds images/ and truth.csv (DATA.md). A run that is in the output folder already is measured, not made
again.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("-k", default="10")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    results = [
        measure(options.data, options.k, seed, options.output / str(seed)) for seed in range(options.seeds)
    ]
    for name in results[0]:
        values = np.array([result[name] for result in results])
        print(f"{name:20} {values.mean():6.1f} ± {values.std():.1f}   {np.round(values, 1).tolist()}")


def measure(data: Path, k: str, seed: int, run: Path) -> dict[str, float]:
    """Accuracy, NMI and ECE in percent, before and after; minutes where the run was made here."""
    started = time.monotonic()
    made = not (run / "config.yaml").exists()
    if made:
        ruc("cluster", data / "images", "-k", k, "--seed", seed, "-o", run)
    minutes = (time.monotonic() - started) / 60 if made else float("nan")
    ruc("evaluate", run, "--truth", data / "truth.csv", "--quiet")
    metrics = json.loads((run / "metrics.json").read_text())
    numbers = {
        f"{which} {name}": 100 * metrics[which]["numbers"][name]["value"]
        for name in ("accuracy", "nmi", "ece")
        for which in ("base", "refined")
    }
    return {**numbers, "minutes": minutes}


def ruc(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "ruc", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
