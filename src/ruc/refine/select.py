"""Choose the samples whose initial label is trusted (Park et al. 2021, section 3.1)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import Neighbors
from ruc.refine.settings import RefineSettings

MOST_VOTERS = 100  # k of the official code
MOST_NAMED = 10  # clusters in a warning
VOTES_AT_ONCE = 16 * 1024 * 1024  # samples times clusters, for the memory
RELAXED_SHARE = (
    0.1  # of a cluster's members are trusted, the most typical ones, when none passes the threshold
)


@dataclass(frozen=True)
class CleanSelection:
    """The labels to start from, and which of them are trusted.

    Attributes
    ----------
    labels
        (n_samples,) int64.
    n_clusters
        How many clusters there are.
    is_clean
        (n_samples,) bool.
    selection
        The selection that was used, which is not the one asked for when the base has no probabilities.
    remarks
        One line for each thing worth knowing: why another selection was used.
    warnings
        A line that names the clusters of which no sample could be trusted, if there are such.
    """

    labels: NDArray[np.int64]
    n_clusters: int
    is_clean: NDArray[np.bool_]
    selection: str
    remarks: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def select_clean(
    base: Clustering,
    neighbors: Neighbors | None,
    settings: RefineSettings,
    belief: NDArray[np.floating] | None = None,
) -> CleanSelection:
    """Trust the labels that the base is sure of, that the neighbours share, or both.

    *confidence* trusts `probabilities[i, labels[i]] >= confidence_threshold`; *neighbors* trusts a label that no
    other label outvotes among the nearest neighbours in an independent, self-supervised embedding, or, where it was
    estimated how far each can be believed, one that is more likely right than wrong; *hybrid* asks for both. A label
    of -1 is never clean. Without probabilities `neighbors` is used, with a remark. A cluster left without a clean
    sample trusts its most typical tenth, with a warning.

    Parameters
    ----------
    neighbors
        Nearest neighbours of every sample; not needed for *confidence*.
    settings
        `selection`, `confidence_threshold`, `n_neighbors`, `neighbor_agreement` and `least_clean` are used.
    belief
        (n_samples,) the probability of each label, where that was estimated.

    Raises
    ------
    InputError
        No sample has a label, or the neighbours that the selection needs are missing.
    """
    known = base.labels != UNKNOWN
    if not known.any():
        raise InputError(
            f"all {len(base.labels)} initial labels are unknown (-1); expected at least one known label per "
            "cluster; give labels, or let the tool cluster"
        )
    remarks: tuple[str, ...] = ()
    selection = settings.selection
    if selection != "neighbors" and base.probabilities is None:
        remarks = (f"selection is 'neighbors' instead of {selection!r}: {base.name} gives no probabilities",)
        selection = "neighbors"
    is_clean = known.copy()
    typicality = np.zeros(len(known))
    if selection in ("confidence", "hybrid"):
        confidence = _confidence(base)
        is_clean &= confidence >= settings.confidence_threshold
        typicality += confidence
    if selection in ("neighbors", "hybrid"):
        agreed, agreement = _agreement(base, neighbors, settings, belief)
        is_clean &= agreed
        typicality += agreement
    warnings = _trust_most_typical(base, is_clean, typicality, selection)
    return CleanSelection(base.labels, base.n_clusters, is_clean, selection, remarks, warnings)


def _confidence(base: Clustering) -> NDArray[np.float32]:
    """(n_samples,) the base's probability of each label, 0 where it is unknown."""
    assert base.probabilities is not None
    asked = np.maximum(base.labels, 0)[:, None]
    own = np.take_along_axis(base.probabilities, asked, axis=1)[:, 0]
    return np.where(base.labels == UNKNOWN, np.float32(0), own)


