"""Merging small groups of a graph into communities, at a resolution.

The gain of merging two groups is their share of all edge weight minus `resolution` times what chance would give
them: modularity (Newman 2006; Reichardt and Bornholdt 2006). At resolution 1 modularity wants clusters of like
size; the lower the resolution, the more unequal they may be.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


@dataclass(frozen=True)
class Merged:
    """Groups merged at one resolution.

    Attributes
    ----------
    owners
        (n_groups,) the community of each group, 0 … n_communities-1.
    natural_number
        How many communities were left when no merger had a gain any more.
    """

    owners: NDArray[np.int64]
    natural_number: int


def connections(affinity: sp.csr_array, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the graph's weight between each two groups: (n_groups, n_groups), summing to 1."""
    n_samples, n_groups = len(groups), int(groups.max()) + 1
    members = sp.csr_array((np.ones(n_samples), (np.arange(n_samples), groups)), shape=(n_samples, n_groups))
    weights = np.asarray((members.T @ affinity @ members).todense(), dtype=np.float64)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def merge_groups(weights: NDArray[np.float64], n_communities: int | None, resolution: float) -> Merged:
    """Merge the two groups with the highest gain, again and again; then move single groups.

    Parameters
    ----------
    weights
        (n_groups, n_groups) from `connections`.
    n_communities
        How many to end with, at most n_groups; None: the natural number.
    resolution
        Weight of chance in the gain.
    """
    n_groups = len(weights)
    volumes = weights.sum(axis=1)
    gains = weights - resolution * np.outer(volumes, volumes)
    np.fill_diagonal(gains, -np.inf)
    best = gains.max(axis=1)
    partners = gains.argmax(axis=1)
    owners = np.arange(n_groups)
    natural: NDArray[np.int64] | None = None
    wanted: NDArray[np.int64] | None = None
    for n_left in range(n_groups, 0, -1):
        first = int(best.argmax())
        second = int(partners[first])
        if natural is None and (n_left == 1 or best[first] <= 0.0):
            natural = owners.copy()
        if n_left == n_communities:
            wanted = owners.copy()
        if natural is not None and (n_communities is None or wanted is not None):
            break
        # The gain is bilinear in the groups: merged rows and columns simply add up.
        gains[first] += gains[second]
        gains[:, first] = gains[first]
        gains[first, first] = gains[second] = gains[:, second] = -np.inf
        _update_best(gains, best, partners, first, second)
        owners[owners == second] = first
    assert natural is not None
    chosen = np.unique(natural if wanted is None else wanted, return_inverse=True)[1].astype(np.int64)
    return Merged(_move(weights, volumes, chosen, resolution), len(np.unique(natural)))


def _update_best(
    gains: NDArray[np.float64],
    best: NDArray[np.float64],
    partners: NDArray[np.int64],
    first: int,
    second: int,
) -> None:
    """Keep the highest gain of each group, and the lowest number with which it has it, in place.

    To look for them anew after each merger would make many groups cost their cube.
    """
    merged = gains[first]
    is_better = (merged > best) | ((merged == best) & (first < partners))
    best[is_better], partners[is_better] = merged[is_better], first
    lost = (partners == second) | ((partners == first) & (merged < best))
    lost[[first, second]] = True
    rows = gains[lost]
    partners[lost] = rows.argmax(axis=1)
    best[lost] = np.take_along_axis(rows, partners[lost, None], axis=1)[:, 0]


def agreement(
    one: NDArray[np.int64], other: NDArray[np.int64], weights: NDArray[np.integer] | None = None
) -> float:
    """Adjusted Rand index of two labellings 0, 1, … of the same samples (Hubert and Arabie 1985).

    1: the same partition; 0: no more alike than chance. It's here for two labellings that the method itself made.
    """
    width = int(other.max()) + 1
    counts = np.bincount(one * width + other, weights, minlength=(int(one.max()) + 1) * width)
    table = counts.reshape(-1, width).astype(np.float64)

    def pairs(sizes: NDArray[np.floating]) -> float:
        return float((sizes * (sizes - 1.0)).sum() / 2.0)

    both, first, second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    by_chance = first * second / max(pairs(table.sum(keepdims=True)), 1.0)
    most = (first + second) / 2.0
    return 1.0 if most == by_chance else (both - by_chance) / (most - by_chance)


def shared_information(
    one: NDArray[np.int64], other: NDArray[np.int64], weights: NDArray[np.integer] | None = None
) -> float:
    """Mutual information of two labellings 0, 1, … of the same samples, over the mean of their entropies.

    1: the same partition; 0: one says nothing of the other. As `agreement`, for labellings that the method itself made.
    """
    width = int(other.max()) + 1
    joint, *sizes = (np.bincount(labels, weights) for labels in (one * width + other, one, other))

    def entropy(counts: NDArray[np.number]) -> float:
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    first, second = map(entropy, sizes)
    mean = (first + second) / 2
    return 1.0 if mean == 0 else (first + second - entropy(joint)) / mean


def shared_clusters(
    one: NDArray[np.int64], other: NDArray[np.int64], weights: NDArray[np.integer] | None = None
) -> float:
    """How well each cluster of two labellings 0, 1, … is found in the other: Jaccard's index with the likest of it.

    The mean over clusters, of whatever size: what Hennig (2007) calls clusterwise stability. 1: the same partition.
    """
    width = int(other.max()) + 1
    joint, first, second = (np.bincount(labels, weights) for labels in (one * width + other, one, other))
    cells = np.flatnonzero(joint)
    rows, columns = np.divmod(cells, width)
    likeness = joint[cells] / (first[rows] + second[columns] - joint[cells])
    likest = [np.zeros(len(first)), np.zeros(len(second))]
    np.maximum.at(likest[0], rows, likeness)
    np.maximum.at(likest[1], columns, likeness)
    return float((likest[0].mean() + likest[1].mean()) / 2)


def _move(
    weights: NDArray[np.float64],
    volumes: NDArray[np.float64],
    owners: NDArray[np.int64],
    resolution: float,
    n_rounds: int = 20,
) -> NDArray[np.int64]:
    """Move single groups to the community that gains most, until none moves; no community dies."""
    n_groups, n_communities = len(owners), int(owners.max()) + 1
    owners = owners.copy()
    pairwise = weights - resolution * np.outer(volumes, volumes)
    np.fill_diagonal(pairwise, 0.0)
    gains = pairwise @ np.eye(n_communities)[owners]
    sizes = np.bincount(owners, minlength=n_communities)
    for _ in range(n_rounds):
        moved = False
        for group in range(n_groups):
            here, best = owners[group], int(gains[group].argmax())
            if sizes[here] > 1 and gains[group, best] > gains[group, here] + 1e-12:
                gains[:, here] -= pairwise[group]
                gains[:, best] += pairwise[group]
                sizes[here] -= 1
                sizes[best] += 1
                owners[group], moved = best, True
        if not moved:
            break
    return owners
