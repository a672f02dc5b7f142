"""A run's edits as they are of other images: those that joined follow, those that were dropped are named no more."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ruc.edits import Answer, Edit, Merge, Move, Split
from ruc.edits.apply import as_answered, edits_of, guests_of, perform, state_of
from ruc.run_folder import Run


@dataclass(frozen=True)
class Followed:
    """What edits make of images that join a run.

    Attributes
    ----------
    cluster, probabilities
        (n_new,) and (n_new, K) of the clusters as they were edited.
    by_hand
        (n_new,) bool: the same image as one that a person placed.
    edits
        The run's, with the new images where a cluster was divided, or the same image was placed.
    """

    cluster: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    by_hand: NDArray[np.bool_]
    edits: tuple[Edit, ...]


def followed(
    run: Run, names: Sequence[str], probabilities: NDArray[np.float32], features: NDArray[np.float32]
) -> Followed:
    """Perform a run's edits on new images beside its own.

    Parameters
    ----------
    names
        Of the new images.
    probabilities
        (n_new, K) as the networks gave them, K as it was before any edit.
    features
        (n_new, n_features) unit-norm.
    """
    new = guests_of(run, probabilities, features)
    state = state_of(as_answered(run), new)
    by_hand, edits = np.zeros(len(names), np.bool_), []

    def named(rows: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(names[row] for row in np.flatnonzero(rows).tolist())

    for edit in edits_of(run):
        before, first_new = new.cluster.copy(), len(state.names)
        perform(state, [edit])
        match edit:
            case Split(_, parts):
                joined = [named(new.cluster == first_new + number) for number in range(len(parts))]
                edit = replace(edit, parts=tuple((*a, *b) for a, b in zip(parts, joined, strict=True)))
            case Move(file_names, cluster):
                came = (new.cluster == cluster) & (before != cluster)
                by_hand |= came
                edit = replace(edit, file_names=(*file_names, *named(came)))
        edits.append(edit)
    return Followed(new.cluster, new.probabilities, by_hand, tuple(edits))


def needed_by(edits: Sequence[Edit], gone: Collection[str]) -> set[str]:
    """Images that can't go, one of each group of images that edits moved or split off: or clusters would be others."""
    groups: list[tuple[str, ...]] = []
    for edit in edits:
        match edit:
            case Move(file_names):
                groups.append(file_names)
            case Split(_, parts):
                groups.extend(parts)
    return {group[0] for group in groups if group and all(name in gone for name in group)}


def without(
    edits: Sequence[Edit], began: Sequence[int], gone: Collection[str]
) -> tuple[tuple[Edit, ...], list[int]]:
    """The edits, and where each command's begin, without the images that are gone; answers about these go too."""
    kept: list[Edit] = []
    begins: list[int] = []
    for number, edit in enumerate(edits):
        if number in began:
            begins.append(len(kept))
        match edit:
            case Answer(file_name) if file_name in gone:
                continue
            case Move(file_names):
                edit = replace(edit, file_names=tuple(name for name in file_names if name not in gone))
            case Split(_, parts):
                edit = replace(
                    edit, parts=tuple(tuple(name for name in part if name not in gone) for part in parts)
                )
        kept.append(edit)
    return tuple(kept), sorted({start for start in begins if start < len(kept)})


def own_clusters(run: Run, rows: NDArray[np.int64], groups: NDArray[np.int64]) -> tuple[Edit, ...]:
    """Edits that give groups of images clusters of their own: split off wherever they are, and merged.

    New images follow a cluster that was made so, as they follow every split.
    """
    edits: list[Edit] = []
    n_clusters = len(run.cluster_names)
    left = np.bincount(run.cluster, minlength=n_clusters)
    for group in np.unique(groups):
        members = rows[groups == group]
        pieces = []
        for cluster in np.unique(run.cluster[members]).tolist():
            here = members[run.cluster[members] == cluster]
            left[cluster] -= len(here)
            if left[cluster] == 0:  # it holds nothing else
                pieces.append(cluster)
                continue
            edits.append(Split(cluster, (tuple(run.file_names[row] for row in here),)))
            pieces.append(n_clusters)
            n_clusters += 1
        if len(pieces) > 1:
            edits.append(Merge(tuple(pieces)))
    return tuple(edits)
