"""Speed and recall of the nearest neighbours, and what an approximation does to RUC's selection.

    python benchmarks/neighbors.py FEATURES.npy [--neighbors 50] [--clusters 10] [--samples 50000]
    python benchmarks/neighbors.py --synthetic 50000x512 [--clusters 10]

Printed are, for scikit-learn's exhaustive search (the reference), for ours, and for the approximations (ours in cells,
which `ruc` takes beyond 100,000 samples, and pynndescent where it is installed): processor seconds, their ratio to the
reference, the recall against our exact result, the share of samples that RUC's selection trusts or doesn't trust alike,
and the peak memory above what the features take. Of more than 100,000 samples exact neighbours are looked up for 1,024
of them alone, by which recall and selection are judged; the exact searches are left out.
"""

import argparse
import importlib.util
import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from memory import forget_peak, held_mebibytes
from numpy.typing import NDArray
from synthetic import clustered_features

from ruc.belief.evidence import gather_evidence
from ruc.cluster.kmeans import kmeans
from ruc.neighbors.cells import neighbors_in_cells
from ruc.neighbors.search import MOST_EXACT, Neighbors, nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import choose_start
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu", 0)
Features = NDArray[np.float32]
N_PROBES = 1024


def scikit_learn(features: Features, k: int) -> Neighbors:
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute", n_jobs=None).fit(features)
    distances, indices = model.kneighbors()
    return Neighbors(indices, (1 - distances).astype(np.float32))


def exact(features: Features, k: int) -> Neighbors:
    return nearest_neighbors(features, k, RUNTIME)


def cells(features: Features, k: int) -> Neighbors:
    return Neighbors(*neighbors_in_cells(features, k, RUNTIME))


def pynndescent(features: Features, k: int) -> Neighbors:
    from pynndescent import NNDescent

    indices, distances = NNDescent(
        features, metric="cosine", n_neighbors=k + 1, random_state=0
    ).neighbor_graph
    return Neighbors(indices[:, 1:].astype(np.int64), 1 - distances[:, 1:])


def exact_of(features: Features, probes: NDArray[np.int64], k: int) -> Neighbors:
    """Exact neighbours of some samples, in float32."""
    unit = torch.nn.functional.normalize(torch.from_numpy(features), dim=1)
    parts = []
    for rows in torch.from_numpy(probes).split(64):
        similar = unit[rows] @ unit.T
        similar[torch.arange(len(rows)), rows] = -torch.inf
        parts.append(similar.topk(k, dim=1))
    return Neighbors(
        torch.cat([p.indices for p in parts]).numpy(), torch.cat([p.values for p in parts]).numpy()
    )


def with_rows(found: Neighbors, probes: NDArray[np.int64], rows: Neighbors) -> Neighbors:
    """The same neighbours, except of some samples."""
    indices, similarities = found.indices.copy(), found.similarities.copy()
    indices[probes], similarities[probes] = rows.indices, rows.similarities
    return Neighbors(indices, similarities)


def recall(found: Neighbors, truth: Neighbors, k: int) -> float:
    pairs = zip(found.indices[:, :k], truth.indices[:, :k], strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in pairs]))


def trusted(
    features: Features, neighbors: Neighbors, n_clusters: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """What RUC trusts of a k-means clustering, and with which labels."""
    base = kmeans(features, n_clusters, RUNTIME, n_restarts=1)
    settings = RefineSettings().filled(FeatureSpace(features, neighbors, RUNTIME).defaults)
    start = choose_start(base, neighbors, gather_evidence(base, neighbors, settings, RUNTIME), settings)
    return start.is_clean, start.labels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path, nargs="?")
    parser.add_argument("--synthetic", help="samples x features, e.g. 50000x512")
    parser.add_argument("--neighbors", type=int, default=50)
    parser.add_argument("--clusters", type=int, default=10)
    parser.add_argument("--samples", type=int, help="the first so many rows")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    if arguments.synthetic:
        n_samples, n_features = map(int, arguments.synthetic.split("x"))
        noise = 2.0 if arguments.clusters < 50 else 1.2
        features, _ = clustered_features(n_samples, n_features, arguments.clusters, noise, 0)
    else:
        features = np.load(arguments.features)[: arguments.samples].astype(np.float32)
    k = arguments.neighbors
    few = len(features) <= MOST_EXACT
    searches: dict[str, Callable[[Features, int], Neighbors]] = {"ruc, cells": cells}
    if few:
        searches = {"scikit-learn, exact": scikit_learn, "ruc, exact": exact, **searches}
    if importlib.util.find_spec("pynndescent"):
        searches["pynndescent"] = pynndescent
    n_probes = len(features) if few else N_PROBES
    probes = np.sort(np.random.default_rng(1).choice(len(features), n_probes, replace=False))
    truth = exact(features, k) if few else exact_of(features, probes, k)
    print(f"{len(features)} samples of {features.shape[1]} features, {k} neighbours")
    print(f"{'':22}{'proc. s':>9}{'ratio':>7}{'recall':>8}{'of 15':>8}{'selected alike':>16}{'peak MiB':>10}")
    reference = 0.0
    for title, search in searches.items():
        forget_peak()
        held, started = held_mebibytes("VmRSS"), time.process_time()
        found = search(features, k)
        seconds, peak = time.process_time() - started, held_mebibytes() - held
        reference = reference or seconds
        clean, labels = trusted(features, with_rows(found, probes, truth), arguments.clusters)
        now_clean, now_labels = trusted(features, found, arguments.clusters)
        alike = float(((clean == now_clean) & (labels == now_labels))[probes].mean())
        of_probes = Neighbors(found.indices[probes], found.similarities[probes])
        print(
            f"{title:22}{seconds:9.1f}{reference / seconds:7.2f}{recall(of_probes, truth, k):8.1%}"
            f"{recall(of_probes, truth, 15):8.1%}{alike:16.2%}{peak:10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
