"""Edits performed on a run as a list, undone from its end, and followed by new images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.belief.calibration import pinned
from ruc.check.checked import (
    CHECKED,
    COVERAGE,
    LEAST,
    POSSIBLE,
    check_answers,
    checked_of,
    counted_rows,
    with_answers,
    with_lesson,
    without_their_answers,
)
from ruc.check.coverage import least_probability, possible_clusters
from ruc.edits.edit import Answer, Edit, Junk, Learn, Merge, Move, Rename, Split, from_json, to_json
from ruc.edits.samples import Samples
from ruc.edits.state import EditState
from ruc.errors import InputError
from ruc.marks import N_NEAREST, doubt_of, review_rows
from ruc.run_folder import Run

EDITS: Final = "edits"
BEGAN: Final = "edits_began"  # where in the list the edits of each command begin
BEFORE: Final = "before_edits"
JUNK: Final = "junk_clusters"
BY_HAND: Final = "moved_by_hand"
DOUBT: Final = "doubt"


def apply_edits(run: Run, edits: Iterable[Edit]) -> Run:
    """The run with more edits, after those it has already; the run itself where they change nothing.

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
    done = edits_of(run)
    began = (*run.notes.get(BEGAN, ()), len(done))
    edited = _edited(before_edits(run), (*done, *edits), began)
    is_answered = all(edit in done for edit in edits if isinstance(edit, Answer))  # or each counts in a check
    return run if is_answered and _is_same(run, edited) else _measured(run, edited)


def undo_edits(run: Run, n_edits: int | None = None) -> Run:
    """The run without its last edits; without all of them it is what it was before the first.

    `n_edits`: how many to take back; None: those that were applied together last.

    Raises
    ------
    InputError
        There are no edits, or fewer than that.
    """
    edits, began = edits_of(run), run.notes.get(BEGAN, ())
    if not edits:
        raise InputError("nothing to undo, the run has no edits; expected a run that was edited")
    if n_edits is None:
        n_edits = len(edits) - began[-1]
    if not 0 < n_edits <= len(edits):
        raise InputError(f"{n_edits} edits to undo; expected 1 to {len(edits)}, the number the run has")
    kept = edits[:-n_edits]
    before = before_edits(run)
    began = [start for start in began if start < len(kept)]
    return _measured(run, _edited(before, kept, began) if kept else before)


def before_edits(run: Run) -> Run:
    """What the run was before the first edit."""
    if BEFORE not in run.notes:
        return run
    kept = run.notes[BEFORE]
    doubt = {DOUBT: np.asarray(kept[DOUBT], np.float32)} if DOUBT in kept else _kept_doubt(run)
    notes = {
        name: value
        for name, value in run.notes.items()
        if name not in (EDITS, BEGAN, BEFORE, JUNK, CHECKED, LEAST)
    }
    return replace(
        run,
        cluster=np.asarray(kept["cluster"], dtype=np.int64),
        initial_cluster=np.asarray(kept["initial_cluster"], dtype=np.int64),
        confidence=np.asarray(kept["confidence"], dtype=np.float32),
        cluster_names=tuple(kept["cluster_names"]),
        probabilities=run.probabilities if run.network_probabilities is None else run.network_probabilities,
        network_probabilities=None,
        marks={
            name: doubt.get(name, column)
            for name, column in run.marks.items()
            if name not in (BY_HAND, POSSIBLE)
        },
        notes={**notes, JUNK: kept[JUNK]} if kept[JUNK] else notes,
    )


def edits_of(run: Run) -> tuple[Edit, ...]:
    """The edits that the run has, in order."""
    return tuple(from_json(record) for record in run.notes.get(EDITS, ()))


def edited_clusters(run: Run) -> frozenset[int]:
    """The clusters that the last command edited, with those that it made; answers are about images, not clusters."""
    row_of = {name: row for row, name in enumerate(run.file_names)}
    edited: set[int] = set()
    for edit in edits_of(run)[(run.notes.get(BEGAN) or [0])[-1] :]:
        match edit:
            case Merge(clusters):
                edited.update(clusters)
            case Split(cluster, parts):
                edited.add(cluster)
                edited.update(int(run.cluster[row_of[part[0]]]) for part in parts)
            case Rename(cluster) | Junk(cluster) | Move(_, cluster):
                edited.add(cluster)
    return frozenset(edited)


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


