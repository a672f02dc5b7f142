"""The neighbour graph, its eigenvectors, and its layout in a few dimensions.

The graph and the forces are those of UMAP (McInnes et al. 2018, arXiv 1802.03426), without its sampling of
single edges: every step moves all samples at once, along all edges, against one set of samples that all
share, so that it's a handful of matrix products and the same seed gives the same layout.
"""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from ruc.embed.neighbors import Neighbors, nearest_neighbors
from ruc.runtime import Runtime

__all__ = [
    "N_NEIGHBORS",
    "fuzzy_graph",
    "graph_layout",
    "layout_start",
    "neighbor_graph",
    "spectral_embedding",
]

N_NEIGHBORS = 15
N_STEPS = 200
N_REPELLING = 100  # samples that push all others, drawn anew at each step
REPULSION = 5.0  # repulsion for each unit of attraction: UMAP's number of negative samples
STRONGEST_PUSH = 4.0
SOFTENING = 0.01  # keeps the push finite between samples at the same place
COPY_DISTANCE = 0.05  # nearer than this share of the distance to the last neighbour is a copy
BLOCK_ROWS, BLOCK_EDGES = 2048, 32_768  # at a time, so that the intermediate results stay in the cache
EXTENT = 10.0  # the layout starts in [-EXTENT, EXTENT]


def neighbor_graph(
    unit: NDArray[np.float32],
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    n_neighbors: int = N_NEIGHBORS,
) -> sp.csr_array:
    """Graph of the nearest neighbours, weighed by `fuzzy_graph`.

    Parameters
    ----------
    unit
        (n_samples, n_features) rows of unit length.
    runtime
        Where to compute.
    neighbors
        Neighbours that were found already; found here when they're fewer than `n_neighbors`.
    n_neighbors
        How many neighbours of each sample count.
    """
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

    Returns
    -------
    scipy.sparse.csr_array
        (n_samples, n_samples) symmetric float32 weights in (0, 1].
    """
    n_samples, n_neighbors = neighbors.indices.shape
    distances = np.sqrt(np.maximum(2.0 - 2.0 * neighbors.similarities.astype(np.float64), 0.0))
    copies = distances <= COPY_DISTANCE * distances[:, -1:]
    n_copies = copies.sum(axis=1)
    nearest = np.where(copies, np.inf, distances).min(axis=1)
    excess = np.where(copies, 0.0, distances - np.where(np.isfinite(nearest), nearest, 0.0)[:, None])
    targets = n_copies + np.log2(np.maximum(n_neighbors - n_copies, 2))
    weights = np.exp(-excess / np.maximum(_scales(excess, targets), 1e-3 * distances.mean() + 1e-12)[:, None])
    starts = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    directed = sp.csr_array(
        (weights.astype(np.float32).ravel(), neighbors.indices.ravel(), starts), shape=(n_samples, n_samples)
    )
    backward = directed.T.tocsr()
    mutual = sp.csr_array(directed + backward - directed.multiply(backward))
    mutual.sort_indices()
    return mutual


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


def spectral_embedding(
    affinity: sp.csr_array, n_dimensions: int, runtime: Runtime
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leading eigenvalues and eigenvectors of ``D**-½ W D**-½``, the largest first.

    Each eigenvector's sign is such that its largest entry is positive.

    Returns
    -------
    eigenvalues
        (n_dimensions,), at most 1.
    eigenvectors
        (n_samples, n_dimensions).
    """
    inverse_root = sp.diags_array(1.0 / np.sqrt(np.maximum(affinity.sum(axis=1), 1e-12)))
    normalised = (inverse_root @ affinity @ inverse_root).astype(np.float64)
    if n_dimensions >= affinity.shape[0] - 1:
        values, vectors = np.linalg.eigh(normalised.toarray())
        values, vectors = values[-n_dimensions:], vectors[:, -n_dimensions:]
    else:
        start = np.random.default_rng(runtime.numpy_seed("eigenvectors")).random(affinity.shape[0])
        # With a looser tolerance eigenvalues that come several times (a graph in parts) are found too seldom.
        values, vectors = eigsh(normalised, k=n_dimensions, which="LA", v0=start, tol=0.0)
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def layout_start(affinity: sp.csr_array, n_dimensions: int, runtime: Runtime) -> NDArray[np.float32]:
    """Where a layout begins: (n_samples, n_dimensions) eigenvectors, without the first, which is the degrees alone."""
    n_samples = affinity.shape[0]
    n_dimensions = min(n_dimensions, n_samples - 1)
    _, vectors = spectral_embedding(affinity, min(n_dimensions + 1, n_samples), runtime)
    start = vectors[:, 1 : n_dimensions + 1]
    start = EXTENT * start / np.maximum(np.abs(start).max(), 1e-12)
    return np.asarray(start, np.float32)


def graph_layout(
    affinity: sp.csr_array,
    n_dimensions: int,
    runtime: Runtime,
    purpose: str = "layout",
    start: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Place the samples so that neighbours are close and all others apart.

    Attraction along every edge and repulsion from shared random samples are the gradients of UMAP's
    cross-entropy for the kernel ``1 / (1 + d**2)``; the step shrinks linearly to 0. It starts from the
    eigenvectors, or from `start`, which is `layout_start` of the same graph; `purpose` names the stream of random
    numbers, another one gives another layout.

    Returns
    -------
    numpy.ndarray
        (n_samples, n_dimensions) float32 positions.
    """
    n_samples = affinity.shape[0]
    start = layout_start(affinity, n_dimensions, runtime) if start is None else start
    generator = runtime.generator(purpose)
    positions = torch.from_numpy(start)
    positions = positions + 1e-4 * torch.randn(positions.shape, generator=generator)

    edges = affinity.tocoo()
    tails, heads = torch.from_numpy(edges.row).long(), torch.from_numpy(edges.col).long()
    weights = torch.from_numpy(edges.data.astype(np.float32))[:, None]
    degrees = torch.zeros(n_samples, 1).index_add_(0, tails, weights)
    blocks = list(zip(*(torch.split(each, BLOCK_EDGES) for each in (tails, heads, weights)), strict=True))
    for step in range(N_STEPS):
        force = torch.zeros_like(positions)
        for tail, head, weight in blocks:
            difference = positions[head] - positions[tail]
            pull = weight / (1.0 + difference.square().sum(dim=1, keepdim=True))
            # Each edge is there in both directions and moves both its ends: 2 * 2.
            force.index_add_(0, tail, 4.0 * pull * difference)
        others = torch.randint(n_samples, (N_REPELLING,), generator=generator)
        force += degrees * REPULSION * _mean_push(positions, others)
        force.clamp_(-2.0 * STRONGEST_PUSH, 2.0 * STRONGEST_PUSH)
        positions = positions + (1.0 - step / N_STEPS) * force
    return positions.numpy()


def _mean_push(positions: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Mean push of the other samples on each sample, in one matrix product a block."""
    origins = positions[others]
    means = torch.empty_like(positions)
    for start in range(0, len(positions), BLOCK_ROWS):
        block = positions[start : start + BLOCK_ROWS]
        squares = torch.cdist(block, origins).square_()
        push = 2.0 / (SOFTENING + squares).mul_(1.0 + squares)
        push = torch.minimum(push, STRONGEST_PUSH / squares.sqrt_().add_(1e-6))
        own = ((others >= start) & (others < start + len(block))).nonzero().squeeze(1)
        push[others[own] - start, own] = 0.0
        means[start : start + BLOCK_ROWS] = push.sum(dim=1, keepdim=True) * block - push @ origins
    return means / len(others)
