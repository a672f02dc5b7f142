"""One level of the tree over a run: what its groups are called, and which edits still hold there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.edits import Edit, Junk, Move, junk_clusters
from ruc.errors import InputError
from ruc.levels.tree import Tree, grow_tree
from ruc.run_folder import Run


@dataclass(frozen=True)
class Level:
    """A run's images in more or fewer groups.

    Attributes
    ----------
    cluster
        (n,) int64 the group of each image, 0 … K-1.
    names
        K names. A group has that of the largest cluster in it; of the parts of one cluster the largest has its name.
        Without a name it is its number.
    edits
        Of what a person did to the run, what holds in these groups: images placed by hand, unless their cluster is
        divided here, and junk.
    """

    cluster: NDArray[np.int64]
    names: tuple[str, ...]
    edits: tuple[Edit, ...]


def tree_of(run: Run, nearest: NDArray[np.int64]) -> Tree:
    """The tree over a run's clusters as they are now; `nearest`: (n, m) the nearest images of each."""
    return grow_tree(run.cluster, run.features, nearest, junk_clusters(run), run.seed)


def level_of(run: Run, n_clusters: int, nearest: NDArray[np.int64]) -> Level:
    """The level of a run's tree with so many groups.

    `nearest`: (n, m) the nearest images of each, as the run found them, so that the level is the one that its report
    shows.

    Raises
    ------
    InputError
        The tree has no such level.
    """
    tree = tree_of(run, nearest)
    if not 2 <= n_clusters <= tree.n_leaves:
        raise InputError(
            f"-k {n_clusters} given, and the tree of this run has 2 to {tree.n_leaves} groups; expected one of these: "
            f"for more, make a new run with ruc cluster -k {n_clusters}"
        )
    groups = tree.cut(n_clusters)
    overlap = np.zeros((run.n_clusters, n_clusters), np.int64)
    np.add.at(overlap, (run.cluster, groups), 1)
    return Level(groups, _names(run, overlap), _edits(run, groups, overlap))


def _names(run: Run, overlap: NDArray[np.int64]) -> tuple[str, ...]:
    names = [str(group) for group in range(overlap.shape[1])]
    named = [number for number, name in enumerate(run.cluster_names) if name != str(number)]
    for cluster in sorted(named, key=lambda number: overlap[number].max()):  # the largest has the last word
        if overlap[cluster].any():
            names[int(overlap[cluster].argmax())] = run.cluster_names[cluster]
    return tuple(names)


def _edits(run: Run, groups: NDArray[np.int64], overlap: NDArray[np.int64]) -> tuple[Edit, ...]:
    is_whole = (overlap > 0).sum(axis=1) == 1
    by_hand = run.marks.get("moved_by_hand", np.zeros(len(groups), np.bool_)).astype(np.bool_)
    holds = by_hand & is_whole[run.cluster]
    moves = [
        Move(tuple(run.file_names[row] for row in np.flatnonzero(holds & (groups == group))), int(group))
        for group in np.unique(groups[holds])
    ]
    kept = np.ones(run.n_clusters, np.bool_)
    kept[sorted(junk_clusters(run))] = False
    is_junk = overlap[kept].sum(axis=0) == 0
    return (*moves, *(Junk(int(group)) for group in np.flatnonzero(is_junk)))
