"""The door to every base clustering that works from features alone."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.cluster.density import density
from ruc.cluster.graph import GROUPS_PER_CLUSTER, MOST_SAMPLES, graph
from ruc.cluster.inputs import unit_features
from ruc.cluster.kmeans import kmeans
from ruc.cluster.mixture import mixture
from ruc.cluster.scan import scan
from ruc.cluster.scan_images import scan_images
from ruc.cluster.spectral import spectral
from ruc.errors import UsageError, shown
from ruc.labels.clustering import Clustering
from ruc.neighbors.copies import find_copies
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.modularity import coverage
from ruc.neighbors.search import Neighbors
from ruc.networks import ImageNetwork
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

FEWEST_OF_EACH = 100  # samples of each cluster for the graph to be better than k-means (experiments/LOG.md)
MOST_HEADS = 200  # clusters; SCAN's heads for more take minutes even on few samples
MOST_TORN = 0.02  # of the edges: SCAN was better at up to 0.009, worse from 0.029 on (experiments/LOG.md)


@dataclass(frozen=True)
class Method:
    """A base clustering.

    Attributes
    ----------
    run
        Clusters (n_samples, n_features); the neighbours may be None, and the number of clusters where it's found.
    finds_number
        Whether the number of clusters is found where none is given.
    on_images
        The same on images, where whole networks are retrained: it returns the network that sees the clusters, too.
    """

    run: Callable[[NDArray[np.floating], Any, Runtime, Neighbors | None], Clustering]
    finds_number: bool = False
    on_images: Callable[..., tuple[Clustering, ImageNetwork]] | None = None


def cluster(
    features: NDArray[np.floating],
    n_clusters: int | None,
    method: str,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
) -> Clustering:
    """Cluster features by the named method.

    "auto" is "scan" where it tears hardly more of the neighbour graph apart than "graph", and "graph" else: what was
    best on most of the data that they were measured on (experiments/RESULTS.md). Where one sample has so many copies
    that they may be a cluster of their own it's "graph". For more than 200 clusters or 20,000 samples it's "graph",
    beyond 20,000 as long as that has 100 samples of each cluster to look at, else "kmeans".

    Clusters are numbered from the largest to the smallest.

    Parameters
    ----------
    features
        (n_samples, n_features).
    n_clusters
        Number of clusters; None where the method finds it.
    method
        One of `METHODS`.
    runtime
        The seed, and where to compute.
    neighbors
        Neighbours that were found already, for the methods on the neighbour graph.

    Raises
    ------
    InputError
        Unknown method, no number of clusters, or features that cannot be clustered.
    """
    known = method_of(method)
    if n_clusters is None and not known.finds_number:
        finding = ", ".join(repr(name) for name, each in METHODS.items() if each.finds_number)
        raise UsageError(
            f"base clustering {method!r} needs the number of clusters; give it, or take {finding}"
        )
    return largest_first(known.run(features, n_clusters, runtime, neighbors))


def method_of(name: str) -> Method:
    """The method that is called so; raises `InputError` where there is none."""
    if not isinstance(name, str) or name not in METHODS:
        raise UsageError(f"base clustering {shown(name)} is unknown; expected one of {', '.join(METHODS)}")
    return METHODS[name]


def _automatic(
    features: NDArray[np.floating], n_clusters: int, runtime: Runtime, neighbors: Neighbors | None
) -> Clustering:
    """SCAN's heads are smooth and ask for clusters of like size: better, unless that tears the graph apart."""
    n_samples = len(features)
    if n_samples > MOST_SAMPLES and n_clusters * FEWEST_OF_EACH > MOST_SAMPLES:
        why = "kmeans, since graph looks at %d samples, too few for %d clusters"
        logger.info("base clustering: " + why, MOST_SAMPLES, n_clusters)
        return kmeans(features, n_clusters, runtime)
    if n_samples > MOST_SAMPLES or n_clusters > MOST_HEADS:
        why = "graph, since SCAN's heads would take long to train on %d samples for %d clusters"
        logger.info("base clustering: " + why, n_samples, n_clusters)
        return graph(features, n_clusters, runtime, neighbors)
    copies = find_copies(features)
    if copies is not None and copies.sizes.max() * GROUPS_PER_CLUSTER * n_clusters >= n_samples:
        why = "graph, since SCAN's heads want clusters of like size, and %d samples are copies of one"
        logger.info("base clustering: " + why, copies.sizes.max())
        return graph(features, n_clusters, runtime, neighbors)
    with runtime.side_by_side(2) as run:
        beside = replace(
            runtime, verbose=runtime.verbose and run is map
        )  # a terminal shows one bar at a time
        work = (graph, runtime), (scan, beside)
        found: list[Clustering] = list(run(lambda job: job[0](features, n_clusters, job[1], neighbors), work))
    communities, heads = found
    affinity = neighbor_graph(unit_features(features, n_clusters), runtime, neighbors)
    kept, also_kept = coverage(affinity, communities.labels), coverage(affinity, heads.labels)
    taken = heads if also_kept > kept - MOST_TORN else communities
    why = (
        "scan, as it keeps about as much of the neighbour graph together as graph"
        if taken is heads
        else "graph, as scan tears more of the neighbour graph apart"
    )
    logger.info(
        "base clustering: %s (edges within clusters: scan %.1f%%, graph %.1f%%)",
        why,
        100 * also_kept,
        100 * kept,
    )
    return taken


METHODS = {
    "auto": Method(_automatic),
    "graph": Method(graph),
    "kmeans": Method(kmeans),
    "mixture": Method(mixture),
    "spectral": Method(spectral),
    "density": Method(density, finds_number=True),
    "scan": Method(scan, on_images=scan_images),
}


def largest_first(found: Clustering) -> Clustering:
    """Number the clusters by size, of equal ones by their first sample, so that numbers mean the same in each run."""
    order = order_by_size(found)
    number_of = np.empty(found.n_clusters, np.int64)
    number_of[order] = np.arange(found.n_clusters)
    labels = np.where(found.labels >= 0, number_of[found.labels], found.labels)
    probabilities = (
        None if found.probabilities is None else np.ascontiguousarray(found.probabilities[:, order])
    )
    return replace(found, labels=labels, probabilities=probabilities)


def order_by_size(found: Clustering) -> NDArray[np.int64]:
    """The clusters by size, of equal ones by their first sample."""
    known = np.flatnonzero(found.labels >= 0)
    sizes = np.bincount(found.labels[known], minlength=found.n_clusters)
    first = np.full(found.n_clusters, len(found.labels))
    np.minimum.at(first, found.labels[known], known)
    return np.lexsort((first, -sizes))
