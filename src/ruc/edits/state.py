"""What a person's edits change, performed one after another: on the run's own samples, and on new ones alike."""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.check.lesson import LEAST, held_out, learn
from ruc.edits.samples import Samples, equals, shares_of_members, shares_of_others
from ruc.errors import InputError, UsageError

# Control characters, which XML has no way to write, and halves of characters, which UTF-8 has none for.
UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


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
        features, members = self.own.known_features, np.flatnonzero(parts_of >= 0)
        shares = np.zeros((len(stayed), n_parts), np.float32)
        shares[members] = shares_of_members(parts_of, members, self.own.nearest, n_parts)
        others = np.flatnonzero(parts_of < 0)
        shares[others] = shares_of_others(features[others], features[members], parts_of[members], n_parts)
        self._open(len(parts))
        self.own.divide(cluster, parts_of, shares, first_new)
        for samples, at in (
            (self.said, self.said_rows),
            (self.unseen, self.said_rows),
            (self.asked, self.asked_rows),
        ):
            samples.divide(cluster, parts_of[at], shares[at], first_new)
        # What was in the cluster before RUC is divided as it is now, and each image whole.
        before = np.where(parts_of >= 0, parts_of, 0)
        self.initial.divide(cluster, before, np.eye(n_parts, dtype=np.float32)[before], first_new)
        if self.guests is not None:
            guests = self.guests.known_features
            guest_shares = shares_of_others(guests, features[members], parts_of[members], n_parts)
            guest_parts = guest_shares.argmax(axis=1)
            known, which = equals(guests, features)
            guest_shares[known] = shares[which]
            guest_parts[known] = np.where(
                parts_of[which] >= 0, parts_of[which], guest_shares[known].argmax(axis=1)
            )
            self.guests.divide(cluster, guest_parts, guest_shares, first_new)

    def move(self, file_names: Sequence[str], cluster: int) -> None:
        """Images into a cluster that is there or is the next new one, for certain; new samples that equal them too."""
        rows = self.rows(file_names)
        if cluster == len(self.names):
            self._open(1)
        self.check(cluster)
        self._remember(rows)
        self.own.place(rows, cluster)
        if self.guests is not None:
            known, _ = equals(self.guests.known_features, self.own.known_features[rows])
            self.guests.place(known, cluster)

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
        self.own.expel(rows, asked, others)
        if self.guests is not None:
            known, _ = equals(self.guests.known_features, self.own.known_features[rows])
            self.guests.expel(known, asked, others)

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
        features = self.own.known_features
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
            samples.teach(lesson)
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
