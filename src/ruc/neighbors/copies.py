"""Samples with the same features, which would otherwise be all that their neighbours find.

Copies of one sample say the same, so of a sample and all its copies only one counts among the neighbours of each
other. Which one, differs: if all named the same, it would be the hub of the neighbour graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.mapped import row_blocks

BLOCK_ROWS = 20_000  # at a time, for the memory


@dataclass(frozen=True)
class Copies:
    """Samples in groups of copies, the groups in the order of their first samples.

    Attributes
    ----------
    groups, places
        (n_samples,) the group of each sample, and which of its members it is.
    sizes
        (n_groups,) how many members each has.
    members, starts
        (n_samples,) the samples group by group, ascending in each, and (n_groups,) where each group begins.
    """

    groups: NDArray[np.int64]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]
    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def firsts(self) -> NDArray[np.int64]:
        """(n_groups,) the first sample of each group, ascending."""
        return self.members[self.starts]

    def spread(
        self,
        indices: NDArray[np.int64],
        similarities: NDArray[np.float32],
        to_copies: NDArray[np.float32],
        n_neighbors: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Neighbours of all samples from those of the groups: one of each group, more only if there are too few.

        Returns (n_samples, n_neighbors) indices and similarities.

        Parameters
        ----------
        indices, similarities
            (n_groups, n) the nearest other groups of each, nearest first.
        to_copies
            (n_groups,) how similar its members are to each other.
        n_neighbors
            How many there are to be, fewer than samples; n is as many, or all other groups.
        """
        n_samples = len(self.groups)
        shape = n_samples, n_neighbors
        found, similar = np.empty(shape, np.int64), np.empty(shape, np.float32)
        for start in range(0, n_samples, BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, n_samples))
            own = self.groups[rows]
            asked = np.column_stack([own, indices[own]])
            taken = self._taken(asked, n_neighbors)
            which = np.repeat(np.arange(asked.size), taken.ravel())
            number = np.arange(len(which)) - np.repeat(taken.cumsum() - taken.ravel(), taken.ravel())
            askers, group = rows[which // asked.shape[1]], asked.ravel()[which]
            # Those before it in its own group: a later copy names an earlier one, and no two the same.
            after = np.where(group == self.groups[askers], self.places[askers], askers)
            place = (after - 1 - number) % self.sizes[group]
            found[rows] = self.members[self.starts[group] + place].reshape(len(rows), -1)
            values = np.column_stack([to_copies[own], similarities[own]])
            similar[rows] = values.ravel()[which].reshape(len(rows), -1)
        return found, similar

    def _taken(self, asked: NDArray[np.int64], n_wanted: int) -> NDArray[np.int64]:
        """How many of each asked group, of which the first is the sample's own, as evenly as can be."""
        there = self.sizes[asked]
        there[:, 0] -= 1
        taken = np.zeros_like(asked)
        while (missing := n_wanted - taken.sum(axis=1, keepdims=True)).any():
            more = taken < there
            taken += more & (more.cumsum(axis=1) <= missing)
        return taken


def find_copies(features: NDArray[np.floating]) -> Copies | None:
    """The copies among rows, or None where all differ in float32."""
    # Two different rows of a million have the same hash once in ten million times.
    hashes = np.fromiter(
        (
            hash(row.tobytes())
            for part in row_blocks(features, BLOCK_ROWS)
            for row in np.asarray(features[part], np.float32) + np.float32(0)  # -0.0 is 0.0
        ),
        np.int64,
        len(features),
    )
    _, firsts, groups, sizes = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    if len(firsts) == len(features):
        return None
    order = np.argsort(firsts)
    number_of = np.empty(len(order), np.int64)
    number_of[order] = np.arange(len(order))
    groups, sizes = number_of[groups], sizes[order]
    members, starts = np.argsort(groups, kind="stable"), sizes.cumsum() - sizes
    places = np.empty(len(groups), np.int64)
    places[members] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return Copies(groups, places, sizes, members, starts)
