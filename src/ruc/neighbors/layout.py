"""The neighbour graph, its eigenvectors, and its layout in a few dimensions.

The graph and the forces are those of UMAP (McInnes et al. 2018, arXiv 1802.03426), without its sampling of
single edges: every step moves all samples at once, along all edges, against one set of samples that all
share, so that it's a handful of matrix products and the same seed gives the same layout.
"""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime

N_NEIGHBORS = 15  # UMAP's default
N_STEPS = 200  # UMAP's default for larger sets
N_REPELLING = 100  # samples that push all others, drawn anew at each step
REPULSION = 5.0  # repulsion for each unit of attraction: UMAP's number of negative samples
STRONGEST_PUSH = 4.0  # UMAP clips its gradients there
SOFTENING = 0.01  # keeps the push finite between samples at the same place
COPY_DISTANCE = 0.05  # nearer than this share of the distance to the last neighbour is a copy
BLOCK_ROWS, BLOCK_EDGES = 2048, 32_768  # at a time, so that the intermediate results stay in the cache
LARGEST_DENSE = 3_000  # samples for which all eigenvectors can be had
EXTENT = 10.0  # the layout starts in [-EXTENT, EXTENT]


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
    runtime
        Where to compute.
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

    Returns
    -------
    scipy.sparse.csr_array
        (n_samples, n_samples) symmetric float32 weights in (0, 1].
    """
    directed = directed_graph(neighbors)
    backward = directed.T.tocsr()
    mutual = sp.csr_array(directed + backward - directed.multiply(backward))
    mutual.sort_indices()
    return mutual


def directed_graph(neighbors: Neighbors) -> sp.csr_array:
    """The weights of `fuzzy_graph` from each sample to its neighbours alone."""
    n_samples, n_neighbors = neighbors.indices.shape
    distances = np.sqrt(np.maximum(2.0 - 2.0 * neighbors.similarities.astype(np.float64), 0.0))
    copies = distances <= COPY_DISTANCE * distances[:, -1:]
    n_copies = copies.sum(axis=1)
    nearest = np.where(copies, np.inf, distances).min(axis=1)
    excess = np.where(copies, 0.0, distances - np.where(np.isfinite(nearest), nearest, 0.0)[:, None])
    targets = n_copies + np.log2(np.maximum(n_neighbors - n_copies, 2))
    weights = np.exp(-excess / np.maximum(_scales(excess, targets), 1e-3 * distances.mean() + 1e-12)[:, None])
    starts = np.arange(0, n_samples * n_neighbors + 1, n_neighbors)
    return sp.csr_array(
        (weights.astype(np.float32).ravel(), neighbors.indices.ravel(), starts), shape=(n_samples, n_samples)
    )


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
    degrees = np.maximum(affinity.sum(axis=1), 1e-12)
    inverse_root = sp.diags_array(1.0 / np.sqrt(degrees))
    normalised = sp.csr_array((inverse_root @ affinity @ inverse_root).astype(np.float64))
    generator = np.random.default_rng(runtime.numpy_seed("eigenvectors"))
    n_parts, part_of = connected_components(normalised, directed=False)
    if n_parts == 1:
        values, vectors = _leading(normalised, n_dimensions, generator)
    else:
        values, vectors = _leading_of_parts(normalised, degrees, part_of, n_dimensions, generator)
    order = np.argsort(-values, kind="stable")[:n_dimensions]
    values, vectors = values[order], vectors[:, order]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


def _leading(
    normalised: sp.csr_array, n_dimensions: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors of a graph in one piece."""
    n_samples = normalised.shape[0]
    if n_dimensions < n_samples - 1:
        start = generator.random(n_samples)
        try:
            # With a looser tolerance close eigenvalues (clusters that hardly touch) are found too seldom.
            values, vectors = eigsh(normalised, k=n_dimensions, which="LA", v0=start, tol=0.0)
            return values, vectors
        except ArpackNoConvergence:
            if n_samples > LARGEST_DENSE:
                values, vectors = eigsh(normalised, k=n_dimensions, which="LA", v0=start, tol=1e-4)
                return values, vectors
    values, vectors = np.linalg.eigh(normalised.toarray())
    return values[-n_dimensions:], vectors[:, -n_dimensions:]


def _leading_of_parts(
    normalised: sp.csr_array,
    degrees: NDArray[np.floating],
    part_of: NDArray[np.int32],
    n_dimensions: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of a graph in several pieces, found piece by piece: an iteration gets stuck on equal eigenvalues.

    Each piece has the eigenvalue 1 once, and any rotation of these eigenvectors will do. The first is that of all
    degrees, as in one piece; the others are random mixtures, so that few dimensions tell many pieces apart.
    """
    n_samples, n_parts = len(part_of), int(part_of.max()) + 1
    order = np.argsort(part_of, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(part_of))[:-1])
    roots = np.sqrt(degrees.astype(np.float64))
    weights = np.sqrt(np.bincount(part_of, weights=degrees))
    mixture = np.linalg.qr(np.column_stack([weights, generator.normal(size=(n_parts, n_parts - 1))]))[0]
    mixture = mixture[:, :n_dimensions]
    values, columns = [np.ones(mixture.shape[1])], [(roots / weights[part_of])[:, None] * mixture[part_of]]
    if n_parts < n_dimensions:
        for rows in members:
            wanted = min(n_dimensions - n_parts + 1, len(rows))
            inner_values, inner = _leading(normalised[rows][:, rows], wanted, generator)
            later = np.argsort(-inner_values, kind="stable")[1:]
            column = np.zeros((n_samples, len(later)))
            column[rows] = inner[:, later]
            values.append(inner_values[later])
            columns.append(column)
    return np.concatenate(values), np.column_stack(columns)


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
