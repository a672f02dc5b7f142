"""A person's corrections of a run: rename, merge, split, move, junk. Applied as a list, undone from its end."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.run_folder import Run

__all__ = [
    "Edit",
    "Junk",
    "Merge",
    "Move",
    "Rename",
    "apply_edits",
    "edits_of",
    "find_cluster",
    "follow_edits",
    "junk_clusters",
    "merged_clusters",
    "read_edits",
    "run_id",
    "split_cluster",
    "undo_edits",
]

EDITS: Final = "edits"
BEFORE: Final = "before_edits"
JUNK: Final = "junk_clusters"
BY_HAND: Final = "moved_by_hand"
FORMAT: Final = "ruc-edits"
VERSION: Final = 1


@dataclass(frozen=True)
class Rename:
    """Call a cluster by a name; an empty name gives it back its number."""

    cluster: int
    name: str


@dataclass(frozen=True)
class Merge:
    """Put all images of the other clusters into the first one."""

    clusters: tuple[int, ...]


@dataclass(frozen=True)
class Junk:
    """Mark a cluster as junk: it stays in the table, and exports leave it out."""

    cluster: int
    is_junk: bool = True


@dataclass(frozen=True)
class Move:
    """Put images into a cluster, which may be a new one: the next number.

    Moved by hand, an image is taken as certain (confidence 1), also when it was in that cluster
    already: so a person confirms it. As part of a split it keeps its confidence.
    """

    file_names: tuple[str, ...]
    cluster: int
    by_hand: bool = True


Edit = Rename | Merge | Junk | Move


def apply_edits(run: Run, edits: Iterable[Edit]) -> Run:
    """The run with more edits, after those it has already.

    Numbers stay: a cluster that was merged into another is empty from then on, and none takes its number.
    The networks' probabilities stay as they are, but for a column of zeros for each new cluster.

    Raises
    ------
    InputError
        An edit names an image or a cluster that is not there.
    """
    edits = tuple(edits)
    if not edits:
        return run
    return _measured(run, _edited(_before_edits(run), (*edits_of(run), *edits)))


def undo_edits(run: Run, n_edits: int = 1) -> Run:
    """The run without its last edits; without all of them it is what it was before the first.

    Raises
    ------
    InputError
        There are fewer edits than that.
    """
    edits = edits_of(run)
    if not 0 < n_edits <= len(edits):
        raise InputError(f"{n_edits} edits to undo; expected 1 to {len(edits)}, the number the run has")
    kept = edits[:-n_edits]
    before = _before_edits(run)
    return _measured(run, _edited(before, kept) if kept else before)


def edits_of(run: Run) -> tuple[Edit, ...]:
    """The edits that the run has, in order."""
    return tuple(_from_json(record) for record in run.notes.get(EDITS, ()))


def junk_clusters(run: Run) -> frozenset[int]:
    """Clusters that are marked as junk."""
    return frozenset(int(cluster) for cluster in run.notes.get(JUNK, ()))


def merged_clusters(run: Run) -> dict[int, int]:
    """The clusters that were merged away, each with the one it went into, which may be gone too."""
    merged: dict[int, int] = {}
    for edit in edits_of(run):
        if isinstance(edit, Merge):
            merged.update(dict.fromkeys(edit.clusters[1:], edit.clusters[0]))
    return merged


def split_cluster(run: Run, cluster: int, n_parts: int = 2, seed: int = 0) -> tuple[Move, ...]:
    """Divide a cluster by k-means on the features of its images.

    Parameters
    ----------
    run
        With features.
    cluster
        The one to divide. Its largest part stays in it.
    n_parts
        In how many.
    seed
        Of k-means.

    Returns
    -------
    moves
        One for each new cluster, to be given to `apply_edits`.

    Raises
    ------
    InputError
        There is no such cluster, or it has fewer different images than parts.
    """
    from sklearn.cluster import KMeans

    _State(run).check(cluster)
    members = np.flatnonzero(run.cluster == cluster)
    n_different = len(np.unique(run.features[members], axis=0))
    if not 2 <= n_parts <= n_different:
        raise InputError(
            f"{n_parts} parts for cluster {cluster}; expected 2 to {n_different}, the number of its different images"
        )
    parts = KMeans(n_parts, n_init=10, random_state=seed).fit(run.features[members]).labels_
    by_size = np.argsort(-np.bincount(parts, minlength=n_parts), kind="stable")
    return tuple(
        Move(
            tuple(run.file_names[row] for row in members[parts == part]),
            len(run.cluster_names) + number,
            by_hand=False,
        )
        for number, part in enumerate(by_size[1:])
    )


def find_cluster(run: Run, text: str) -> int:
    """The number of the cluster that is called `text`, or whose number it is.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    named = [number for number, name in enumerate(run.cluster_names) if name == text]
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        raise InputError(
            f"clusters {', '.join(map(str, named))} are all called {text!r}; expected one: rename the others first"
        )
    if text.isdecimal() and int(text) < len(run.cluster_names):
        return int(text)
    raise InputError(
        f"no cluster is called {text!r}; expected 0 to {len(run.cluster_names) - 1} or one of their names"
    )


