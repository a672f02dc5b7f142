"""What the files of a run must agree on: shapes, types, ranges and counts, checked together whenever a run is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import RunFolderError, shortened
from ruc.images.reading import PAGES
from ruc.run_folder.run import Run

SUM_TOLERANCE: Final = 1e-2  # of a row of probabilities: float32, and many clusters that were merged
LONGEST: Final = 1.01  # of a feature in a row of length 1, stored as float16 it may be
ROWS: Final = 65_536  # looked at together
TEXTS: Final = (
    "source",
    "labels",
    "probabilities",
    "output",
    "base",
    "space",
    "device",
)
TEXTS_OR_NONE: Final = (str, type(None))


def check_run(run: Run, folder: Path) -> None:
    """Raise `RunFolderError`, which names the file and what is wrong in it, where a run's parts don't fit together."""
    try:
        _check(run)
    except _MismatchError as error:
        raise RunFolderError(
            f"{folder} is no whole run: {error}; expected the files as `ruc` wrote them together: make the run again"
        ) from error


class _MismatchError(Exception):
    """One sentence of what doesn't fit."""


def _check(run: Run) -> None:
    n, n_clusters = len(run.file_names), len(run.cluster_names)
    _expect(n > 0, "clusters.parquet has no rows")
    _expect(len(set(run.file_names)) == n, "clusters.parquet names an image twice")
    _matrix("probabilities.npy", run.probabilities, n, n_clusters, are_shares=True)
    _matrix("features.npy", run.features, n)
    longest = float(np.abs(run.features).max(initial=0.0))
    _expect(longest <= LONGEST, f"features.npy holds {longest:.6g}, in rows that have the length 1")
    _check_table(run, n, n_clusters)
    _expect(n_clusters > 0, "notes.json names no clusters")
    _expect(
        all(isinstance(name, str) for name in run.cluster_names), "a cluster's name in notes.json is no text"
    )
    _check_notes(run.notes, n, n_clusters)
    widths = run.embeddings.values() if isinstance(run.embeddings, dict) else [None]
    fits = all(type(width) is int for width in widths) and sum(widths) == run.features.shape[1]
    _expect(not run.embeddings or fits, "embeddings in notes.json aren't the columns of the features")
    n_before = n_clusters
    if run.network_probabilities is not None:
        _expect(
            "before_edits" in run.notes,
            "network_probabilities.npy is there, but notes.json tells of no edits",
        )
        n_before = len(run.notes["before_edits"]["cluster_names"])
        _matrix("network_probabilities.npy", run.network_probabilities, n, n_before, are_shares=True)
    if run.initial_probabilities is not None:
        _matrix("initial_probabilities.npy", run.initial_probabilities, n, n_before, may_be_unknown=True)
    _expect(
        all(len(row) == 5 and None not in row for row in run.review),
        "a row of review.csv has not five values",
    )
    _expect(all(None not in pair for pair in run.skipped), "a row of skipped.csv has no reason")
    _expect(run.metrics is None or isinstance(run.metrics, dict), "metrics.json holds no mapping")
    _check_settings(run.settings)


def _check_table(run: Run, n: int, n_clusters: int) -> None:
    for name, lowest in (("cluster", 0), ("initial_cluster", -1)):
        column = getattr(run, name)
        wrong = np.flatnonzero((column < lowest) | (column >= n_clusters))
        if len(wrong):
            raise _MismatchError(
                f"row {wrong[0]} of clusters.parquet has {name} {column[wrong[0]]}, but notes.json names {n_clusters} "
                "clusters"
            )
    _expect(_are_shares(run.confidence), "a confidence in clusters.parquet is none between 0 and 1")
    for name, column in run.marks.items():
        is_flat = column.dtype.kind in "biufUS" or all(isinstance(value, TEXTS_OR_NONE) for value in column)
        _expect(is_flat, f"the column {shortened(name)} of clusters.parquet holds neither numbers nor text")
    for name, kind in (("doubt", "f"), ("is_outlier", "b"), ("moved_by_hand", "b"), ("clean_since", "i")):
        if name in run.marks:
            _expect(
                run.marks[name].dtype.kind == kind,
                f"the column {name} of clusters.parquet is of another type",
            )
    if "doubt" in run.marks:
        _expect(_are_shares(run.marks["doubt"]), "a doubt in clusters.parquet is none between 0 and 1")


