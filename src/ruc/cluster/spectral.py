"""Spectral clustering of the neighbour graph."""

import numpy as np
from numpy.typing import NDArray

from ruc.cluster.inputs import unit_features
from ruc.cluster.kmeans import kmeans_labels
from ruc.cluster.weighing import weighed_graph
from ruc.errors import InputError
from ruc.labels.clustering import Clustering
from ruc.neighbors.copies import find_copies
from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime


def spectral(
    features: NDArray[np.floating],
    n_clusters: int,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    n_restarts: int = 10,
) -> Clustering:
    """Cluster by k-means on the leading eigenvectors of the neighbour graph.

    Rows of the eigenvectors are scaled to unit length (Ng, Jordan and Weiss 2001). Of K to 1.5 K eigenvectors,
    each times its eigenvalue, those before the largest gap are taken: a cluster may show only in a later one.

    Without probabilities.

    Parameters
    ----------
    features
        (n_samples, n_features).
    runtime
        The seed, and where to compute.
    neighbors
        Neighbours that were found already, at least 15 of each sample; found here otherwise.
    n_restarts
        How many k-means++ starts.

    Raises
    ------
    InputError
        Samples that can't be clustered, or a graph that doesn't tell so many clusters apart.
    """
    unit = unit_features(features, n_clusters)
    copies = find_copies(features)
    if copies is None:
        affinity, masses = neighbor_graph(unit, runtime, neighbors), None
    else:
        affinity, masses = weighed_graph(unit, copies, runtime, neighbors).weighed, copies.sizes
    n_values = min(n_clusters + n_clusters // 2 + 1, affinity.shape[0])
    values, vectors = spectral_embedding(affinity, n_values, runtime)
    laplacian = 1.0 - values
    gaps = np.diff(laplacian) / np.maximum(laplacian[1:], 1e-6)
    n_vectors = n_clusters + int(gaps[n_clusters - 1 :].argmax()) if n_values > n_clusters else n_values
    rows = vectors[:, :n_vectors] * np.maximum(values[:n_vectors], 0.0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    try:
        labels = kmeans_labels(rows, n_clusters, runtime.numpy_seed("spectral"), n_restarts, masses)
    except InputError as error:  # samples that differ, but not by their neighbours
        raise InputError(
            f"the neighbour graph of {len(unit)} samples tells fewer than {n_clusters} clusters apart; lower the "
            "number of clusters, give more samples, or take the base 'kmeans'"
        ) from error
    labels = labels if copies is None else labels[copies.groups]
    return Clustering(labels, None, n_clusters, "spectral", "graph")
