"""From features to refined labels, stage by stage, against scikit-learn's k-means on the same features.

    python benchmarks/feature_space.py [--samples 50000] [--features 512] [--clusters 10] [--repeats 1]
    python benchmarks/feature_space.py --samples 1280000 --features 768 --clusters 1000 --no-reference

The features are made up (benchmarks/synthetic.py) and written to a .npy first. Printed are medians: seconds of each
stage of `ruc cluster --features`, the ratio to k-means with ten starts, processor seconds, and the peak memory (mapped
pages of the features included); then the accuracy against the made-up truth of k-means, of the base and of the
refined labels.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ruc.cli import WAITING

# As `ruc` does, before NumPy is loaded: threads that spin take twice the processor time.
os.environ |= WAITING

import numpy as np
from memory import forget_peak, held_mebibytes
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from synthetic import clustered_features

from ruc import pipeline
from ruc.settings import make_settings


class Stages:
    """Seconds, processor seconds and peak memory of each stage, of each repeat."""

    def __init__(self) -> None:
        self.measured: dict[str, list[tuple[float, float, float]]] = {}

    def run(self, stage: str, work: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        forget_peak()
        wall, processor = time.perf_counter(), time.process_time()
        result = work(*arguments, **keywords)
        row = (time.perf_counter() - wall, time.process_time() - processor, held_mebibytes())
        self.measured.setdefault(stage, []).append(row)
        logging.info("  %s: %.1f s, %.0f s of processor, peak %.0f MiB", stage, *row)
        return result

    def medians(self) -> dict[str, tuple[float, float, float]]:
        found = {}
        for stage, rows in self.measured.items():
            seconds, processor, peaks = zip(*rows, strict=True)
            found[stage] = (statistics.median(seconds), statistics.median(processor), max(peaks))
        return found


STAGES = {
    "embed": "features", "find_neighbors": "neighbours", "initial_clustering": "base", "retrain": "refining",
    "as_run": "marks", "write_report": "report", "write_run": "writing",
}  # fmt: skip


def pipeline_once(stages: Stages, file: Path, n_clusters: int, output: Path) -> tuple[NDArray[np.int64], ...]:
    """`ruc cluster --features` with a clock around each of its stages."""
    settings = make_settings(
        {"features": str(file), "n_clusters": n_clusters, "output": str(output), "device": "cpu"}
    )
    with ExitStack() as stack:
        for name, stage in STAGES.items():
            clocked = partial(stages.run, stage, getattr(pipeline, name))
            stack.enter_context(patch.object(pipeline, name, clocked))
        run = pipeline.run_to_folder(settings, overwrite=True, verbose=False)
    return run.initial_cluster, run.cluster


def k_means(features: NDArray[np.float32], n_clusters: int) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(n_clusters, n_init=10, random_state=0).fit(features).labels_)


def accuracy(found: NDArray[np.int64], truth: NDArray[np.int64], n_clusters: int) -> float:
    counts = np.bincount(found * n_clusters + truth, minlength=n_clusters**2).reshape(n_clusters, n_clusters)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(truth))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--noise", type=float, help="Default: 2, or 1.2 for 50 clusters and more.")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--folder", type=Path, help="For the features and the run; default: a temporary one.")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    noise = arguments.noise or (2.0 if arguments.clusters < 50 else 1.2)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        file = Path(name) / "features.npy"
        shape = (arguments.samples, arguments.features, arguments.clusters)
        features, truth = clustered_features(*shape, noise, 0, file)
        if arguments.no_reference:
            del features  # mapped here and by `ruc`, its pages would be counted twice
        stages = Stages()
        found: dict[str, NDArray[np.int64]] = {}
        for _ in range(arguments.repeats):
            if not arguments.no_reference:
                found["k-means"] = stages.run("k-means, scikit-learn", k_means, features, arguments.clusters)
            found["base"], found["refined"] = pipeline_once(
                stages, file, arguments.clusters, Path(name) / "run"
            )
    medians = stages.medians()
    reference = medians.pop("k-means, scikit-learn", None)
    own = list(medians.values())
    rows = {
        **({"k-means, scikit-learn": reference} if reference else {}),
        **medians,
        "all of ruc": (sum(r[0] for r in own), sum(r[1] for r in own), max(r[2] for r in own)),
    }
    print("{} samples of {} features, {} clusters".format(*shape))
    print(f"{'':24}{'seconds':>10}{'ratio':>8}{'processor s':>13}{'peak MiB':>10}")
    for stage, (seconds, processor, peak) in rows.items():
        ratio = f"{seconds / reference[0]:8.2f}" if reference else f"{'':8}"
        print(f"{stage:24}{seconds:10.1f}{ratio}{processor:13.1f}{peak:10.0f}")
    scores = (f"{title} {accuracy(labels, truth, arguments.clusters):.1%}" for title, labels in found.items())
    print("accuracy: " + ", ".join(scores))


if __name__ == "__main__":
    main()
