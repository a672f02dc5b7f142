"""Let the neighbour graph smooth a clustering before its labels are trusted.

Zhou et al. 2003, *Learning with Local and Global Consistency*: each sample repeatedly takes a share of its
neighbours' labels and keeps a share of its own. k-means and its like cut through dense regions; the graph
doesn't. Labels that are unknown are filled in from the nearest known ones.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.cluster.clustering import UNKNOWN, Clustering
from ruc.embed.neighbors import Neighbors

__all__ = ["propagate"]

N_NEIGHBORS = 10
N_STEPS = 40


def propagate(base: Clustering, neighbors: Neighbors, share: float) -> Clustering:
    """Smooth labels over the graph of the 10 nearest neighbours.

    Parameters
    ----------
    base
        The clustering; -1 has nothing to say.
    neighbors
        Nearest neighbours of every sample.
    share
        How much of a sample's label comes from its neighbours, in [0, 1).

    Returns
    -------
    Clustering
        Its probabilities are the shares with which each cluster arrived; samples that no label reached stay -1.
    """
    start = np.zeros((len(base.labels), base.n_clusters), np.float32)
    known = np.flatnonzero(base.labels != UNKNOWN)
    start[known, base.labels[known]] = 1.0
    graph = _normalized_graph(neighbors)
    arrived = start
    for _ in range(N_STEPS):
        arrived = share * (graph @ arrived) + (1 - share) * start
    total = arrived.sum(axis=1, keepdims=True)
    reached = total[:, 0] > 0
    probabilities = np.where(total > 0, arrived / np.where(total > 0, total, 1), 1 / base.n_clusters)
    labels = np.where(reached, arrived.argmax(axis=1), UNKNOWN).astype(np.int64)
    return Clustering(labels, probabilities.astype(np.float32), base.n_clusters, base.name)


def _normalized_graph(neighbors: Neighbors) -> sp.csr_array:
    """Symmetric; an edge fades with its length relative to the sample's other edges."""
    n_samples = len(neighbors.indices)
    columns = neighbors.indices[:, :N_NEIGHBORS]
    lengths = np.sqrt(np.maximum(2 - 2 * neighbors.similarities[:, :N_NEIGHBORS], 0))
    scale = np.maximum(lengths.mean(axis=1, keepdims=True), np.finfo(np.float32).eps)
    weights: NDArray[np.float32] = np.exp(-((lengths / scale) ** 2)).astype(np.float32)
    rows = np.repeat(np.arange(n_samples), columns.shape[1])
    graph = sp.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(n_samples, n_samples))
    graph = graph.maximum(graph.T)
    inverse_root = sp.diags_array(1 / np.sqrt(graph.sum(axis=1)))
    return sp.csr_array(inverse_root @ graph @ inverse_root)
