"""A person's corrections of a run: rename, merge, split, move, junk. Applied as a list, undone from its end."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.edit_state import EditState, Samples
from ruc.errors import InputError
from ruc.marks import review_rows
from ruc.run_folder import Run

__all__ = [
    "Edit",
    "Junk",
    "Merge",
    "Move",
    "Rename",
    "Split",
    "apply_edits",
    "edits_of",
    "find_cluster",
    "follow_edits",
    "junk_clusters",
    "merged_clusters",
    "merged_places",
    "needs_features",
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
    already: so a person confirms it.
    """

    file_names: tuple[str, ...]
    cluster: int


@dataclass(frozen=True)
class Split:
    """Divide a cluster: the images of each part go into a new cluster, the others stay; each keeps its confidence.

    New images follow to the part whose mean feature is nearest.
    """

    cluster: int
    parts: tuple[tuple[str, ...], ...]


Edit = Rename | Merge | Junk | Move | Split


def apply_edits(run: Run, edits: Iterable[Edit]) -> Run:
    """The run with more edits, after those it has already.

    Numbers stay: a cluster that was merged into another is empty from then on, and none takes its number.
    Probabilities follow: those of merged clusters add up, those of a divided one go to the nearest part, and what a
    person placed is certain.

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
    if not edits:
        raise InputError(f"{n_edits} edits to undo, and the run has none; expected a run that was edited")
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


def split_cluster(run: Run, cluster: int, n_parts: int = 2, seed: int = 0) -> Split:
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
    Split
        To be given to `apply_edits`.

    Raises
    ------
    InputError
        There is no such cluster, or it has fewer different images than parts.
    """
    from sklearn.cluster import KMeans

    _state(run).check(cluster)
    members = np.flatnonzero(run.cluster == cluster)
    n_different = len(np.unique(run.features[members], axis=0))
    if not 2 <= n_parts <= n_different:
        raise InputError(
            f"{n_parts} parts for cluster {cluster}; expected 2 to {n_different}, the number of its different images"
        )
    # Until nothing moves: then each image is nearest to the mean of its own part, and `follow_edits` finds it there.
    model = KMeans(n_parts, n_init=10, tol=0.0, max_iter=1000, random_state=seed)
    parts = model.fit(run.features[members].astype(np.float64)).labels_
    by_size = np.argsort(-np.bincount(parts, minlength=n_parts), kind="stable")
    return Split(
        cluster,
        tuple(tuple(run.file_names[row] for row in members[parts == part]) for part in by_size[1:]),
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
    run: Run, probabilities: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Carry the networks' opinion on new images over to the clusters as they were edited.

    Merges are followed, of a divided cluster the nearest part is taken, and an image that a person moved is known
    again.

    Parameters
    ----------
    run
        With or without edits.
    probabilities
        (n_samples, K) of the networks, K as it was before any edit.
    features
        (n_samples, n_features) unit-norm rows; may be None unless `needs_features`.

    Returns
    -------
    cluster, probabilities
        (n_samples,) and (n_samples, K as it is now).
    """
    opinion = np.array(probabilities, dtype=np.float32)
    known = None if features is None else np.asarray(features, dtype=np.float32)
    guests = Samples(opinion.argmax(axis=1).astype(np.int64), opinion, known)
    _perform(_state(_before_edits(run), guests), edits_of(run))
    return guests.cluster, guests.probabilities


def needs_features(run: Run) -> bool:
    """Whether new images can follow the edits by their features alone."""
    return any(isinstance(edit, Move | Split) for edit in edits_of(run))


def merged_places(run: Run) -> tuple[int, ...]:
    """For each of the networks' outputs the cluster that it was merged into, whatever else was edited."""
    before = _before_edits(run)
    state = _state(before)
    _perform(state, edits_of(run))
    return tuple(state.place_of(cluster) for cluster in range(before.n_clusters))


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


def _state(run: Run, guests: Samples | None = None) -> EditState:
    own = Samples(run.cluster.copy(), run.probabilities.astype(np.float32), run.features)
    state = EditState(
        run.file_names, own, run.initial_cluster.copy(), run.cluster_names, junk_clusters(run), guests
    )
    state.merged_into = merged_clusters(run)
    return state


def _perform(state: EditState, edits: Iterable[Edit]) -> None:
    for edit in edits:
        match edit:
            case Rename(cluster, name):
                state.rename(cluster, name)
            case Junk(cluster, is_junk):
                state.mark_junk(cluster, is_junk)
            case Merge(clusters):
                state.merge(*clusters)
            case Move(file_names, cluster):
                state.move(file_names, cluster)
            case Split(cluster, parts):
                state.split(cluster, parts)


def _edited(before: Run, edits: Sequence[Edit]) -> Run:
    """The run as it was before any edit, with these ones."""
    state = _state(before)
    _perform(state, edits)
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
    untouched = (state.own.cluster == before.cluster) & ~state.by_hand
    untouched &= ~np.isin(state.own.cluster, list(state.merged_into.values()))
    return replace(
        before,
        cluster=state.own.cluster,
        initial_cluster=state.initial,
        confidence=np.where(untouched, before.confidence, np.minimum(state.own.confidence, 1)),
        probabilities=state.own.probabilities,
        network_probabilities=before.probabilities,
        cluster_names=tuple(state.names),
        marks={**before.marks, BY_HAND: state.by_hand},
        notes=notes,
    )


def _measured(old: Run, new: Run) -> Run:
    """Metrics hold for the clusters that they were measured on; what to review is chosen anew."""
    return replace(
        new,
        metrics=old.metrics if np.array_equal(old.cluster, new.cluster) else None,
        review=_review(new),
    )


def _review(run: Run) -> tuple[tuple[Any, ...], ...]:
    """As many images as before; not those that a person placed."""
    if "doubt" not in run.marks or not run.review:
        return run.review
    doubt = run.marks["doubt"].astype(np.float32)
    doubt = np.where(run.marks.get(BY_HAND, np.zeros(len(doubt), bool)), np.float32(0), doubt)
    share = float(run.settings["review"])
    return review_rows(share, doubt, run.file_names, run.cluster, run.probabilities, run.cluster_names)


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
        probabilities=run.probabilities if run.network_probabilities is None else run.network_probabilities,
        network_probabilities=None,
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
        case Move(file_names, cluster):
            return {"op": "move", "file_names": list(file_names), "cluster": cluster}
        case Split(cluster, parts):
            return {"op": "split", "cluster": cluster, "parts": [list(part) for part in parts]}


def _from_json(record: Any) -> Edit:
    match record:
        case {"op": "rename", "cluster": int(cluster), "name": str(name)}:
            return Rename(cluster, name)
        case {"op": "merge", "clusters": list(clusters)} if all(isinstance(one, int) for one in clusters):
            return Merge(tuple(clusters))
        case {"op": "junk", "cluster": int(cluster), "junk": bool(is_junk)}:
            return Junk(cluster, is_junk)
        case {"op": "move", "cluster": int(cluster), "file_names": list(names)} if _are_names(names):
            return Move(tuple(names), cluster)
        case {"op": "split", "cluster": int(cluster), "parts": list(parts)} if all(
            isinstance(part, list) and _are_names(part) for part in parts
        ):
            return Split(cluster, tuple(tuple(part) for part in parts))
    raise InputError(
        f"{str(record)[:120]} is no edit; expected op rename, merge, junk, move or split with its values"
    )


def _are_names(names: list[Any]) -> bool:
    return all(isinstance(one, str) for one in names)
