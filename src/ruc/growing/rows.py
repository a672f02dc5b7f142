"""The rows of a run put together anew: some of its own, and new ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.run_folder import Run

UNKNOWN: Mapping[str, Any] = {
    "b": False,
    "f": np.nan,
    "i": -1,
    "u": 0,
}  # of a column, by the kind of its values


@dataclass(frozen=True)
class Joining:
    """New rows of a run; each field as in `Run`, of these rows alone.

    Attributes
    ----------
    names
        n_new names.
    cluster, confidence, probabilities
        Of the clusters as they were edited.
    before
        The same three as they were before any edit.
    features
        (n_new, n_features).
    marks
        Columns of the table; of one that isn't among them nothing is known.
    """

    names: tuple[str, ...]
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    before: tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
    features: NDArray[np.float32]
    marks: Mapping[str, NDArray[Any]]


def with_rows(run: Run, kept: NDArray[np.int64], new: Joining, order: NDArray[np.int64]) -> Run:
    """The run of its kept rows and then the new ones, in an order; nothing of the kept rows changes.

    Parameters
    ----------
    run
        As it is.
    kept
        Rows of it.
    new
        Rows to join.
    order
        (n_kept + n_new,) places among the kept rows and then the new ones.
    """
    n_new = len(new.names)

    def joined(own: NDArray[Any], theirs: Any) -> NDArray[Any]:
        theirs = np.asarray(theirs)
        if own.dtype.kind in "US" and theirs.dtype.kind in "US":  # of whatever length
            return np.concatenate([own[kept], theirs])[order]
        return np.concatenate([own[kept], theirs.astype(own.dtype)])[order]

    def nothing(own: NDArray[Any]) -> NDArray[Any]:
        return np.full((n_new, *own.shape[1:]), UNKNOWN.get(own.dtype.kind, ""))

    cluster, confidence, probabilities = new.before
    notes = dict(run.notes)
    if "before_edits" in notes:
        values = {"cluster": cluster, "confidence": confidence, "initial_cluster": np.full(n_new, -1)}
        values["doubt"] = new.marks["doubt"]
        before = notes["before_edits"]
        notes["before_edits"] = before | {
            name: joined(np.asarray(before[name]), value).tolist()
            for name, value in values.items()
            if name in before
        }
    names = np.array([*(run.file_names[row] for row in kept), *new.names], dtype=object)[order]
    none = np.zeros(n_new, np.bool_)
    base, own = run.initial_probabilities, run.network_probabilities
    return replace(
        run,
        file_names=tuple(names.tolist()),
        cluster=joined(run.cluster, new.cluster),
        confidence=joined(run.confidence, new.confidence),
        initial_cluster=joined(run.initial_cluster, np.full(n_new, -1)),
        was_clean=joined(run.was_clean, none),
        is_clean=joined(run.is_clean, none),
        probabilities=joined(run.probabilities, new.probabilities),
        features=joined(run.features, new.features),
        initial_probabilities=None if base is None else joined(base, nothing(base)),
        network_probabilities=None if own is None else joined(own, probabilities),
        marks={
            name: joined(column, new.marks.get(name, nothing(column))) for name, column in run.marks.items()
        },
        notes=notes,
    )
