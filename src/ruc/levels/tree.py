"""A tree over the clusters of a run: upwards they join two by two, downwards each falls into parts.

Two groups join first whose images link to each other most, relative to chance, where each image links to its nearest
ones: hierarchical clustering of a graph by node pair sampling (Bonald, Charpentier, Galland and Hollocou 2018). The
clusters of the run are one level of the tree, whatever the links say: parts of two clusters never join before these do.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

LEAVES_PER_CLUSTER: Final = 4
SMALL_PER_CLUSTER: Final = 16  # groups that the leaves are joined from
FEWEST_DIVIDED: Final = 12  # images of a cluster; the graph of fewer says nothing
SMALLEST: Final = float(np.finfo(np.float64).tiny)
LAST, GONE = (
    -1.0,
    -2.0,
)  # in place of links: groups that join when no others are left, and what isn't there any more
FEWEST_LINKS: Final = 1e-3  # relative to chance: as good as none


@dataclass(frozen=True)
class Tree:
    """Groups that join two by two until one is left. n is the number of images.

    Attributes
    ----------
    leaf
        (n,) int64: the finest group of each image, 0 … n_leaves-1.
    joins
        (n_leaves-1, 2) int64: which two groups become one, in this order. A group below n_leaves is a leaf, another one
        came of join number `group - n_leaves`, as in scipy's linkage.
    links
        (n_leaves-1,) how many links there are between the two, relative to chance; no larger than before, but where the
        clusters of the run begin to join.
    n_clusters
        The level that is the run itself.
    """

    leaf: NDArray[np.int64]
    joins: NDArray[np.int64]
    links: NDArray[np.float64]
    n_clusters: int

    @property
    def n_leaves(self) -> int:
        """The finest level."""
        return len(self.joins) + 1

    def group_of_leaf(self, n_groups: int) -> NDArray[np.int64]:
        """(n_leaves,) the group of each leaf, where there are so many groups: 1 to n_leaves; numbered by first leaves.

        Leaves of one cluster follow each other, so groups come in the order of the clusters.
        """
        owner = np.arange(self.n_leaves)
        members: dict[int, list[int]] = {leaf: [leaf] for leaf in range(self.n_leaves)}
        for number, (one, other) in enumerate(self.joins[: self.n_leaves - n_groups].tolist()):
            members[self.n_leaves + number] = members.pop(one) + members.pop(other)
        for leaves in members.values():
            owner[leaves] = min(leaves)
        return np.unique(owner, return_inverse=True)[1].astype(np.int64)

    def cut(self, n_groups: int) -> NDArray[np.int64]:
        """(n,) the group of each image, where there are so many groups."""
        return self.group_of_leaf(n_groups)[self.leaf]

    def stable_levels(self, n_levels: int = 3) -> tuple[int, ...]:
        """The levels that last longest, ascending: from the links of the join that made one to those that end it.

        A level is what all ways of cutting agree on that ask for more links than the one and for fewer than the other;
        how much more is counted in factors.
        """
        links = np.log(np.maximum(self.links, FEWEST_LINKS))
        lasts = links[:-1] - links[1:]  # of n_leaves - 1 groups, of n_leaves - 2, …, of 2
        order = [number for number in np.argsort(-lasts, kind="stable").tolist() if lasts[number] > 0]
        return tuple(sorted(self.n_leaves - 1 - number for number in order[:n_levels]))


def grow_tree(
    cluster: NDArray[np.integer[Any]],
    features: NDArray[np.floating[Any]],
    nearest: NDArray[np.int64],
    junk: Collection[int] = (),
    seed: int = 0,
) -> Tree:
    """Grow the tree over a run's clusters, with about four leaves to a cluster.

    Each cluster is divided into small groups by the leading eigenvectors of its images' neighbour graph;
    these, and then the clusters, join by their links.

    Parameters
    ----------
    cluster
        (n_samples,) the cluster of each image; numbers without images are left out.
    features
        (n_samples, n_features) unit-norm; of very many samples `condensed`.
    nearest
        (n_samples, m) the nearest images of each.
    junk
        Clusters that a person threw away: they join others last of all.
    """
    present, inside = np.unique(cluster, return_inverse=True)
    small = _small_groups(inside, features, seed)
    owner = np.zeros(int(small.max()) + 1, np.int64)
    owner[small] = inside
    within, leaf_of = _joins_within(owner, _links(small, nearest), LEAVES_PER_CLUSTER * len(present))
    n_leaves = int(leaf_of.max()) + 1
    thrown = np.isin(present, sorted(junk))
    above = agglomerate(*_dense(_links(inside, nearest)), apart=thrown)
    names = _roots(owner, leaf_of, within)  # what each cluster has become
    joins = [(one, other) for one, other, _ in within]
    for one, other, _ in above:
        joins.append((names[one], names[other]))
        names.append(n_leaves + len(joins) - 1)
    links = _falling([link for *_, link in within]) + _falling([link for *_, link in above])
    return Tree(leaf_of[small], np.array(joins, np.int64).reshape(-1, 2), np.array(links), len(present))


def agglomerate(
    weights: NDArray[np.float64], volumes: NDArray[np.float64], apart: NDArray[np.bool_] | None = None
) -> list[tuple[int, int, float]]:
    """Join the two groups with the most links relative to chance, again and again until one is left.

    Parameters
    ----------
    weights
        (n_groups, n_groups) symmetric: links between each two groups, as shares of all links.
    volumes
        (n_groups,) the share of all links that each group has a part in.
    apart
        (n_groups,) bool: groups that join those without this mark last of all.

    Returns
    -------
    list of (int, int, float)
        Which two, numbered on as in scipy's linkage, and their links relative to chance.
    """
    n_groups = len(weights)
    weights, volumes = weights.copy(), volumes.copy()
    side = np.zeros(n_groups, np.bool_) if apart is None else apart.copy()

    def row_of(one: int) -> NDArray[np.float64]:
        row: NDArray[np.float64] = weights[one] / np.maximum(volumes[one] * volumes, SMALLEST)
        row[side != side[one]] = LAST
        row[one], row[gone] = GONE, GONE
        return row

    names, gone, found = np.arange(n_groups), np.zeros(n_groups, np.bool_), []
    links = np.stack([row_of(one) for one in range(n_groups)])
    for number in range(n_groups - 1):
        one, other = sorted(divmod(int(links.argmax()), n_groups))
        found.append((int(names[one]), int(names[other]), max(float(links[one, other]), 0.0)))
        weights[one] += weights[other]
        weights[:, one] += weights[:, other]
        volumes[one] += volumes[other]
        gone[other], names[one] = True, n_groups + number
        links[one] = links[:, one] = row_of(one)
        links[other] = links[:, other] = GONE
    return found


def _small_groups(
    cluster: NDArray[np.int64], features: NDArray[np.floating[Any]], seed: int
) -> NDArray[np.int64]:
    """(n,) groups within the clusters, as many as their shares of all images are, numbered cluster by cluster."""
    from ruc.cluster.parts import groups_within
    from ruc.edits.nearest import condensed
    from ruc.runtime import Runtime

    features, runtime = condensed(features), Runtime("cpu", seed)
    sizes = np.bincount(cluster)
    groups = np.empty(len(cluster), np.int64)
    n_before = 0
    for one, size in enumerate(sizes.tolist()):
        members = np.flatnonzero(cluster == one)
        n_groups = round(SMALL_PER_CLUSTER * len(sizes) * size / len(cluster))
        found = np.zeros(size, np.int64)
        if size >= FEWEST_DIVIDED:
            found = groups_within(features[members], n_groups, runtime)
        groups[members] = n_before + np.unique(found, return_inverse=True)[1]
        n_before = int(groups[members].max()) + 1
    return groups


def _links(groups: NDArray[np.int64], nearest: NDArray[np.int64]) -> sp.csr_array:
    """Links between each two groups, to and fro, as shares of all links."""
    n_groups = int(groups.max()) + 1
    starts, ends = np.repeat(groups, nearest.shape[1]), groups[nearest].ravel()
    counts = sp.csr_array((np.ones(len(starts)), (starts, ends)), shape=(n_groups, n_groups))
    return sp.csr_array((counts + counts.T) / max(2 * len(starts), 1))


def _dense(links: sp.csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return links.toarray(), np.asarray(links.sum(axis=1), np.float64).ravel()


def _joins_within(
    owner: NDArray[np.int64], links: sp.csr_array, most_leaves: int
) -> tuple[list[tuple[int, int, float]], NDArray[np.int64]]:
    """Join small groups until each cluster is one.

    Returns
    -------
    joins
        Those after there are as many leaves as there may be, the most linked first, numbered as in `Tree`.
    leaf_of
        The leaf that each small group is in; leaves are numbered cluster by cluster.
    """
    volumes = np.asarray(links.sum(axis=1), np.float64).ravel()
    all_joins: list[
        tuple[float, int, int, int, int]
    ] = []  # links, cluster, number in it, and which two, by places
    members: list[NDArray[np.int64]] = []
    for one in range(int(owner.max()) + 1):
        places = np.flatnonzero(owner == one)
        members.append(places)
        found = agglomerate(links[places][:, places].toarray(), volumes[places])
        falling = _falling([link for *_, link in found])
        all_joins += [
            (-link, one, number, first, second)
            for number, ((first, second, _), link) in enumerate(zip(found, falling, strict=True))
        ]
    all_joins.sort()
    n_first = max(0, len(owner) - most_leaves)
    held = {(one, place): [int(small)] for one, own in enumerate(members) for place, small in enumerate(own)}
    for _, one, number, first, second in all_joins[:n_first]:
        held[one, len(members[one]) + number] = held.pop((one, first)) + held.pop((one, second))
    leaf_of, name_of = np.empty(len(owner), np.int64), {}
    for leaf, ((one, place), smalls) in enumerate(sorted(held.items(), key=lambda each: min(each[1]))):
        leaf_of[smalls], name_of[one, place] = leaf, leaf
    joins: list[tuple[int, int, float]] = []
    for link, one, number, first, second in all_joins[n_first:]:
        name_of[one, len(members[one]) + number] = len(held) + len(joins)
        joins.append((name_of[one, first], name_of[one, second], -link))
    return joins, leaf_of


def _roots(
    owner: NDArray[np.int64], leaf_of: NDArray[np.int64], joins: list[tuple[int, int, float]]
) -> list[int]:
    """What each cluster is called once all joins within clusters are done."""
    n_leaves = int(leaf_of.max()) + 1
    cluster_of = np.zeros(n_leaves + len(joins), np.int64)
    cluster_of[leaf_of] = owner
    roots = dict(zip(cluster_of[:n_leaves].tolist(), range(n_leaves), strict=True))
    for number, (one, _, _) in enumerate(joins):
        cluster_of[n_leaves + number] = cluster_of[one]
        roots[int(cluster_of[one])] = n_leaves + number
    return [roots[one] for one in range(int(owner.max()) + 1)]


def _falling(links: list[float]) -> list[float]:
    """None larger than one before it: groups of few links to any may have more of them once they are joined."""
    return np.minimum.accumulate(links).tolist() if links else []
