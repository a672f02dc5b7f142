"""The door `ruc update`: a run follows its folder. New images join, vanished ones stay or go, the rest is as it was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ruc.belief.known import Known
from ruc.check.checked import LEAST, POSSIBLE
from ruc.check.coverage import possible_clusters
from ruc.doors.edit_folder import report_of
from ruc.doors.predict import Prediction, predict
from ruc.edits import apply_edits, before_edits
from ruc.edits.apply import BEGAN, EDITS, as_answered, edits_of, perform, review_of, state_of
from ruc.edits.edit import to_json
from ruc.errors import InputError, NothingToClusterError
from ruc.growing.edits import Followed, followed, needed_by, own_clusters, without
from ruc.growing.rows import Joining, with_rows
from ruc.images.load import content_hashes
from ruc.images.measures import Measured
from ruc.images.source import ImageSource, find_images
from ruc.marks import N_NEAREST, find_marks
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import State
from ruc.quality import COLUMN as QUALITY
from ruc.quality import FENCES, as_text, quality_flags
from ruc.run_folder import Run, read_model, update_run
from ruc.runtime import Runtime

UNLIKE: Final = 0.99  # novelty from which on an image fits no cluster: by chance one in a hundred is as novel
BY_CHANCE: Final = 0.01  # how often so many above it may be chance, where nothing is said
FITS_NONE: Final = "fits_no_cluster"  # column of the table
N_EXAMPLES: Final = 5
N_LOOKED_AT: Final = 32  # of the images whose name the run knows: a second or two of embedding
SAME_PICTURE: Final = 1e-3  # two processors' similarities of one picture differ by less


@dataclass(frozen=True)
class Updated:
    """A run after its folder was looked through.

    Attributes
    ----------
    run
        As it is now.
    n_joined, n_dropped, n_kept
        New images; vanished ones that went, and that stayed.
    unlike
        Of the new images those that fit no cluster, the most unlike first, where they are more than chance would give.
    n_looked_at, others
        How many images of names that the run knows were looked at, and which of these show something else now.
    """

    run: Run
    n_joined: int
    n_dropped: int
    n_kept: int
    unlike: tuple[str, ...]
    n_looked_at: int = 0
    others: tuple[str, ...] = ()


def update_folder(
    folder: Path,
    source: str | None,
    runtime: Runtime,
    vanished: Literal["keep", "drop"] = "keep",
    n_new_clusters: int | None = None,
) -> Updated:
    """Let new images join a run, and the vanished stay or go.

    What was in the run keeps cluster, confidence and edits. New images are put as `ruc predict` puts them.

    Parameters
    ----------
    folder
        A finished run on images, which is changed as a whole.
    source
        The folder or table of its images as it is now; None: where the run found them.
    vanished
        Whether images that aren't there any more stay in the run, or go; of images that an edit rests on one stays.
    n_new_clusters
        So many new clusters for the images that joined, now or before, and fit none; `ruc undo` takes them back.

    Raises
    ------
    InputError
        The run was made from features; no image of the run is in the source; there is nothing for new clusters.
    """
    model = read_model(folder)
    found: list[Updated] = []

    def change(run: Run) -> Run:
        updated = update(run, model, source, runtime, vanished, n_new_clusters)
        found.append(updated)
        return updated.run

    what = f"update {source} {vanished} {n_new_clusters}"
    run = update_run(folder, change, report_of, what)
    return found[0] if found else Updated(run, 0, 0, 0, ())


def update(
    run: Run,
    model: Mapping[str, State],
    source: str | None,
    runtime: Runtime,
    vanished: Literal["keep", "drop"] = "keep",
    n_new_clusters: int | None = None,
) -> Updated:
    """The same in memory; see `update_folder`. The run itself where nothing changes."""
    images = _images(run, source)
    place_of = {name: place for place, name in enumerate(images.file_names)}
    skipped_before = {name for name, _ in run.skipped}
    known = {*run.file_names, *skipped_before}
    places = [place for name, place in place_of.items() if name not in known]
    gone = {name for name in run.file_names if name not in place_of}
    kept_back = gone if vanished == "keep" else needed_by(edits_of(run), gone)
    dropped = gone - kept_back
    n_looked_at, others = _other_pictures(run, model, images, runtime)
    joined, unlike = run, tuple[str, ...]()
    if places or dropped:
        joined, unlike = _joined(run, model, images, places, dropped, source, runtime)
    if n_new_clusters is not None:
        joined = _with_new_clusters(joined, n_new_clusters, runtime)
    n_joined = len(joined.file_names) - len(run.file_names) + len(dropped)
    return Updated(joined, n_joined, len(dropped), len(kept_back), unlike, n_looked_at, others)


def _images(run: Run, source: str | None) -> ImageSource:
    before = run.settings.get("source")
    if before is None:
        raise InputError("the run was made from features or an array; expected one on images: make a new run")
    images = find_images(source or before)
    if not set(images.file_names) & set(run.file_names):
        raise InputError(
            f"none of the run's images is in {source or before}: it has {images.file_names[0]!r}, the run "
            f"{run.file_names[0]!r}; expected the run's own folder as it is now, new images among the old ones: for "
            "other images there is ruc predict"
        )
    return images


def _other_pictures(
    run: Run, model: Mapping[str, State], images: ImageSource, runtime: Runtime
) -> tuple[int, tuple[str, ...]]:
    """How many images were looked at, evenly spread, and those that are more like another than like their own row."""
    row_of = {name: row for row, name in enumerate(run.file_names)}
    known = [place for place, name in enumerate(images.file_names) if name in row_of]
    if "embedder" not in model:  # the features were given
        return 0, ()
    evenly = np.linspace(0, len(known) - 1, min(N_LOOKED_AT, len(known))).round().astype(np.int64)
    looked_at = images.take([known[at] for at in evenly])
    try:
        found = predict(model, looked_at, runtime, max_skipped=1.0, with_features=True)
    except NothingToClusterError:  # none can be read any more: the run has no use for them
        return 0, ()
    assert found.features is not None
    similar = found.features @ run.features.T
    own = similar[np.arange(len(similar)), [row_of[name] for name in found.file_names]]
    is_other = own < similar.max(axis=1) - SAME_PICTURE
    return len(is_other), tuple(name for name, other in zip(found.file_names, is_other, strict=True) if other)


def _joined(
    run: Run,
    model: Mapping[str, State],
    images: ImageSource,
    places: list[int],
    dropped: set[str],
    source: str | None,
    runtime: Runtime,
) -> tuple[Run, tuple[str, ...]]:
    before = before_edits(run)
    known, measured = Known(before.features, before.cluster, before.confidence), Measured()
    images = images.watched_by(measured)
    prediction = _predicted(run, before, known, model, images, places, runtime)
    assert prediction.features is not None and prediction.novelty is not None
    names, features = prediction.file_names, prediction.features
    follow = followed(run, names, prediction.probabilities, features)
    kept = np.array([row for row, name in enumerate(run.file_names) if name not in dropped], np.int64)
    unlike_from = min(UNLIKE, known.most_novel)
    is_unlike = prediction.novelty >= np.float32(unlike_from)
    marks = {
        "stability": _around(before, "stability", features, prediction.cluster),
        "moved_by_hand": follow.by_hand,
        "clean_since": np.full(len(names), -1),
        FITS_NONE: is_unlike,
        "doubt": np.zeros(len(names), np.float32),
    }
    if FENCES in run.notes and len(names):
        rows = np.array([measured.rows[name] for name in names], np.float32)
        marks[QUALITY] = as_text(quality_flags(rows, run.notes[FENCES]))
    if LEAST in run.notes:
        marks[POSSIBLE] = possible_clusters(follow.probabilities, run.notes[LEAST], run.cluster_names)
    own = (prediction.cluster, _of(prediction.probabilities, prediction.cluster), prediction.probabilities)
    confidence = np.minimum(_of(follow.probabilities, follow.cluster), 1)
    new = Joining(names, follow.cluster, confidence, follow.probabilities, own, features, marks)
    with_column = replace(run, marks={FITS_NONE: np.zeros(len(run.cluster), np.bool_)} | dict(run.marks))
    grown = with_rows(with_column, kept, new, _order(run, kept, names, images))
    grown = _with_edits(grown, follow, run, dropped)
    grown = _marked(grown, set(names), dropped, images, runtime)
    settings = run.settings if source is None else {**run.settings, "source": str(Path(source).resolve())}
    lost = tuple(pair for pair in run.skipped if pair[0] not in dropped) + prediction.skipped
    grown = replace(grown, settings=settings, skipped=lost, metrics=None)
    grown = replace(grown, review=review_of(grown))
    order = np.argsort(-prediction.novelty, kind="stable")
    unlike = tuple(names[row] for row in order if is_unlike[row])
    return grown, unlike if _is_more_than_chance(len(unlike), len(names), 1 - unlike_from) else ()


def _predicted(
    run: Run,
    before: Run,
    known: Known,
    model: Mapping[str, State],
    images: ImageSource,
    places: list[int],
    runtime: Runtime,
) -> Prediction:
    """What the run says of the new images; of none it says nothing."""
    if not places:
        return Prediction(
            (), np.zeros(0, np.int64), np.zeros((0, before.n_clusters), np.float32), (),
            np.zeros((0, run.features.shape[1]), np.float32), np.zeros(0, np.float32),
        )  # fmt: skip
    lost = float(run.settings.get("max_skipped", 0.10))
    return predict(model, images.take(places), runtime, lost, with_features=True, known=known)


def _around(
    before: Run, column: str, features: NDArray[np.float32], cluster: NDArray[np.int64]
) -> NDArray[np.float32]:
    """A column of new images: the mean of those around that are in the same cluster."""
    if column not in before.marks or not len(features):
        return np.zeros(len(features), np.float32)
    return (
        Known(before.features, before.cluster, before.marks[column]).look_around(features, cluster).confidence
    )


def _of(probabilities: NDArray[np.float32], cluster: NDArray[np.int64]) -> NDArray[np.float32]:
    return probabilities[np.arange(len(cluster)), cluster]


def _order(
    run: Run, kept: NDArray[np.int64], names: tuple[str, ...], images: ImageSource
) -> NDArray[np.int64]:
    """As in the source; what vanished from it stays behind the image that it stood behind."""
    place_of = {name: float(place) for place, name in enumerate(images.file_names)}
    last, keys = -1.0, []
    for row in kept.tolist():
        last = place_of.get(run.file_names[row], last)
        keys.append(last)
    keys.extend(place_of[name] for name in names)
    return np.argsort(keys, kind="stable")


def _with_edits(grown: Run, follow: Followed, run: Run, dropped: set[str]) -> Run:
    """The grown run with the edits that make it what it is, which are tried: later edits and undo repeat them."""
    if not edits_of(run):
        return grown
    edits, began = without(follow.edits, run.notes[BEGAN], dropped)
    notes = {**grown.notes, EDITS: [to_json(edit) for edit in edits], BEGAN: began}
    grown = replace(grown, notes=notes)
    try:
        state = state_of(as_answered(grown))
        perform(state, edits)
        is_same = np.array_equal(state.own.cluster, grown.cluster)
    except InputError:
        is_same = False
    if not is_same:
        raise InputError(
            "the edits of this run can't be repeated on these images; expected edits that hold without the vanished "
            "ones: give --vanished keep, or make a new run"
        )
    return grown


def _marked(grown: Run, new: set[str], dropped: set[str], images: ImageSource, runtime: Runtime) -> Run:
    """Doubt, outliers and copies of the new images; of the others nothing changes, but no copy is of what is gone."""
    place_of = {name: place for place, name in enumerate(images.file_names)}
    there = [name for name in grown.file_names if name in place_of]
    hashed = content_hashes(images.take([place_of[name] for name in there]))
    hashes = dict(zip(there, hashed, strict=True))
    n_nearest = min(N_NEAREST, len(grown.file_names) - 1)
    found = find_marks(
        grown.cluster,
        grown.confidence,
        nearest_neighbors(grown.features, n_nearest, runtime),
        grown.file_names,
        [hashes.get(name, "") for name in grown.file_names],
    )
    is_new = np.array([name in new for name in grown.file_names])
    marks = dict(grown.marks)
    for name in ("doubt", "is_outlier", "copy_of", "near_copy_of"):
        if name in marks:
            marks[name] = np.where(is_new, getattr(found, name), marks[name])
    for name in ("copy_of", "near_copy_of"):
        if name in marks:
            marks[name] = np.array(["" if one in dropped else str(one) for one in marks[name]], np.str_)
    by_hand = marks.get("moved_by_hand")
    if by_hand is not None and "doubt" in marks:
        marks["doubt"] = np.where(is_new & by_hand.astype(np.bool_), np.float32(0), marks["doubt"])
    return replace(grown, marks=marks)


def _is_more_than_chance(n_unlike: int, n_new: int, share: float) -> bool:
    from scipy.stats import binom

    return n_unlike > 1 and float(binom.sf(n_unlike - 1, n_new, share)) < BY_CHANCE


def _with_new_clusters(run: Run, n_clusters: int, runtime: Runtime) -> Run:
    """Clusters of their own for images that joined and fit none, divided where their graph is thinnest."""
    from ruc.cluster.parts import divide

    unlike = np.asarray(run.marks.get(FITS_NONE, np.zeros(len(run.cluster), np.bool_)), np.bool_)
    by_hand = np.asarray(run.marks.get("moved_by_hand", np.zeros(len(run.cluster), np.bool_)), np.bool_)
    rows = np.flatnonzero(unlike & ~by_hand)
    n_different = len(np.unique(run.features[rows], axis=0))
    if n_different == 0:
        raise InputError(
            f"--new-clusters {n_clusters} given, and each image that joined fits a cluster that is there; expected "
            "some that fit none (fits_no_cluster in clusters.csv): give it after such have joined"
        )
    if not 1 <= n_clusters <= n_different:
        raise InputError(
            f"--new-clusters {n_clusters} given, and {n_different} different images that joined fit no cluster; "
            "expected 1 or more clusters, and at most as many as there are such images"
        )
    groups = np.zeros(len(rows), np.int64)
    if n_clusters > 1:
        groups = divide(np.asarray(run.features[rows], np.float32), n_clusters, runtime)
    return apply_edits(run, own_clusters(run, rows, groups))


def updated_lines(updated: Updated, folder: Path) -> list[str]:
    """What the command line says of it."""
    lines = [
        f"{updated.n_joined} images joined, {len(updated.run.file_names) - updated.n_joined} stay as they were"
    ]
    if updated.n_dropped or updated.n_kept:
        kept = f"{updated.n_kept} that aren't there any more stay in the run" if updated.n_kept else ""
        gone = f"{updated.n_dropped} that aren't there any more went" if updated.n_dropped else ""
        lines.append("; ".join(part for part in (gone, kept) if part))
    if updated.others:
        lines.append(
            f"warning: {len(updated.others)} of {updated.n_looked_at} images that were looked at show something else "
            f"than the run's of the same name ({_examples(updated.others)}); they keep its clusters: expected the "
            "run's own folder; for other images there is ruc predict, for all anew ruc cluster"
        )
    if updated.unlike:
        lines.append(
            f"warning: {len(updated.unlike)} of the new images fit no cluster ({_examples(updated.unlike)}); "
            f"a cluster of their own: ruc update {folder} --new-clusters 1"
        )
    return lines


def _examples(names: tuple[str, ...]) -> str:
    return ", ".join(names[:N_EXAMPLES]) + (", …" if len(names) > N_EXAMPLES else "")