def follow_edits(
    run: Run, probabilities: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Carry the networks' opinion on new images over to the clusters as they were edited.

    Merges are followed, of a divided cluster the nearest part is taken, and an image that a person moved is known
    again.

    Returns (n_samples,) and (n_samples, K as it is now).

    Parameters
    ----------
    probabilities
        (n_samples, K) of the networks, K as it was before any edit.
    features
        (n_samples, n_features) unit-norm rows; may be None unless `needs_features`.
    """
    guests = guests_of(run, probabilities, features)
    perform(state_of(as_answered(run), guests), edits_of(run))
    return guests.cluster, guests.probabilities


def as_answered(run: Run) -> Run:
    """What the run was before the first edit, as sure as the answers say: what a lesson starts at."""
    checked, before = checked_of(run), before_edits(run)
    return before if checked is None else with_answers(before, checked)


def guests_of(
    run: Run, probabilities: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]] | None
) -> Samples:
    """New images as the networks see them, before any edit, as sure as answers say; parameters of `follow_edits`."""
    opinion = np.array(probabilities, dtype=np.float32)
    checked = checked_of(run)
    if checked is not None:
        guessed = opinion.argmax(axis=1)
        opinion = pinned(opinion, guessed, checked.calibration(opinion.max(axis=1), guessed))
    known = None if features is None else np.asarray(features, dtype=np.float32)
    return Samples(opinion.argmax(axis=1).astype(np.int64), opinion, known)


def initial_probabilities_of(run: Run) -> NDArray[np.float32] | None:
    """What the base clustering says of the clusters as they were edited, as `Run.initial_cluster` does; or None."""
    if run.initial_probabilities is None:
        return None
    state = state_of(before_edits(run))
    perform(state, edits_of(run))
    return state.initial.probabilities


def needs_features(run: Run) -> bool:
    """Whether new images can follow the edits by their features alone."""
    return any(isinstance(edit, Move | Split | Answer | Learn) for edit in edits_of(run))


def merged_places(run: Run) -> tuple[int, ...]:
    """For each of the networks' outputs the cluster that it was merged into, whatever else was edited."""
    before = before_edits(run)
    state = state_of(before)
    perform(state, edits_of(run))
    return tuple(state.place_of(cluster) for cluster in range(before.n_clusters))


def state_of(
    run: Run,
    guests: Samples | None = None,
    unseen: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
) -> EditState:
    """The run's clusters, ready to be edited; the run stays as it is. `unseen` as of `EditState`."""
    own = Samples(run.cluster.copy(), run.probabilities.astype(np.float32), run.features)
    base = (
        np.zeros_like(run.probabilities) if run.initial_probabilities is None else run.initial_probabilities
    )
    initial = Samples(run.initial_cluster.copy(), base.astype(np.float32), None)
    state = EditState(run.file_names, own, initial, run.cluster_names, junk_clusters(run), guests, unseen)
    state.merged_into = merged_clusters(run)
    return state


def perform(state: EditState, edits: Iterable[Edit]) -> None:
    """Edits one after another, on the run's own samples and on new ones."""
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
            case Answer(file_name, asked, right):
                state.answer(file_name, asked, right)
            case Learn():
                state.learn()


def _edited(before: Run, edits: Sequence[Edit], began: Sequence[int]) -> Run:
    """The run as it was before any edit, with these ones, of which each command's begin where `began` says."""
    answers = {edit.file_name: edit for edit in edits if isinstance(edit, Answer)}  # the last one counts
    was_right = _was_right(before, edits)
    checked = check_answers(before, was_right)
    calibrated = before if checked is None else with_answers(before, checked)
    state = state_of(calibrated, None, without_their_answers(before, was_right))
    perform(state, edits)
    least = None if checked is None else _least_probability(before, answers, state.of_right)
    if checked is not None and state.right_when_held_out:
        belong = {name: answer.belongs for name, answer in answers.items()}
        right, now = state.right_when_held_out, state.own
        checked = with_lesson(checked, before, belong, right, now.placed, now.cluster, now.confidence)
    notes = {
        **before.notes,
        **({} if checked is None else {CHECKED: checked.to_json()}),
        **({} if least is None else {LEAST: least}),
        EDITS: [to_json(edit) for edit in edits],
        BEGAN: list(began),
        JUNK: sorted(state.junk),
        BEFORE: {
            "cluster": before.cluster.tolist(),
            "initial_cluster": before.initial_cluster.tolist(),
            "confidence": before.confidence.tolist(),
            "cluster_names": list(before.cluster_names),
            JUNK: sorted(junk_clusters(before)),
            **({DOUBT: before.marks[DOUBT].tolist()} if DOUBT in before.marks else {}),
        },
    }
    possible = {}
    if least is not None:
        possible[POSSIBLE] = possible_clusters(state.own.probabilities, least, state.names)
    own = calibrated.probabilities[np.arange(len(before.cluster)), before.cluster]
    untouched = (state.own.cluster == before.cluster) & (state.own.confidence == own)
    confidence = np.where(untouched, calibrated.confidence, np.minimum(state.own.confidence, 1))
    return replace(
        before,
        cluster=state.own.cluster,
        initial_cluster=state.initial.cluster,
        confidence=confidence,
        probabilities=state.own.probabilities,
        network_probabilities=before.probabilities,
        cluster_names=tuple(state.names),
        marks={**before.marks, BY_HAND: state.by_hand} | _doubt_anew(before, state, confidence) | possible,
        notes=notes,
    )


def _was_right(before: Run, edits: Iterable[Edit]) -> dict[str, bool]:
    """By file name, whether the answers say that an image was in the right cluster before any edit.

    Where the run had learned and put the image elsewhere before it was asked about, the answer is about that cluster.
    A no that names none then counts as one to both.
    """
    row_of = {name: row for row, name in enumerate(before.file_names)}
    into: dict[int, int] = {}

    def after_merges(cluster: int) -> int:
        while cluster in into:
            cluster = into[cluster]
        return cluster

    right, has_learned = {}, False
    for edit in edits:
        match edit:
            case Learn():
                has_learned = True
            case Merge(clusters):  # which may be none that can be done: that is said when they are
                for other in map(after_merges, clusters[1:]):
                    if other != (first := after_merges(clusters[0])):
                        into[other] = first
            case Answer(name, asked, belongs_to):
                was = asked
                if has_learned and asked < before.n_clusters and name in row_of:
                    was = after_merges(int(before.cluster[row_of[name]]))
                right[name] = belongs_to == was
    return right


def _least_probability(
    run: Run, answers: Mapping[str, Answer], of_right: Mapping[int, float]
) -> float | None:
    """From where on a cluster is possible for an image, where a coverage was asked for.

    Each answer counts as what was said of its image without it. A no that names no cluster doesn't say what is right.
    """
    if COVERAGE not in run.notes:
        return None
    likely = [of_right.get(row, 0.0) for row in counted_rows(run, answers).values()]
    return least_probability(np.array(likely), float(run.notes[COVERAGE]))


def _is_same(one: Run, other: Run) -> bool:
    """Whether two runs differ at most in their lists of edits."""
    if one.cluster_names != other.cluster_names or junk_clusters(one) != junk_clusters(other):
        return False
    none = np.zeros(len(one.cluster), bool)
    by_hand = np.array_equal(one.marks.get(BY_HAND, none), other.marks.get(BY_HAND, none))
    return by_hand and all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("cluster", "initial_cluster", "confidence", "probabilities")
    )


