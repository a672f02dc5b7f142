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
TINY = 1e-12  # a squared distance, so that there is no division by 0
BLOCK_SAMPLES = 1024  # at a time, so that the intermediate results stay in the cache
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

    Returns (n_samples, n_dimensions) float32 positions.
    """
    n_samples = affinity.shape[0]
    start = layout_start(affinity, n_dimensions, runtime) if start is None else start
    generator = runtime.generator(purpose)
    positions = torch.from_numpy(
        np.ascontiguousarray(start)
    )  # eigenvectors come by columns, gathered are rows
    positions = positions + 1e-4 * torch.randn(positions.shape, generator=generator)

    pull = _Pull(affinity)
    repulsion = torch.from_numpy(np.asarray(REPULSION * affinity.sum(axis=1), np.float32))[:, None]
    for step in range(N_STEPS):
        # Each edge is there in both directions and moves both its ends: 2 * 2.
        force = 4.0 * pull(positions)
        others = torch.randint(n_samples, (N_REPELLING,), generator=generator)
        force += repulsion * _mean_push(positions, others)
        force.clamp_(-2.0 * STRONGEST_PUSH, 2.0 * STRONGEST_PUSH)
        positions = positions + (1.0 - step / N_STEPS) * force
    return positions.numpy()


class _Pull:
    """The sum of the pulls along a sample's edges.

    How strong an edge pulls is found once for its two ends, and the sums are a sparse product: gathering and adding
    the pull of each end of each edge takes four times as long. In NumPy, which gathers short rows three times as fast.
    """

    def __init__(self, affinity: sp.csr_array) -> None:
        edges = sp.triu(affinity, 1).tocoo()
        self.tails, self.heads = edges.row.astype(np.intp), edges.col.astype(np.intp)
        self.weights = edges.data.astype(np.float32)
        numbers = sp.coo_array((np.arange(1, edges.nnz + 1), (edges.row, edges.col)), shape=affinity.shape)
        both_ways = sp.csr_array(numbers + numbers.T)
        self.edge_of = both_ways.data - 1  # which edge stands at each place of the matrix
        self.pulls = sp.csr_array(
            (np.zeros(both_ways.nnz, np.float32), both_ways.indices, both_ways.indptr), shape=affinity.shape
        )

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        """(n_samples, n_dimensions) ``sum(weight / (1 + d**2) * (neighbour - sample))``."""
        places = positions.numpy()
        difference = places.take(self.tails, axis=0)
        difference -= places.take(self.heads, axis=0)
        lengths = np.square(difference, out=difference) @ np.ones(places.shape[1], np.float32)
        strength = np.divide(self.weights, lengths + 1, out=lengths)
        self.pulls.data = strength.take(self.edge_of)
        sums = torch.from_numpy(self.pulls @ _with_ones(positions).numpy())
        return torch.addcmul(sums[:, :-1], sums[:, -1:], positions, value=-1.0)


def _mean_push(positions: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Mean push of the other samples on each sample, in two matrix products a block.

    At a squared distance s that is ``min(2 / ((SOFTENING + s) * (1 + s)), STRONGEST_PUSH / sqrt(s))`` for each unit of
    distance, here the inverse of the larger of two divisors. A sample's push on itself has no direction. Samples come
    last: a product of few rows takes a quarter of the time of one of few columns on a CPU.
    """
    origins = positions[others]
    to_distances = torch.cat([-2.0 * origins, origins.square().sum(dim=1, keepdim=True)], dim=1)
    with_ones = _with_ones(positions).T.contiguous()
    pushing = STRONGEST_PUSH / len(others) * _with_ones(origins).T
    lengths = with_ones[:-1].square().sum(dim=0)
    half = STRONGEST_PUSH / 2
    sums = torch.empty_like(with_ones)
    for start in range(0, len(positions), BLOCK_SAMPLES):
        part = slice(start, start + BLOCK_SAMPLES)
        squares = torch.addmm(lengths[part], to_distances, with_ones[:, part]).clamp_min_(TINY)
        # half * (SOFTENING + squares) * (1 + squares), multiplied out.
        divisors = torch.add(half * (1 + SOFTENING), squares, alpha=half).mul_(squares).add_(half * SOFTENING)
        torch.maximum(divisors, squares.sqrt_(), out=divisors).reciprocal_()
        sums[:, part] = pushing @ divisors
    return torch.addcmul(-sums[:-1].T, sums[-1:].T, positions)


def _with_ones(positions: torch.Tensor) -> torch.Tensor:
    """A column of ones beside the positions: a product with them sums the weights too."""
    return torch.cat([positions, positions.new_ones(len(positions), 1)], dim=1)