def follow_edits(
    run: Run, probabilities: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Carry the networks' opinion on new images over to the clusters as they were edited.

    Merges are followed. Moves and splits are not: what they know of is single images.

    Parameters
    ----------
    run
        With or without edits.
    probabilities
        (n_samples, K) of the networks, K as it was before any edit; further columns must be zero.

    Returns
    -------
    cluster, probabilities
        (n_samples,) the cluster that the most probable one was merged into, and
        (n_samples, K as it is now) with those of merged clusters added up.
    """
    state = _State(_before_edits(run))
    for edit in edits_of(run):
        state.perform(edit)
    target = np.array([state.place_of(cluster) for cluster in range(probabilities.shape[1])])
    together = np.zeros((len(probabilities), len(state.names)), dtype=np.float32)
    np.add.at(together.T, target, np.asarray(probabilities, dtype=np.float32).T)
    return target[np.asarray(probabilities).argmax(axis=1)].astype(np.int64), together


def read_edits(path: Path, run: Run) -> tuple[Edit, ...]:
    """Read the edits.json that the report of this run made.

    Raises
    ------
    InputError
        The file is not one, or was made for another run or before this one was edited otherwise.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({error}); expected the edits.json that a report downloads"
        ) from error
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or not isinstance(content.get("edits"), list)
    ):
        raise InputError(f"{path} holds no edits; expected the edits.json that a report downloads")
    if content.get("version") != VERSION:
        raise InputError(
            f"{path} is of version {content.get('version')}; expected {VERSION}: use the ruc that wrote the report"
        )
    own = run_id(run.file_names, run.cluster, run.cluster_names, junk_clusters(run))
    if content.get("run") != own:
        raise InputError(
            f"{path} was made for {content.get('run')}, but this run is {own}: another run, or edited since; "
            "expected edits from its newest report: open report.html again and make them there"
        )
    return tuple(_from_json(record) for record in content["edits"])


