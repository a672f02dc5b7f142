"""The layout of a graph of neighbours in a few dimensions.

The forces are those of UMAP (McInnes et al. 2018, arXiv 1802.03426), without its sampling of single edges: every step
moves all samples at once, along all edges, against one set of samples that all share, so that it's a handful of matrix
products and the same seed gives the same layout.
"""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.runtime import Runtime

N_STEPS = 200  # UMAP's default for larger sets
N_REPELLING = 100  # samples that push all others, drawn anew at each step
REPULSION = 5.0  # repulsion for each unit of attraction: UMAP's number of negative samples
STRONGEST_PUSH = 4.0  # UMAP clips its gradients there
SOFTENING = 0.01  # keeps the push finite between samples at the same place
BLOCK_ROWS, BLOCK_EDGES = 2048, 32_768  # at a time, so that the intermediate results stay in the cache
EXTENT = 10.0  # the layout starts in [-EXTENT, EXTENT]


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
