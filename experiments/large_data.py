"""What the ways taken for large data cost in accuracy, on data small enough to go both ways.

    python experiments/large_data.py digits [--seeds 5]
    python experiments/large_data.py mnist5k [--features FEATURES.npy]

Each row forces one way, or all, on data that would go the plain way: neighbours in cells; the graph of half of the
samples, the others along the graph; few candidates of each sample and float16; k-means on a part of the samples (its
plain way is scikit-learn's with ten starts). Accuracy in %, mean ± standard deviation; "alike": share of the refined
labels that are those of the plain way, "selected": of the samples that both or neither trust at the start.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from addon import load_data, score
from numpy.typing import NDArray

from ruc.belief import last_word
from ruc.cluster import graph, kmeans
from ruc.cluster.auto import cluster
from ruc.neighbors import centres, propagation, search
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import repair
from ruc.runtime import Runtime

Way = Mapping[Any, Mapping[str, float]]


def ways(n_samples: int) -> dict[tuple[str, str], Way]:
    """(base, name) to the constants that force the way."""
    cells = {search: {"MOST_EXACT": 1, "MANY": 1}}
    part = {graph: {"MOST_SAMPLES": n_samples // 2}}
    few = {propagation: {"MOST_DENSE": 1}, last_word: {"MOST_CALIBRATED": n_samples // 4, "MOST_SINGLE": 1}}
    starts = {
        kmeans: {"MOST_WITH_RESTARTS": 1, "ROWS_PER_CLUSTER": 1},
        centres: {"FEWEST_ROWS": n_samples // 2},
    }
    return {
        ("graph", "plain"): {},
        ("graph", "neighbours in cells"): cells,
        ("graph", "graph of half"): part,
        ("graph", "few candidates"): few,
        ("graph", "all of these"): {**cells, **part, **few},
        ("kmeans", "plain"): {},
        ("kmeans", "neighbours in cells"): cells,
        ("kmeans", "few candidates"): few,
        ("kmeans", "k-means on half"): starts,
        ("kmeans", "all of these"): {**cells, **few, **starts},
    }


@contextmanager
def forced(way: Way) -> Iterator[None]:
    with ExitStack() as stack:
        for module, constants in way.items():
            for name, value in constants.items():
                stack.enter_context(patch.object(module, name, value))
        yield


@dataclass(frozen=True)
class Outcome:
    """Accuracies in %, and what they are of."""

    base: float
    refined: float
    labels: NDArray[np.int64]
    was_clean: NDArray[np.bool_]


def run(features: NDArray[np.float32], truth: NDArray[np.int64], base: str, seed: int) -> Outcome:
    runtime = Runtime("cpu", seed)
    k = search.affordable_neighbors(100, len(features))
    near = search.nearest_neighbors(features, k, runtime)
    start = cluster(features, int(truth.max()) + 1, base, runtime, near)
    result = repair(FeatureSpace(features, near, runtime), start, near, RefineSettings(), runtime)
    return Outcome(score(truth, start.labels), score(truth, result.labels), result.labels, result.was_clean)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="digits, or one of the sets of DATA.md")
    parser.add_argument("--features", help="A .npy of its features.  [default: pixels]")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="one base")
    arguments = parser.parse_args()
    features, truth = load_data(arguments.data, arguments.features)
    print(f"{'base':8}{'way':22}{'base':>13}{'refined':>14}{'alike':>8}{'selected':>10}")
    plain: dict[str, list[Outcome]] = {}
    for (base, name), way in ways(len(features)).items():
        if arguments.only not in (None, base):
            continue
        with forced(way):
            found = [run(features, truth, base, seed) for seed in range(arguments.seeds)]
        reference = plain.setdefault(base, found)
        pairs = list(zip(found, reference, strict=True))
        alike = np.mean([score(other.labels, one.labels) for one, other in pairs])
        selected = 100 * np.mean([(one.was_clean == other.was_clean).mean() for one, other in pairs])
        scores = "".join(
            f"{np.mean(values):8.1f} ± {np.std(values):3.1f}"
            for values in ([one.base for one in found], [one.refined for one in found])
        )
        print(f"{base:8}{name:22}{scores}{alike:8.1f}{selected:10.1f}", flush=True)


if __name__ == "__main__":
    main()
