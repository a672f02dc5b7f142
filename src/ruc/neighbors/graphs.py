"""Graphs of the nearest neighbours: the only place where neighbours become edges.

The fuzzy graph is that of UMAP (McInnes et al. 2018, arXiv 1802.03426): on it clusters are found, layouts made and
eigenvectors taken. Smoothing, a hidden field and modularity each ask for weights of another kind.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime

N_NEIGHBORS = 15  # UMAP's default
COPY_DISTANCE = 0.05  # nearer than this share of the distance to the last neighbour is a copy


def neighbor_graph(
    unit: NDArray[np.float32],
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    n_neighbors: int = N_NEIGHBORS,
) -> sp.csr_array:
    """Graph of the nearest neighbours, weighed by `fuzzy_graph`; of several embeddings the mean of their graphs.

    Parameters
    ----------
    unit
        (n_samples, n_features) rows of unit length.
    neighbors
        Neighbours that were found already; found here when they're fewer than `n_neighbors`.
    n_neighbors
        How many neighbours of each sample count.
    """
    if neighbors is not None and neighbors.parts:
        graphs = [neighbor_graph(unit, runtime, part, n_neighbors) for part in neighbors.parts]
        mean = sp.csr_array(sum(graphs[1:], start=graphs[0]) / np.float32(len(graphs)))
        mean.sort_indices()
        return mean
    wanted = min(n_neighbors, len(unit) - 1)
    if neighbors is None or neighbors.indices.shape[1] < wanted:
        neighbors = nearest_neighbors(unit, wanted, runtime)
    return fuzzy_graph(Neighbors(neighbors.indices[:, :wanted], neighbors.similarities[:, :wanted]))


def fuzzy_graph(neighbors: Neighbors) -> sp.csr_array:
    """Weigh the edges to the nearest neighbours, each sample on its own scale, and make them mutual.

    The weight of sample i's edge to j is ``exp(-(d_ij - d_i1) / s_i)`` with the distance d_i1 to the nearest
    and s_i such that the weights of a sample sum to log2(n_neighbors); the two directions are joined by
    the probabilistic or (UMAP, sections 3.1 and 4.2). Copies of a sample have weight 1 and are left out of both d_i1
    and the sum, or nothing would be left for the others.

    Returns (n_samples, n_samples) symmetric float32 weights in (0, 1].
    """
    directed = directed_graph(neighbors)
    backward = directed.T.tocsr()
    mutual = sp.csr_array(directed + backward - directed.multiply(backward))
    mutual.sort_indices()
    return mutual


def directed_graph(neighbors: Neighbors) -> sp.csr_array:
    """The weights of `fuzzy_graph` from each sample to its neighbours alone."""
    n_neighbors = neighbors.indices.shape[1]
    distances = np.sqrt(np.maximum(2.0 - 2.0 * neighbors.similarities.astype(np.float64), 0.0))
    copies = distances <= COPY_DISTANCE * distances[:, -1:]
    n_copies = copies.sum(axis=1)
    nearest = np.where(copies, np.inf, distances).min(axis=1)
    excess = np.where(copies, 0.0, distances - np.where(np.isfinite(nearest), nearest, 0.0)[:, None])
    targets = n_copies + np.log2(np.maximum(n_neighbors - n_copies, 2))
    weights = np.exp(-excess / np.maximum(_scales(excess, targets), 1e-3 * distances.mean() + 1e-12)[:, None])
    return _edges(neighbors.indices, weights.astype(np.float32))


def _scales(excess: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each row the scale s at which ``sum(exp(-excess / s))`` is its target, by bisection."""
    low = np.zeros(len(excess))
    high = np.full(len(excess), np.inf)
    scales = np.ones(len(excess))
    for _ in range(50):
        too_large = np.exp(-excess / scales[:, None]).sum(axis=1) > targets
        high = np.where(too_large, scales, high)
        low = np.where(too_large, low, scales)
        scales = np.where(np.isinf(high), 2.0 * scales, (low + high) / 2.0)
    return np.maximum(scales, 1e-12)


def plain_graph(indices: NDArray[np.int64]) -> sp.csr_array:
    """(n_samples, n_samples) float64: 1 where either of two samples is a neighbour of the other."""
    directed = _edges(indices, np.ones(indices.shape))
    return sp.csr_array(directed.maximum(directed.T))


def smoothing_graph(neighbors: Neighbors, n_neighbors: int) -> sp.csr_array:
    """Symmetric ``D**-½ W D**-½``, float32; an edge fades with its length relative to the sample's other edges."""
    lengths = np.sqrt(np.maximum(2 - 2 * neighbors.similarities[:, :n_neighbors], 0))
    scale = np.maximum(lengths.mean(axis=1, keepdims=True), np.finfo(np.float32).eps)
    weights: NDArray[np.float32] = np.exp(-((lengths / scale) ** 2)).astype(np.float32)
    directed = _edges(neighbors.indices[:, :n_neighbors], weights)
    graph = directed.maximum(directed.T)
    inverse_root = sp.diags_array(1 / np.sqrt(graph.sum(axis=1)))
    return sp.csr_array(inverse_root @ graph @ inverse_root)


def averaging_graph(neighbors: Neighbors, n_neighbors: int) -> sp.csr_array:
    """Float32 rows summing to 1: over those that are a neighbour, or have the sample as theirs, twice where both."""
    indices = neighbors.indices[:, :n_neighbors]
    directed = _edges(indices, np.ones(indices.shape, np.float32))
    mutual = directed + directed.T
    return sp.csr_array(sp.diags_array((1 / mutual.sum(axis=1)).astype(np.float32)) @ mutual)


def _edges(indices: NDArray[np.int64], weights: NDArray[np.floating]) -> sp.csr_array:
    """(n_samples, n_samples): from each sample to its neighbours."""
    n_samples, n_neighbors = indices.shape
    starts = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    return sp.csr_array((weights.ravel(), indices.ravel(), starts), shape=(n_samples, n_samples))
