"""Speed and recall of the nearest neighbours, and what an approximation does to RUC's selection.

    python benchmarks/neighbors.py FEATURES.npy [--neighbors 50] [--clusters 10] [--samples 50000]
    python benchmarks/neighbors.py --synthetic 50000x512 [--clusters 10]

Printed are, for scikit-learn's exhaustive search (the reference), for ours, and for the approximations (ours in cells,
which `ruc` takes beyond 20,000 samples, and pynndescent where it is installed): processor seconds, their ratio to the
reference, the recall against our exact result, the share of samples that RUC's selection trusts or doesn't trust alike,
and the peak memory above what the features take. `--peers` adds faiss (inverted file), hnswlib and usearch where they
are installed, each on one thread and with twice the effort until its recall is 97%; building is included. Of more than
20,000 samples exact neighbours are looked up for some of them alone, by which recall and selection are judged; the
exact searches are left out. With `--asked` peers are asked about so many of these alone, the seconds of which count
for all.
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


def unit(features: Features) -> Features:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


Found = tuple[NDArray[np.integer], NDArray[np.floating]]  # indices and similarities
Ask = Callable[[Features, int], Found]  # for k + 1 neighbours of some rows, with so much effort


def faiss(features: Features, k: int) -> Ask:
    """Four times the root of the samples for the number of cells, as its guidelines have it."""
    import faiss

    faiss.omp_set_num_threads(1)
    rows = unit(features)
    width = rows.shape[1]
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(width), width, round(4 * len(rows) ** 0.5), faiss.METRIC_INNER_PRODUCT
    )
    index.train(rows)
    index.add(rows)

    def ask(asking: Features, effort: int) -> Found:
        index.nprobe = 8 * effort
        similarities, indices = index.search(unit(asking), k + 1)
        return indices, similarities

    return ask


def hnswlib(features: Features, k: int) -> Ask:
    import hnswlib

    index = hnswlib.Index("cosine", features.shape[1])
    index.init_index(len(features), M=16, ef_construction=100)
    index.add_items(features, num_threads=1)

    def ask(asking: Features, effort: int) -> Found:
        index.set_ef((k + 1) * effort)
        indices, distances = index.knn_query(asking, k + 1, num_threads=1)
        return indices.astype(np.int64), 1 - distances

    return ask


def usearch(features: Features, k: int) -> Ask:
    from usearch.index import Index

    index = Index(ndim=features.shape[1], metric="cos", dtype="f32", connectivity=16, expansion_add=100)
    index.add(np.arange(len(features)), features, threads=1)

    def ask(asking: Features, effort: int) -> Found:
        index.expansion_search = (k + 1) * effort
        found = index.search(asking, k + 1, threads=1)
        return found.keys.astype(np.int64), 1 - found.distances

    return ask


def without_itself(found: Found, rows: NDArray[np.int64]) -> Neighbors:
    """Of k + 1 found for each of these rows the k that aren't itself."""
    indices, similarities = found
    own = indices == rows[:, None]
    own[~own.any(axis=1), -1] = True
    shape = len(indices), indices.shape[1] - 1
    return Neighbors(indices[~own].reshape(shape).astype(np.int64), similarities[~own].reshape(shape))


PEERS: dict[str, Callable[[Features, int], Ask]] = {"faiss": faiss, "hnswlib": hnswlib, "usearch": usearch}
EFFORTS, WANTED_RECALL = (1, 2, 4, 8, 16), 0.97


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
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--asked", type=int, help="Ask peers about so many samples, and count these for all.")
    parser.add_argument("--only", nargs="+", help="of the searches: ruc, scikit-learn, pynndescent, faiss …")
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
    peers = [peer for peer in PEERS if arguments.peers and importlib.util.find_spec(peer)]
    if arguments.only:
        searches = {name: each for name, each in searches.items() if name.split(",")[0] in arguments.only}
        peers = [peer for peer in peers if peer in arguments.only]
    n_probes = arguments.asked or (len(features) if few else N_PROBES)
    probes = np.sort(np.random.default_rng(1).choice(len(features), n_probes, replace=False))
    truth = exact(features, k) if n_probes == len(features) else exact_of(features, probes, k)
    print(f"{len(features)} samples of {features.shape[1]} features, {k} neighbours")
    print(f"{'':22}{'proc. s':>9}{'ratio':>7}{'recall':>8}{'of 15':>8}{'selected alike':>16}{'peak MiB':>10}")
    reference = 0.0

    def told(title: str, seconds: float, of_probes: Neighbors, found: Neighbors | None, peak: float) -> float:
        """Print a row; `found`: of all samples, where all were asked about. Returns the recall."""
        nonlocal reference
        reference = reference or seconds
        alike = ""
        if found is not None:
            clean, labels = trusted(features, with_rows(found, probes, truth), arguments.clusters)
            now_clean, now_labels = trusted(features, found, arguments.clusters)
            alike = f"{float(((clean == now_clean) & (labels == now_labels))[probes].mean()):.2%}"
        share = recall(of_probes, truth, k)
        print(
            f"{title:22}{seconds:9.1f}{reference / seconds:7.2f}{share:8.1%}{recall(of_probes, truth, 15):8.1%}"
            f"{alike:>16}{peak:10.0f}",
            flush=True,
        )
        return share

    for title, search in searches.items():
        forget_peak()
        held, started = held_mebibytes("VmRSS"), time.process_time()
        found = search(features, k)
        seconds, peak = time.process_time() - started, held_mebibytes() - held
        told(title, seconds, Neighbors(found.indices[probes], found.similarities[probes]), found, peak)
        del found
    asked = probes if arguments.asked else np.arange(len(features))
    for peer in peers:
        forget_peak()
        held, started = held_mebibytes("VmRSS"), time.process_time()
        ask = PEERS[peer](features, k)
        building = time.process_time() - started
        for effort in EFFORTS:
            started = time.process_time()
            found = without_itself(ask(features[asked], effort), asked)
            asking = (time.process_time() - started) * len(features) / len(asked)
            peak = held_mebibytes() - held
            whole = None if arguments.asked else found
            of_probes = (
                found if whole is None else Neighbors(found.indices[probes], found.similarities[probes])
            )
            if told(f"{peer}, {effort}", building + asking, of_probes, whole, peak) >= WANTED_RECALL:
                break
        del ask


if __name__ == "__main__":
    main()
