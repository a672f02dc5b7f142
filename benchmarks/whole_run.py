"""`ruc cluster --features` with nothing set but K, against UMAP and a Gaussian mixture, each in a new Python process.

    python benchmarks/whole_run.py FEATURES.npy [--clusters 10] [--repeats 1]

From start to end, imports included: `ruc` ends with its run folder and report, the reference (UMAP to 10 components by
cosine, then a Gaussian mixture with as many components as clusters) with labels alone. They take turns, so that a busy
machine is busy for both. Printed are medians, lowest and highest of seconds and of processor seconds, and the ratios.
Needs umap-learn.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REFERENCE = """
import sys
import numpy as np
import umap
from sklearn.mixture import GaussianMixture

placed = umap.UMAP(n_components=10, metric="cosine").fit_transform(np.load(sys.argv[1]))
GaussianMixture(int(sys.argv[2])).fit_predict(placed)
"""


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Seconds and processor seconds of a process and its children."""
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stderr}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    features, n_clusters = str(arguments.features), str(arguments.clusters)
    measured: dict[str, list[tuple[float, float]]] = {"UMAP and a mixture": [], "ruc cluster": []}
    with tempfile.TemporaryDirectory() as folder:
        asked = ["--features", features, "-k", n_clusters, "-o", f"{folder}/run", "--overwrite"]
        commands = (
            [sys.executable, "-c", REFERENCE, features, n_clusters],
            [sys.executable, "-c", "from ruc.cli import main; main()", "cluster", *asked],
        )
        for _ in range(arguments.repeats):
            for rows, command in zip(measured.values(), commands, strict=True):
                rows.append(seconds_of(command))
    print(f"{'':20}{'seconds':>9}{'lowest, highest':>18}{'processor s':>13}{'lowest, highest':>18}")
    medians = []
    for name, rows in measured.items():
        wall, used = zip(*rows, strict=True)
        medians.append((statistics.median(wall), statistics.median(used)))
        print(
            f"{name:20}{medians[-1][0]:9.1f}{min(wall):9.1f},{max(wall):8.1f}"
            f"{medians[-1][1]:13.1f}{min(used):9.1f},{max(used):8.1f}"
        )
    reference, own_medians = medians
    print(f"{'ratio':20}{own_medians[0] / reference[0]:9.2f}{'':18}{own_medians[1] / reference[1]:13.2f}")


if __name__ == "__main__":
    main()
