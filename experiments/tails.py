"""Long-tailed data: base → refined, and what became of the clusters.

    python experiments/tails.py                                    digits, 10:1 and 50:1
    python experiments/tails.py digits mnist5k.npz --ratios 10 50 --bases graph kmeans --seeds 3

Each seed draws another subset (`long_tailed` of bases.py: classes in random order, the largest to the smallest as the
ratio says), another base and another refinement, in feature space. Accuracy under the best one-to-one matching, NMI and
ARI in %, means over seeds; the differences with their standard deviation. lost: clusters of the base that are empty
after refining, in all seeds together; unnamed: those of them that no warning names.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from bases import load, long_tailed
from numpy.typing import NDArray

from ruc.cluster.auto import cluster
from ruc.cluster.inputs import unit_features
from ruc.evaluation.metrics import accuracy, adjusted_rand_index, normalized_mutual_information
from ruc.labels.empty_clusters import empty_clusters
from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import repair
from ruc.runtime import Runtime

SCORES = (accuracy, normalized_mutual_information, adjusted_rand_index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="*", default=["digits"])
    parser.add_argument("--ratios", nargs="+", type=float, default=[10.0, 50.0])
    parser.add_argument("--bases", nargs="+", default=["graph", "kmeans"])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(
        "| data | ratio | n | base | base accuracy | NMI | ARI | refined accuracy | NMI | ARI | lost | unnamed |"
    )
    print("|---" * 12 + "|")
    for name in given.data:
        features, truth = load(name)
        for ratio in given.ratios:
            for base in given.bases:
                print(measure(Path(name).stem, features, truth, ratio, base, given.seeds), flush=True)


def measure(
    name: str,
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    ratio: float,
    method: str,
    n_seeds: int,
) -> str:
    rows, lost, unnamed, sizes = [], 0, 0, []
    for seed in range(n_seeds):
        part, classes = long_tailed(features, truth, ratio, seed)
        runtime = Runtime("cpu", seed)
        unit = unit_features(part, 2)
        neighbors = nearest_neighbors(unit, 100, runtime)
        base = cluster(unit, len(np.unique(classes)), method, runtime, neighbors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = repair(FeatureSpace(unit, neighbors, runtime), base, neighbors, RefineSettings(), runtime)
        rows.append(
            [100 * score(labels, classes) for labels in (base.labels, found.labels) for score in SCORES]
        )
        gone = np.setdiff1d(base.labels[base.labels >= 0], found.labels)
        said = empty_clusters(base.labels, found.labels, tuple(map(str, range(base.n_clusters))))
        lost += len(gone)
        unnamed += sum(not any(line.startswith(f"cluster {c} had") for line in said) for c in gone)
        sizes.append(len(classes))
    mean = np.mean(rows, axis=0)
    change = np.array(rows)[:, 3:] - np.array(rows)[:, :3]
    before = " | ".join(f"{value:.1f}" for value in mean[:3])
    after = " | ".join(
        f"{value:.1f} ({difference:+.1f} ± {spread:.1f})"
        for value, difference, spread in zip(mean[3:], change.mean(0), change.std(0), strict=True)
    )
    return f"| {name} | {ratio:g}:1 | {np.mean(sizes):.0f} | {method} | {before} | {after} | {lost} | {unnamed} |"


if __name__ == "__main__":
    main()