def _agreement(
    base: Clustering,
    neighbors: Neighbors | None,
    settings: RefineSettings,
    belief: NDArray[np.floating] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """(n_samples,) whether the neighbours agree with each label, and how much."""
    if belief is not None:
        return belief > 0.5, belief
    own, most = _own_and_most_votes(base, neighbors, settings.n_neighbors or MOST_VOTERS)
    return (own >= most) & (own >= _agreement_needed(base, own, settings)), own


def _trust_most_typical(
    base: Clustering, is_clean: NDArray[np.bool_], typicality: NDArray[np.floating], selection: str
) -> tuple[str, ...]:
    """Trust a tenth of each cluster that has no clean sample, in place; returns one warning if there are such."""
    without, n_members, n_trusted = [], 0, 0
    for cluster in range(base.n_clusters):
        members = np.flatnonzero(base.labels == cluster)
        if len(members) and not is_clean[members].any():
            most_typical = np.argsort(-typicality[members], kind="stable")
            tenth = members[most_typical[: max(1, round(RELAXED_SHARE * len(members)))]]
            is_clean[tenth] = True
            without.append(str(cluster) if base.cluster_names is None else base.cluster_names[cluster])
            n_members, n_trusted = n_members + len(members), n_trusted + len(tenth)
    if not without:
        return ()
    named = ", ".join(without[:MOST_NAMED])
    if len(without) == 1:
        which = f"cluster {named} has"
    else:
        more = f" and {len(without) - MOST_NAMED} more" if len(without) > MOST_NAMED else ""
        which = f"clusters {named}{more} have"
    return (
        f"{which} no clean sample among {n_members}, selected by {selection}; "
        f"{'the most typical is' if n_trusted == 1 else f'the {n_trusted} most typical are'} trusted instead",
    )


def _agreement_needed(
    base: Clustering, own: NDArray[np.float32], settings: RefineSettings
) -> NDArray[np.float32]:
    """(n_samples,) the share of votes that each label needs: lower in clusters that would lose too many."""
    needed = np.full(len(own), settings.neighbor_agreement or 0.0, np.float32)
    for cluster in np.unique(base.labels[base.labels != UNKNOWN]):
        members = base.labels == cluster
        reached = np.quantile(own[members], 1.0 - settings.least_clean, method="lower")
        needed[members] = np.minimum(needed[members], reached)
    return needed


def _own_and_most_votes(
    base: Clustering, neighbors: Neighbors | None, n_neighbors: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each sample the share of votes for its own label, and the largest share that any label has."""
    own, most = (np.empty(len(base.labels), np.float32) for _ in range(2))
    step = max(1, VOTES_AT_ONCE // base.n_clusters)
    for start in range(0, len(own), step):
        rows = slice(start, start + step)
        votes = neighbor_votes(base, neighbors, n_neighbors, rows)
        labels = base.labels[rows]
        own[rows] = votes[np.arange(len(labels)), np.where(labels == UNKNOWN, 0, labels)]
        most[rows] = votes.max(axis=1)
    return own, most


def neighbor_votes(
    base: Clustering, neighbors: Neighbors | None, n_neighbors: int, rows: slice = slice(None)
) -> NDArray[np.float32]:
    """Share of the nearest neighbours with each label, (n_samples, n_clusters), or of these rows alone.

    At most half the mean cluster size votes, so that a small cluster is not outvoted by geometry alone.
    Neighbours without a label do not vote.
    """
    if neighbors is None:
        raise InputError(
            "selection by neighbours needs the nearest neighbours of every sample, and none were given; give "
            "features, or use selection='confidence'"
        )
    n_samples = len(base.labels)
    if len(neighbors.indices) != n_samples:
        raise InputError(
            f"neighbours of {len(neighbors.indices)} samples were given for {n_samples} labels; expected as many"
        )
    used = min(n_neighbors, max(1, n_samples // (2 * base.n_clusters)), neighbors.indices.shape[1])
    voters = base.labels[neighbors.indices[rows, :used]]
    votes = np.zeros((len(voters), base.n_clusters), np.float32)
    of, columns = np.nonzero(voters != UNKNOWN)
    np.add.at(votes, (of, voters[of, columns]), 1.0)
    return votes / np.float32(used)