def _measured(old: Run, new: Run) -> Run:
    """Metrics hold for the clusters and the confidence that they were measured on; what to review is chosen anew."""
    measured_on = ("cluster", "confidence", "probabilities")
    same = all(np.array_equal(getattr(old, name), getattr(new, name)) for name in measured_on)
    return replace(
        new,
        metrics=old.metrics if same else None,
        review=review_of(new),
    )


def _doubt_anew(
    before: Run, state: EditState, confidence: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Anew for images that moved or changed their confidence, or whose neighbours moved; what is placed is sure."""
    if DOUBT not in before.marks:
        return {}
    cluster, doubt = state.own.cluster, before.marks[DOUBT].astype(np.float32)
    moved = cluster != before.cluster
    if moved.any() or not np.array_equal(confidence, before.confidence):
        nearest = state.own.nearest
        touched = moved | (confidence != before.confidence) | moved[nearest[:, :N_NEAREST]].any(axis=1)
        doubt = np.where(touched, doubt_of(cluster, confidence, nearest), doubt)
    return {DOUBT: np.where(state.by_hand, np.float32(0), doubt)}


def _kept_doubt(run: Run) -> dict[str, NDArray[Any]]:
    """Of a run that was edited when edits left the doubt as it was."""
    return {DOUBT: run.marks[DOUBT]} if DOUBT in run.marks else {}


def review_of(run: Run) -> tuple[tuple[Any, ...], ...]:
    """As many images as before; none that a person placed or threw away."""
    if DOUBT not in run.marks or not run.review:
        return run.review
    junk = junk_clusters(run)
    by_hand = run.marks.get(BY_HAND, np.zeros(len(run.cluster), np.bool_)).astype(np.bool_)
    decided = by_hand | np.isin(run.cluster, sorted(junk))
    doubt, share = run.marks[DOUBT].astype(np.float32), run.review_share
    closed = junk | merged_clusters(run).keys()
    return review_rows(share, doubt, run.file_names, run.cluster, run.probabilities, decided, closed)
