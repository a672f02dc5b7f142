"""What a person's edits change, performed one after another: on the run's own samples, and on new ones alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.check.lesson import LEAST, Lesson, held_out, learn
from ruc.edits.nearest import N_NEAREST, nearest_images
from ruc.errors import InputError, UsageError

# Control characters, which XML has no way to write, and halves of characters, which UTF-8 has none for.
UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

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

    @cached_property
    def nearest(self) -> NDArray[np.int64]:
        """(n, 12) the nearest of the samples to each; raises `InputError` without features."""
        return nearest_images(_needed(self))

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


class EditState:
    """A run's clusters while a list of edits is performed.

    Parameters
    ----------
    initial
        The same samples as they were before RUC; their clusters may be -1 (unknown).
    guests
        New samples, which follow; None: there are none.
    unseen
        Rows of images that will be placed by answers, and (n, K) what is said of each without its answer; None: what is
        said of all.
    """

    def __init__(
        self,
        file_names: Sequence[str],
        own: Samples,
        initial: Samples,
        names: Sequence[str],
        junk: frozenset[int],
        guests: Samples | None = None,
        unseen: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
    ) -> None:
        self.file_names, self.own, self.initial, self.guests = file_names, own, initial, guests
        self.names = list(names)
        self.junk = set(junk)
        # Of the images that a person placed what was said before of them, by all lessons since and by those that hadn't
        # seen them: they, and learning from them, need no more.
        self.said_rows = np.empty(0, np.int64)
        self.said, self.unseen = own.part(self.said_rows), own.part(self.said_rows)
        self.asked_rows, likely = (self.said_rows, self.said.probabilities) if unseen is None else unseen
        self.asked = Samples(own.cluster[self.asked_rows], likely, None)
        self.right_when_held_out: dict[int, bool] = {}
        self.merged_into: dict[int, int] = {}
        self._rows: dict[str, int] | None = None

    @property
    def _everyone(self) -> list[Samples]:
        guests = [] if self.guests is None else [self.guests]
        return [self.own, self.initial, self.said, self.unseen, self.asked, *guests]

    @property
    def by_hand(self) -> NDArray[np.bool_]:
        """(n,) bool: the images that a person placed."""
        return self.own.placed

    @property
    def of_right(self) -> dict[int, float]:
        """By row, of each image that a person placed: how likely its cluster was without knowing that."""
        placed = np.flatnonzero(self.own.placed[self.said_rows])
        rows = self.said_rows[placed]
        likely = self.unseen.probabilities[placed, self.own.cluster[rows]]
        return dict(zip(rows.tolist(), likely.tolist(), strict=True))

    def rename(self, cluster: int, name: str) -> None:
        """An empty name gives a cluster back its number."""
        self.check(cluster)
        name = name.strip()
        if UNWRITABLE.search(name):
            raise UsageError(
                f"{name!a} given as name of cluster {cluster}; expected text without control characters: type it anew"
            )
        self.names[cluster] = name or str(cluster)

    def mark_junk(self, cluster: int, is_junk: bool) -> None:
        """Mark as junk, or no longer."""
        self.check(cluster)
        (self.junk.add if is_junk else self.junk.discard)(cluster)

    def merge(self, *clusters: int) -> None:
        """All into the first; probabilities add up."""
        for cluster in clusters:
            self.check(cluster)
        if len(clusters) < 2 or len(set(clusters)) < len(clusters):
            raise UsageError(f"clusters {list(clusters)} to merge; expected two or more different ones")
        target, *others = clusters
        for other in others:
            if self.names[target] == str(target) and self.names[other] != str(other):
                self.names[target] = self.names[other]
            self.names[other] = str(other)
            self.junk.discard(other)
            self.merged_into[other] = target
            for samples in self._everyone:
                samples.cluster[samples.cluster == other] = target
                samples.probabilities[:, target] += samples.probabilities[:, other]
                samples.probabilities[:, other] = 0

    def split(self, cluster: int, parts: Sequence[Sequence[str]]) -> None:
        """Images of the parts go into new clusters; the cluster's probability is divided as the nearest images are.

        New samples go to the part that the nearest images are in; those that equal one of the images are in its part.
        """
        self.check(cluster)
        rows_of = [self.rows(names) for names in parts]
        stayed = self.own.cluster == cluster
        for rows in rows_of:
            if len(rows) == 0 or not stayed[rows].all():
                raise InputError(
                    f"parts of cluster {cluster} to split off; expected images of that cluster, each in one part"
                )
            stayed[rows] = False
        if not stayed.any():
            raise InputError(
                f"all images of cluster {cluster} to split off; expected some that stay: leave one part out"
            )
        n_parts, first_new = len(parts) + 1, len(self.names)
        parts_of = np.full(len(stayed), -1)
        for number, rows in enumerate((np.flatnonzero(stayed), *rows_of)):
            parts_of[rows] = number
        features, members = _needed(self.own), np.flatnonzero(parts_of >= 0)
        shares = np.zeros((len(stayed), n_parts), np.float32)
        shares[members] = shares_of_members(parts_of, members, self.own.nearest, n_parts)
        others = np.flatnonzero(parts_of < 0)
        shares[others] = _votes(features[others], features[members], parts_of[members], n_parts)
        self._open(len(parts))
        _divide(self.own, cluster, parts_of, shares, first_new)
        for samples, at in (
            (self.said, self.said_rows),
            (self.unseen, self.said_rows),
            (self.asked, self.asked_rows),
        ):
            _divide(samples, cluster, parts_of[at], shares[at], first_new)
        # What was in the cluster before RUC is divided as it is now, and each image whole.
        before = np.where(parts_of >= 0, parts_of, 0)
        _divide(self.initial, cluster, before, np.eye(n_parts, dtype=np.float32)[before], first_new)
        if self.guests is not None:
            guests = _needed(self.guests)
            guest_shares = _votes(guests, features[members], parts_of[members], n_parts)
            guest_parts = guest_shares.argmax(axis=1)
            known, which = _equals(guests, features)
            guest_shares[known] = shares[which]
            guest_parts[known] = np.where(
                parts_of[which] >= 0, parts_of[which], guest_shares[known].argmax(axis=1)
            )
            _divide(self.guests, cluster, guest_parts, guest_shares, first_new)

    def move(self, file_names: Sequence[str], cluster: int) -> None:
        """Images into a cluster that is there or is the next new one, for certain; new samples that equal them too."""
        rows = self.rows(file_names)
        if cluster == len(self.names):
            self._open(1)
        self.check(cluster)
        self._remember(rows)
        _place(self.own, rows, cluster)
        if self.guests is not None:
            known, _ = _equals(_needed(self.guests), _needed(self.own)[rows])
            _place(self.guests, known, cluster)

    def answer(self, file_name: str, asked: int, right: int | None) -> None:
        """An image into the cluster where it belongs; None: not to the one that was asked about, so to another."""
        self.check(asked)
        if right is not None:
            self.move([file_name], right)
            return
        rows = self.rows([file_name])
        others = [one for one in range(len(self.names)) if one != asked and one not in self.merged_into]
        if not others:
            raise InputError(
                f"{file_name!r} doesn't belong to cluster {asked}, and there is no other; expected two clusters or "
                "more: move it to a new one in the report"
            )
        _expel(self.own, rows, asked, others)
        if self.guests is not None:
            known, _ = _equals(_needed(self.guests), _needed(self.own)[rows])
            _expel(self.guests, known, asked, others)

    def learn(self) -> None:
        """The images that a person placed say where those belong that look like them; they themselves stay.

        `right_when_held_out` says of each of them whether the others would have placed it there.
        """
        placed = np.flatnonzero(self.own.placed[self.said_rows])
        rows, said = self.said_rows[placed], self.said.part(placed)
        right = self.own.cluster[rows]
        if not (said.probabilities.argmax(axis=1) != right).any():
            raise InputError(
                f"{len(rows)} images placed by a person, all of them where they were; expected some that were wrong "
                "and the cluster they belong to: click on it in `ruc check`, or fill the column label"
            )
        features = _needed(self.own)
        gone = list(self.merged_into)
        before, unseen = (
            np.maximum(each, np.float32(LEAST))
            for each in (said.probabilities, self.unseen.probabilities[placed])
        )
        before[:, gone] = unseen[:, gone] = 0
        held = held_out(before, features[rows], right, unseen)
        self.right_when_held_out = dict(
            zip(rows.tolist(), (held.argmax(axis=1) == right).tolist(), strict=True)
        )
        self.unseen.probabilities[placed] = held
        lesson = learn(before, features[rows], right)
        for samples in (self.own, *([] if self.guests is None else [self.guests])):
            _teach(samples, lesson)
        for samples, at in ((self.said, self.said_rows), (self.asked, self.asked_rows)):
            samples.probabilities = lesson(samples.probabilities, features[at])

    def check(self, cluster: int) -> None:
        """Raise `InputError` unless there is such a cluster."""
        if cluster in self.merged_into:
            raise InputError(
                f"cluster {cluster} was merged into {self.merged_into[cluster]}; expected one that is still there: "
                "name that one, or undo the merge first"
            )
        if not 0 <= cluster < len(self.names):
            raise InputError(f"cluster {cluster} does not exist; expected 0 to {len(self.names) - 1}")

    def rows(self, file_names: Sequence[str]) -> NDArray[np.int64]:
        """Where the images stand in the run."""
        if self._rows is None:
            self._rows = {name: row for row, name in enumerate(self.file_names)}
        unknown = [name for name in file_names if name not in self._rows]
        if unknown:
            raise InputError(
                f"{len(unknown)} file names to move are not in the run, the first is {unknown[0]!r}; "
                "expected names as in clusters.csv"
            )
        return np.array([self._rows[name] for name in file_names], dtype=np.int64)

    def _remember(self, rows: NDArray[np.int64]) -> None:
        """Keep what is said of images before a person places them for the first time."""
        new = rows[~np.isin(rows, self.said_rows)]
        self.said_rows = np.concatenate([self.said_rows, new])
        unseen = self.own.part(new)
        _, here, there = np.intersect1d(new, self.asked_rows, return_indices=True)
        unseen.probabilities[here] = self.asked.probabilities[there]
        self.said, self.unseen = self.said.joined(self.own.part(new)), self.unseen.joined(unseen)

    def place_of(self, cluster: int) -> int:
        """Where the images of a cluster are now."""
        while cluster in self.merged_into:
            cluster = self.merged_into[cluster]
        return cluster

    def _open(self, n_new: int) -> None:
        for _ in range(n_new):
            self.names.append(str(len(self.names)))
        for samples in self._everyone:
            samples.probabilities = np.pad(samples.probabilities, ((0, 0), (0, n_new)))


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


def _votes(
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


def _divide(
    samples: Samples,
    cluster: int,
    parts: NDArray[np.int64],
    shares: NDArray[np.float32],
    first_new: int,
) -> None:
    """Part 0 stays in the cluster, part i becomes `first_new + i - 1`; probabilities are divided by the shares."""
    columns = [cluster, *range(first_new, first_new + shares.shape[1] - 1)]
    samples.probabilities[:, columns] = samples.probabilities[:, [cluster]] * shares
    inside = np.flatnonzero((samples.cluster == cluster) & (parts > 0))
    samples.cluster[inside] = first_new + parts[inside] - 1


def _place(samples: Samples, rows: NDArray[Any], cluster: int) -> None:
    samples.probabilities[rows] = 0
    samples.probabilities[rows, cluster] = 1
    samples.cluster[rows] = cluster
    samples.placed[rows] = True


def _teach(samples: Samples, lesson: Lesson) -> None:
    """What a lesson says of all but those that a person placed."""
    taught = lesson(samples.probabilities, _needed(samples))
    samples.probabilities = np.where(samples.placed[:, None], samples.probabilities, taught)
    samples.cluster = np.where(samples.placed, samples.cluster, taught.argmax(axis=1))


def _expel(samples: Samples, rows: NDArray[Any], cluster: int, others: Sequence[int]) -> None:
    """Out of a cluster, into the likeliest of the others; nothing is said of how likely each of those is."""
    samples.probabilities[rows, cluster] = 0
    places = np.ix_(rows, np.asarray(others))
    left = samples.probabilities[places]
    total = left.sum(axis=1, keepdims=True)
    left = np.where(total > 0, left / np.where(total > 0, total, 1), np.float32(1 / len(others)))
    samples.probabilities[places] = left
    samples.placed[rows] = False
    samples.cluster[rows] = np.asarray(others)[left.argmax(axis=1)]


def _equals(
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


def _needed(samples: Samples) -> NDArray[np.float32]:
    if samples.features is None:
        raise InputError(
            "features missing; expected those of the samples: clusters were split or changed by hand"
        )
    return samples.features
