"""Samples whose clusters follow a person's edits, and each thing that an edit does to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.check.lesson import Lesson
from ruc.edits.nearest import N_NEAREST, nearest_images
from ruc.errors import InputError

SAME = 1e-3  # of a feature vector's length: nearer ones are the same image, decoded again
ROWS = 1024


@dataclass
class Samples:
    """Samples whose clusters follow the edits; the arrays are changed in place or replaced.

    Attributes
    ----------
    cluster
        (n,) int64.
    probabilities
        (n, K) float32, K growing with the clusters.
    features
        (n, n_features) unit-norm rows, or None where no edit needs them.
    placed
        (n,) bool: put where it is by a person, for certain.
    """

    cluster: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    features: NDArray[np.float32] | None
    placed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.placed = np.zeros(len(self.cluster), np.bool_)

    @property
    def known_features(self) -> NDArray[np.float32]:
        """The features; raises `InputError` where there are none."""
        if self.features is None:
            raise InputError(
                "features missing; expected those of the samples: clusters were split or changed by hand"
            )
        return self.features

    @cached_property
    def nearest(self) -> NDArray[np.int64]:
        """(n, 12) the nearest of the samples to each; raises `InputError` without features."""
        return nearest_images(self.known_features)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,) the probability of each sample's cluster."""
        return self.probabilities[np.arange(len(self.cluster)), self.cluster]

    def part(self, rows: NDArray[np.int64]) -> "Samples":
        """A copy of some of the samples, without features."""
        return Samples(self.cluster[rows], self.probabilities[rows], None)

    def joined(self, others: "Samples") -> "Samples":
        """These and others, without features."""
        both = (
            np.concatenate([self.cluster, others.cluster]),
            np.concatenate([self.probabilities, others.probabilities]),
        )
        return Samples(*both, None)

    def divide(
        self,
        cluster: int,
        parts: NDArray[np.int64],
        shares: NDArray[np.float32],
        first_new: int,
    ) -> None:
        """Part 0 stays in the cluster, part i becomes `first_new + i - 1`; probabilities are divided by the shares."""
        columns = [cluster, *range(first_new, first_new + shares.shape[1] - 1)]
        self.probabilities[:, columns] = self.probabilities[:, [cluster]] * shares
        inside = np.flatnonzero((self.cluster == cluster) & (parts > 0))
        self.cluster[inside] = first_new + parts[inside] - 1

    def place(self, rows: NDArray[Any], cluster: int) -> None:
        """Into a cluster, for certain."""
        self.probabilities[rows] = 0
        self.probabilities[rows, cluster] = 1
        self.cluster[rows] = cluster
        self.placed[rows] = True

    def teach(self, lesson: Lesson) -> None:
        """What a lesson says of all but those that a person placed."""
        taught = lesson(self.probabilities, self.known_features)
        self.probabilities = np.where(self.placed[:, None], self.probabilities, taught)
        self.cluster = np.where(self.placed, self.cluster, taught.argmax(axis=1))

    def expel(self, rows: NDArray[Any], cluster: int, others: Sequence[int]) -> None:
        """Out of a cluster, into the likeliest of the others; nothing is said of how likely each of those is."""
        self.probabilities[rows, cluster] = 0
        places = np.ix_(rows, np.asarray(others))
        left = self.probabilities[places]
        total = left.sum(axis=1, keepdims=True)
        left = np.where(total > 0, left / np.where(total > 0, total, 1), np.float32(1 / len(others)))
        self.probabilities[places] = left
        self.placed[rows] = False
        self.cluster[rows] = np.asarray(others)[left.argmax(axis=1)]


def shares_of_members(
    parts_of: NDArray[np.int64], members: NDArray[np.int64], nearest: NDArray[np.int64], n_parts: int
) -> NDArray[np.float32]:
    """To what share each image of a cluster that is divided belongs to each part: its own vote and its nearest images'.

    Of a small part as many of them vote as it could have.

    `parts_of`: (n,) the part of each image, -1 outside of the cluster. `nearest`: (n, m) the nearest images of each.
    """
    n_votes = max(1, int(np.bincount(parts_of[members], minlength=n_parts).min()) - 1)
    votes = (parts_of[nearest[members, :n_votes]][:, :, None] == np.arange(n_parts)).sum(axis=1)
    votes[np.arange(len(members)), parts_of[members]] += 1
    return np.asarray(votes / votes.sum(axis=1, keepdims=True), np.float32)


def shares_of_others(
    features: NDArray[np.float32],
    members: NDArray[np.float32],
    parts_of_members: NDArray[np.int64],
    n_parts: int,
) -> NDArray[np.float32]:
    """Of the nearest images of the divided cluster, how many are in each part: (n, n_parts) shares."""
    n_votes = min(N_NEAREST, int(np.bincount(parts_of_members, minlength=n_parts).min()))
    shares = np.empty((len(features), n_parts), np.float32)
    for start in range(0, len(features), ROWS):
        similarities = features[start : start + ROWS] @ members.T
        nearest = np.argpartition(-similarities, n_votes - 1, axis=1)[:, :n_votes]
        votes = (parts_of_members[nearest][:, :, None] == np.arange(n_parts)).mean(axis=1)
        shares[start : start + ROWS] = votes
    return shares


def equals(
    features: NDArray[np.float32], those: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are one of those, up to rounding, and which one each of them is."""
    from scipy.spatial.distance import cdist

    found, which = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(features) if len(those) else 0, ROWS):
        distances = cdist(features[start : start + ROWS], those)
        nearest = distances.argmin(axis=1)
        same = np.flatnonzero(distances.min(axis=1) <= SAME)
        found.append(start + same)
        which.append(nearest[same])
    return np.concatenate(found), np.concatenate(which)
