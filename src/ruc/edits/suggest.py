"""What a person could do next: clusters that look like one, and clusters that look like two.

Both are read off the links of each image to its nearest images. Two clusters that share more links than chance would
give them are one; two halves of a cluster that share fewer than chance are two (modularity, Newman 2006), if the same
halves are found in random parts of the cluster. Measured in `experiments/suggestions.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits.nearest import condensed
from ruc.errors import InputError

CHANCE: Final = 1.0  # as many links as if each image had drawn its nearest ones by lot
LEAST_CLEAR: Final = 0.05  # experiments/LOG.md: of splits less clear than that most were wrong
FEWEST_TO_SPLIT: Final = 24
SAME: Final = 1e-6  # copies of one image differ by no more
MOST_DIVIDED: Final = 200  # clusters, the largest: more would take longer than they'd be read


@dataclass(frozen=True)
class SuggestedMerge:
    """Two clusters that look like one.

    Attributes
    ----------
    clusters
        Their numbers, the larger one first.
    links
        How many links there are between them, relative to chance.
    """

    clusters: tuple[int, int]
    links: float

    @property
    def strength(self) -> float:
        """For ranking: how far the links are from chance."""
        return self.links - CHANCE


@dataclass(frozen=True)
class SuggestedSplit:
    """A cluster that looks like two.

    Attributes
    ----------
    cluster
        Its number.
    rows
        The images of the smaller part.
    links
        How many links there are between the parts, relative to chance.
    found_again
        How well the same parts are found in random parts of the cluster: the mean adjusted Rand index.
    """

    cluster: int
    rows: NDArray[np.int64]
    links: float
    found_again: float

    @property
    def strength(self) -> float:
        """For ranking: how far the links are from chance, as far as the parts are found again."""
        return (CHANCE - self.links) * self.found_again


@dataclass(frozen=True)
class Suggestions:
    """What looks worth a person's decision.

    Attributes
    ----------
    merges, splits
        The strongest first.
    """

    merges: tuple[SuggestedMerge, ...] = ()
    splits: tuple[SuggestedSplit, ...] = ()

    def ranked(self) -> tuple[SuggestedMerge | SuggestedSplit, ...]:
        """The strongest first; whether a cluster is two isn't asked before it's known whether it's one with another."""
        undecided = {cluster for merge in self.merges for cluster in merge.clusters}
        splits = [split for split in self.splits if split.cluster not in undecided]
        return tuple(sorted([*self.merges, *splits], key=lambda one: -one.strength))


def suggest(
    cluster: NDArray[np.integer[Any]],
    features: NDArray[np.floating[Any]],
    nearest: NDArray[np.int64],
    junk: Collection[int] = (),
    seed: int = 0,
) -> Suggestions:
    """Find clusters that look like one, and clusters that look like two.

    Parameters
    ----------
    cluster
        (n_samples,) the cluster of each image.
    features
        (n_samples, n_features) unit-norm; of very many samples `condensed`.
    nearest
        (n_samples, m) the nearest images of each.
    junk
        Clusters that a person threw away: no part of any suggestion.
    """
    features = condensed(features)
    sizes = np.bincount(cluster[cluster >= 0], minlength=1)
    there = [number for number in np.flatnonzero(sizes) if number not in junk]
    links = links_to_chance(cluster, nearest)
    merges = [
        SuggestedMerge((one, other) if sizes[one] >= sizes[other] else (other, one), float(links[one, other]))
        for place, one in enumerate(int(number) for number in there)
        for other in (int(number) for number in there[place + 1 :])
        if links[one, other] > CHANCE
    ]
    largest = sorted(there, key=lambda number: -sizes[number])[:MOST_DIVIDED]
    named = np.bincount(nearest.ravel(), minlength=len(cluster))
    splits = [_suggest_split(int(number), cluster, features, nearest, named, seed) for number in largest]
    return Suggestions(
        tuple(sorted(merges, key=lambda one: -one.strength)),
        tuple(sorted((one for one in splits if one is not None), key=lambda one: -one.strength)),
    )


def links_to_chance(groups: NDArray[np.integer[Any]], nearest: NDArray[np.int64]) -> NDArray[np.float64]:
    """Links between each two groups relative to chance: (n_groups, n_groups), symmetric; groups below 0 have none.

    A link goes from an image to each of its nearest ones. By chance two groups have a share of all links that is the
    product of their shares of the links' ends.
    """
    n_groups = int(groups.max(initial=0)) + 1
    starts, ends = np.repeat(groups, nearest.shape[1]), groups[nearest].ravel()
    known = (starts >= 0) & (ends >= 0)
    counts = np.bincount(starts[known] * n_groups + ends[known], minlength=n_groups**2)
    shares = (counts.reshape(n_groups, n_groups) + counts.reshape(n_groups, n_groups).T).astype(np.float64)
    shares /= max(shares.sum(), 1.0)
    by_chance = np.outer(shares.sum(axis=1), shares.sum(axis=1))
    return np.divide(shares, by_chance, out=np.zeros_like(shares), where=by_chance > 0)


def _suggest_split(
    number: int,
    cluster: NDArray[np.integer[Any]],
    features: NDArray[np.floating[Any]],
    nearest: NDArray[np.int64],
    named: NDArray[np.int64],
    seed: int,
) -> SuggestedSplit | None:
    """`named`: (n_samples,) how many samples have each among their nearest."""
    from ruc.cluster.parts import divide, found_again
    from ruc.runtime import Runtime

    members = np.flatnonzero(cluster == number)
    if len(members) < FEWEST_TO_SPLIT:
        return None
    own, runtime = np.asarray(features[members], np.float32), Runtime("cpu", seed)
    try:
        if np.ptp(own, axis=0).max() < SAME:
            return None
        labels = divide(own, 2, runtime)
        links = _links_between(members[labels == 0], members[labels == 1], nearest, named)
        if CHANCE - links < LEAST_CLEAR:  # however often they are found again
            return None
        found = SuggestedSplit(number, members[labels == 1], links, found_again(own, labels, runtime))
    except InputError:  # copies of one image
        return None
    return found if found.strength >= LEAST_CLEAR else None


def _links_between(
    one: NDArray[np.int64], other: NDArray[np.int64], nearest: NDArray[np.int64], named: NDArray[np.int64]
) -> float:
    """Links between two groups of rows relative to chance, as by `links_to_chance` where all others are a third one."""
    there = int(np.isin(nearest[one], other).sum() + np.isin(nearest[other], one).sum())
    by_chance = [nearest.shape[1] * len(group) + int(named[group].sum()) for group in (one, other)]
    # Both are shares of twice the links: each has two ends.
    links: float = there * 2 * nearest.size / max(by_chance[0] * by_chance[1], 1)
    return links
