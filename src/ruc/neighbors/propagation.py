"""Let the neighbour graph smooth a clustering before its labels are trusted.

Zhou et al. 2003, *Learning with Local and Global Consistency*: each sample repeatedly takes a share of its
neighbours' labels and keeps a share of its own. k-means and its like cut through dense regions; the graph
doesn't. Labels that are unknown are filled in from the nearest known ones.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.graphs import smoothing_graph
from ruc.neighbors.search import Neighbors

N_NEIGHBORS = 10  # experiments/LOG.md, "what refining adds in feature space"
N_STEPS = 40  # of what is smoothed by 0.9 a step 0.9 ** 40, 1.5%, would come later
MOST_DENSE = 10_000_000  # samples times clusters; beyond, a few clusters of each sample are looked at
N_CANDIDATES = 8  # clusters of a sample; what fewer cost: experiments/LOG.md, "large data in feature space"
BLOCK_ROWS = 8192  # at a time, for the memory


def is_large(base: Clustering) -> bool:
    """Whether a number for each sample and each cluster would be too many."""
    return len(base.labels) * base.n_clusters > MOST_DENSE


def all_clusters(n_samples: int, n_clusters: int) -> NDArray[np.int64]:
    """(n_samples, n_clusters) every cluster for every sample."""
    return np.broadcast_to(np.arange(n_clusters), (n_samples, n_clusters))


def possible_clusters(base: Clustering, neighbors: Neighbors) -> NDArray[np.int64]:
    """(n_samples, m) the clusters that each sample could be of: all, or `find_candidates` where all are too many."""
    if is_large(base):
        return find_candidates(base.labels, neighbors)
    return all_clusters(len(base.labels), base.n_clusters)


def propagate(
    base: Clustering, neighbors: Neighbors, share: float, columns: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Smooth labels over the graph of the 10 nearest neighbours.

    Returns (n_samples, n_clusters or m) the shares with which each cluster arrived. Where no label did, all are alike,
    or 0 where there are columns.

    Parameters
    ----------
    base
        The clustering; -1 has nothing to say.
    share
        How much of a sample's label comes from its neighbours, in [0, 1).
    columns
        (n_samples, m) the clusters that each sample takes part in, its own first, where all would be too many, see
        `find_candidates`; what would arrive of others is left out.
    """
    known = np.flatnonzero(base.labels != UNKNOWN)
    graph = smoothing_graph(neighbors, N_NEIGHBORS)
    if columns is None:
        start = np.zeros((len(base.labels), base.n_clusters), np.float32)
        start[known, base.labels[known]] = 1.0
    else:  # a product of a sparse matrix over all pairs of sample and cluster is a step
        graph = _pair_graph(graph, columns)
        start = np.zeros((columns.size, 1), np.float32)
        start[known * columns.shape[1]] = 1.0
    arrived = start
    for _ in range(N_STEPS):
        arrived = share * (graph @ arrived) + (1 - share) * start
    arrived = arrived.reshape(len(base.labels), -1)
    total = arrived.sum(axis=1, keepdims=True)
    nothing = 1 / base.n_clusters if columns is None else 0
    shares = np.where(total > 0, arrived / np.where(total > 0, total, 1), nothing)
    return shares.astype(np.float32)


def find_candidates(labels: NDArray[np.int64], neighbors: Neighbors) -> NDArray[np.int64]:
    """(n_samples, 8) the sample's own label and the most frequent others among its neighbours; -1: none left."""
    found = np.full((len(labels), N_CANDIDATES), UNKNOWN)
    for start in range(0, len(labels), BLOCK_ROWS):
        own = labels[start : start + BLOCK_ROWS]
        voters = np.sort(labels[neighbors.indices[start : start + BLOCK_ROWS]], axis=1)
        is_first = np.ones(voters.shape, bool)
        is_first[:, 1:] = voters[:, 1:] != voters[:, :-1]
        ends = np.where(is_first, np.arange(voters.shape[1]), voters.shape[1])
        ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[
            :, ::-1
        ]  # where the run begins that comes next or is here
        following = np.column_stack([ends[:, 1:], np.full(len(voters), voters.shape[1])])
        counts = np.where(
            is_first & (voters != own[:, None]) & (voters != UNKNOWN),
            following - np.arange(voters.shape[1]),
            0,
        )
        best = np.argsort(-counts, axis=1, kind="stable")[:, : N_CANDIDATES - 1]
        chosen = np.where(
            np.take_along_axis(counts, best, axis=1) > 0, np.take_along_axis(voters, best, axis=1), UNKNOWN
        )
        found[start : start + BLOCK_ROWS, 0] = own
        found[start : start + BLOCK_ROWS, 1 : 1 + chosen.shape[1]] = chosen
    return found


def _pair_graph(graph: sp.csr_array, candidates: NDArray[np.int64]) -> sp.csr_array:
    """The graph of pairs of sample and candidate: an edge joins the pairs of its ends that have the same cluster."""
    n_samples, width = candidates.shape
    parts = []
    for start in range(0, n_samples, BLOCK_ROWS):
        block = graph[start : start + BLOCK_ROWS].tocoo()
        here, there = candidates[start + block.row], candidates[block.col]
        edge, own, other = np.nonzero((here[:, :, None] == there[:, None, :]) & (here != UNKNOWN)[:, :, None])
        shape = (min(BLOCK_ROWS, n_samples - start) * width, n_samples * width)
        entries = (block.data[edge], (block.row[edge] * width + own, block.col[edge] * width + other))
        parts.append(sp.csr_array(entries, shape=shape))
    return sp.csr_array(sp.vstack(parts, format="csr"))