def _check_notes(notes: Mapping[str, Any], n: int, n_clusters: int) -> None:
    for name in ("remarks", "warnings"):
        _expect(_are(notes.get(name, []), str), f"{name} in notes.json are no texts")
    for name in ("given_settings", "k_curve"):
        _expect(isinstance(notes.get(name, {}), dict), f"{name} in notes.json is no mapping")
    junk = notes.get("junk_clusters", [])
    _expect(
        _are(junk, int) and all(0 <= one < n_clusters for one in junk),
        "junk_clusters in notes.json are no clusters",
    )
    _expect(isinstance(notes.get("edits", []), list), "edits in notes.json are no list")
    began = notes.get("edits_began", [])
    n_edits = len(notes.get("edits", []))
    _expect(
        _are(began, int) and all(0 <= one < n_edits for one in began),
        "edits_began in notes.json are no edits",
    )
    _expect(
        bool(n_edits) == bool(began) == ("before_edits" in notes), "notes.json tells of edits in part only"
    )
    if "before_edits" in notes:
        _check_before_edits(notes["before_edits"], n)


def _check_before_edits(before: Any, n: int) -> None:
    what = "before_edits in notes.json"
    _expect(isinstance(before, dict), f"{what} is no mapping")
    names = before.get("cluster_names")
    _expect(bool(names) and _are(names, str), f"{what} names no clusters")
    for name, lowest in (("cluster", 0), ("initial_cluster", -1)):
        column = before.get(name)
        fits = _are(column, int) and len(column) == n and all(lowest <= one < len(names) for one in column)
        _expect(fits, f"{what} has no {name} of each image")
    confidence = before.get("confidence")
    fits = _are(confidence, (int, float)) and len(confidence) == n and _are_shares(np.asarray(confidence))
    _expect(fits, f"{what} has no confidence of each image")
    doubt = before.get("doubt", [0.0] * n)  # which edits left as it was once
    fits = _are(doubt, (int, float)) and len(doubt) == n and _are_shares(np.asarray(doubt))
    _expect(fits, f"{what} has no doubt of each image")
    junk = before.get("junk_clusters")
    _expect(
        _are(junk, int) and all(0 <= one < len(names) for one in junk),
        f"{what} has junk_clusters that are none",
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
    for name in TEXTS:
        _expect(isinstance(settings.get(name), TEXTS_OR_NONE), f"{name} in config.yaml is no text")
    for name in ("features", "embedder"):  # one, or several
        value = settings.get(name)
        _expect(isinstance(value, TEXTS_OR_NONE) or _are(value, str), f"{name} in config.yaml is no text")
    for name in ("refine", "made_with"):
        _expect(isinstance(settings.get(name, {}), dict), f"{name} in config.yaml is no mapping")
    seed, largest = settings.get("seed", 0), settings.get("max_megapixels", 1)
    _expect(type(seed) is int and seed >= 0, "seed in config.yaml is no whole number from 0")
    for name in ("review", "max_skipped"):
        share = settings.get(name, 0)
        fits = type(share) in (int, float) and 0 <= share <= 1
        _expect(fits, f"{name} in config.yaml is no share between 0 and 1")
    _expect(
        type(largest) in (int, float) and largest > 0, "max_megapixels in config.yaml is no number above 0"
    )
    _expect(settings.get("page", PAGES[0]) in PAGES, f"page in config.yaml is none of {', '.join(PAGES)}")
    ranges = {} if settings.get("value_range") is None else settings["value_range"]
    _expect(
        isinstance(ranges, dict)
        and all(_are(ends, (int, float)) and len(ends) == 2 for ends in ranges.values()),
        "value_range in config.yaml has not two numbers for each kind of values",
    )


def _matrix(
    name: str,
    array: NDArray[Any],
    n: int,
    n_columns: int | None = None,
    are_shares: bool = False,
    may_be_unknown: bool = False,
) -> None:
    if array.ndim != 2 or array.dtype.kind != "f":
        raise _MismatchError(f"{name} holds {array.dtype} of shape {array.shape}, not a table of numbers")
    if len(array) != n:
        raise _MismatchError(f"clusters.parquet has {n} rows and {name} {len(array)}")
    if n_columns is not None and array.shape[1] != n_columns:
        raise _MismatchError(f"{name} has {array.shape[1]} columns for {n_columns} clusters")
    for start in range(0, n, ROWS):
        rows = array[start : start + ROWS]
        if may_be_unknown:
            rows = rows[~np.isnan(rows).all(axis=1)]
        wrong = ~np.isfinite(rows).all(axis=1)
        if are_shares:
            sums = rows.sum(axis=1, dtype=np.float64)
            wrong |= (rows < 0).any(axis=1) | ~(np.abs(sums - 1) <= SUM_TOLERANCE)
        if wrong.any():
            expected = "probabilities that sum to 1" if are_shares else "finite numbers"
            raise _MismatchError(f"row {start + int(wrong.argmax())} of {name} doesn't hold {expected}")


def _are_shares(values: NDArray[Any]) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())  # which NaN is not


def _are(values: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(values, list | tuple) and all(isinstance(one, kind) for one in values)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _MismatchError(otherwise)