def run_id(
    file_names: Sequence[str], cluster: NDArray[np.integer[Any]], names: Sequence[str], junk: Iterable[int]
) -> str:
    """A name for this state of a run, so that edits made on one state are not applied to another."""
    digest = hashlib.sha256(repr((list(names), sorted(junk))).encode("utf-8", "surrogatepass"))
    for name, number in zip(file_names, np.asarray(cluster).tolist(), strict=True):
        digest.update(f"\n{number} {name}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


class _State:
    """What edits change, changed in place while a list of them is performed."""

    def __init__(self, run: Run) -> None:
        self.file_names = run.file_names
        self.cluster = run.cluster.copy()
        self.initial = run.initial_cluster.copy()
        self.names = list(run.cluster_names)
        self.junk = set(junk_clusters(run))
        self.by_hand = np.zeros(len(run.cluster), dtype=bool)
        self.merged_into: dict[int, int] = merged_clusters(run)
        self._rows: dict[str, int] | None = None

    def perform(self, edit: Edit) -> None:
        match edit:
            case Rename(cluster, name):
                self.check(cluster)
                self.names[cluster] = name.strip() or str(cluster)
            case Junk(cluster, is_junk):
                self.check(cluster)
                (self.junk.add if is_junk else self.junk.discard)(cluster)
            case Merge(clusters):
                self.merge(*clusters)
            case Move(file_names, cluster, by_hand):
                self.move(self.rows(file_names), cluster, by_hand)

    def merge(self, *clusters: int) -> None:
        for cluster in clusters:
            self.check(cluster)
        if len(clusters) < 2 or len(set(clusters)) < len(clusters):
            raise InputError(f"clusters {list(clusters)} to merge; expected two or more different ones")
        target, *others = clusters
        for other in others:
            if self.names[target] == str(target) and self.names[other] != str(other):
                self.names[target] = self.names[other]
            self.names[other] = str(other)
            self.junk.discard(other)
            self.merged_into[other] = target
            self.cluster[self.cluster == other] = target
            self.initial[self.initial == other] = target

    def move(self, rows: NDArray[np.int64], cluster: int, by_hand: bool) -> None:
        if cluster == len(self.names):
            self.names.append(str(cluster))
        self.check(cluster)
        if by_hand:
            self.by_hand[rows] = True
        else:  # a split divides the cluster before RUC as well as after it
            stayed = rows[self.initial[rows] == self.cluster[rows]]
            self.initial[stayed] = cluster
        self.cluster[rows] = cluster

    def check(self, cluster: int) -> None:
        if cluster in self.merged_into:
            raise InputError(
                f"cluster {cluster} was merged into {self.merged_into[cluster]}; expected one that is still there: "
                "name that one, or undo the merge first"
            )
        if not 0 <= cluster < len(self.names):
            raise InputError(f"cluster {cluster} does not exist; expected 0 to {len(self.names) - 1}")

    def rows(self, file_names: Sequence[str]) -> NDArray[np.int64]:
        if self._rows is None:
            self._rows = {name: row for row, name in enumerate(self.file_names)}
        unknown = [name for name in file_names if name not in self._rows]
        if unknown:
            raise InputError(
                f"{len(unknown)} file names to move are not in the run, the first is {unknown[0]!r}; "
                "expected names as in clusters.csv"
            )
        return np.array([self._rows[name] for name in file_names], dtype=np.int64)

    def place_of(self, cluster: int) -> int:
        """Where the images of a cluster are now."""
        while cluster in self.merged_into:
            cluster = self.merged_into[cluster]
        return cluster


def _edited(before: Run, edits: Sequence[Edit]) -> Run:
    """The run as it was before any edit, with these ones."""
    state = _State(before)
    for edit in edits:
        state.perform(edit)
    n_new = len(state.names) - before.n_clusters
    notes = {
        **before.notes,
        EDITS: [_to_json(edit) for edit in edits],
        JUNK: sorted(state.junk),
        BEFORE: {
            "cluster": before.cluster.tolist(),
            "initial_cluster": before.initial_cluster.tolist(),
            "confidence": before.confidence.tolist(),
            "cluster_names": list(before.cluster_names),
            JUNK: sorted(junk_clusters(before)),
        },
    }
    return replace(
        before,
        cluster=state.cluster,
        initial_cluster=state.initial,
        confidence=_confidence(before, state),
        probabilities=np.pad(before.probabilities, ((0, 0), (0, n_new))),
        cluster_names=tuple(state.names),
        marks={**before.marks, BY_HAND: state.by_hand},
        notes=notes,
    )


def _confidence(before: Run, state: _State) -> NDArray[np.float32]:
    """Merged clusters' probabilities add up; what a person placed is certain."""
    confidence = before.confidence.astype(np.float32)
    place = np.array([state.place_of(cluster) for cluster in range(before.n_clusters)])
    for target in {state.place_of(cluster) for cluster in state.merged_into}:
        rows = np.flatnonzero(state.cluster == target)
        together = np.flatnonzero(place == target)
        own = before.cluster[rows]
        others = before.probabilities[np.ix_(rows, together)] * (together != own[:, None])
        confidence[rows] = np.minimum(confidence[rows] + others.sum(axis=1), 1)
    confidence[state.by_hand] = 1
    return confidence


def _measured(old: Run, new: Run) -> Run:
    """Metrics hold for the clusters that they were measured on."""
    return replace(new, metrics=old.metrics if np.array_equal(old.cluster, new.cluster) else None)


def _before_edits(run: Run) -> Run:
    """What the run was before the first edit."""
    if BEFORE not in run.notes:
        return run
    kept = run.notes[BEFORE]
    notes = {name: value for name, value in run.notes.items() if name not in (EDITS, BEFORE, JUNK)}
    return replace(
        run,
        cluster=np.asarray(kept["cluster"], dtype=np.int64),
        initial_cluster=np.asarray(kept["initial_cluster"], dtype=np.int64),
        confidence=np.asarray(kept["confidence"], dtype=np.float32),
        cluster_names=tuple(kept["cluster_names"]),
        probabilities=run.probabilities[:, : len(kept["cluster_names"])],
        marks={name: column for name, column in run.marks.items() if name != BY_HAND},
        notes={**notes, JUNK: kept[JUNK]} if kept[JUNK] else notes,
    )


def _to_json(edit: Edit) -> dict[str, Any]:
    match edit:
        case Rename(cluster, name):
            return {"op": "rename", "cluster": cluster, "name": name}
        case Merge(clusters):
            return {"op": "merge", "clusters": list(clusters)}
        case Junk(cluster, is_junk):
            return {"op": "junk", "cluster": cluster, "junk": is_junk}
        case Move(file_names, cluster, by_hand):
            return {"op": "move", "file_names": list(file_names), "cluster": cluster, "by_hand": by_hand}


def _from_json(record: Any) -> Edit:
    match record:
        case {"op": "rename", "cluster": int(cluster), "name": str(name)}:
            return Rename(cluster, name)
        case {"op": "merge", "clusters": list(clusters)} if all(isinstance(one, int) for one in clusters):
            return Merge(tuple(clusters))
        case {"op": "junk", "cluster": int(cluster), "junk": bool(is_junk)}:
            return Junk(cluster, is_junk)
        case {"op": "move", "cluster": int(cluster), "file_names": list(names)} if all(
            isinstance(one, str) for one in names
        ):
            return Move(tuple(names), cluster, _flag(record, "by_hand"))
    raise InputError(
        f"{str(record)[:120]} is no edit; expected op rename, merge, junk or move with its values"
    )


def _flag(record: Mapping[str, Any], name: str) -> bool:
    return bool(record.get(name, True))
