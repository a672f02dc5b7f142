"""Labels that somebody else made, as a clustering: matched with the samples, checked, and numbered."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError, shortened
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.labels.matching import in_order_of, in_row_order, say_how_matched
from ruc.labels.tables import (
    LABEL,
    PROBABILITY,
    WHOLE,
    LabelTable,
    label_array,
    plain_labels,
    read_labels,
    say_what_labels_mean,
    table_of,
    with_probabilities,
)
from ruc.tables.arrays import read_array
from ruc.tables.names import column_of_names, plain_heading

logger = logging.getLogger(__name__)

SUM_TOLERANCE = 1e-3  # probabilities were rounded when they were written


def given(
    labels: ArrayLike,
    n_samples: int,
    probabilities: ArrayLike | None = None,
    n_clusters: int | None = None,
) -> tuple[Clustering, tuple[str, ...] | None]:
    """Take labels, and probabilities where there are some, from arrays in the order of the samples.

    Parameters
    ----------
    labels
        (n_samples,) integers or text; -1, "", None, NaN and pandas.NA are unknown.
    probabilities
        (n_samples, n_clusters), rows summing to 1; columns in the sorted order of the classes.
    n_clusters
        Number of clusters; by default as many as there are classes.

    Returns
    -------
    clustering
        Named "given".
    class_names
        The name of each cluster: None where labels were the integers 0 … n_clusters-1 already.

    Raises
    ------
    InputError
        Anything that doesn't fit, with the row and what to do about it.
    """
    table = table_of(label_array(labels), "labels")
    if probabilities is not None:
        table = with_probabilities(table, np.asarray(probabilities), "probabilities")
    return _said(in_row_order(table, n_samples), n_clusters)


def read_given(
    path: Path,
    file_names: Sequence[str],
    probabilities: Path | None = None,
    n_clusters: int | None = None,
    skipped: Collection[str] = (),
    are_rows: bool = False,
) -> tuple[Clustering, tuple[str, ...] | None]:
    """Read labels from a table or an array, and match them with the samples.

    A table has a column `label`, for images one with their names too, and may have columns of probabilities
    `probability_<class>`; without `label` the most probable class is the label, and of a run's own table its clusters
    are. Where nothing has names, as in
    `.npy`, rows are in the order of the samples. Samples that aren't in the file have an unknown label.

    Parameters
    ----------
    file_names
        Of all images in the order of their source, those skipped among them; row numbers where samples have no names.
    probabilities
        A `.npy` of probabilities (n_rows, n_clusters), its rows in the order of the file of labels, its columns in
        the sorted order of the classes.
    n_clusters
        Number of clusters; by default as many as there are classes.
    skipped
        File names of images that couldn't be read: their labels are passed over.
    are_rows
        Whether the samples are rows of features, which have numbers for names too.

    Returns
    -------
    clustering
        Named "given"; without those skipped.
    class_names
        The name of each cluster: None where labels were the integers 0 … n_clusters-1 already.

    Raises
    ------
    InputError
        Anything that doesn't fit, with the file, the row and what to do about it.
    """
    return _said(in_order_of(_read(path, probabilities), file_names, skipped, are_rows), n_clusters)


def check_given(
    path: Path,
    file_names: Sequence[str],
    probabilities: Path | None = None,
    n_clusters: int | None = None,
) -> None:
    """Raise what `read_given` would, as far as can be told before it is known which images can be read.

    Parameters are those of `read_given`.
    """
    table = _read(path, probabilities)
    if column_of_names(table.source, table.columns, file_names) is not None:
        # Else rows may be those of images that are still to be read.
        _number(in_order_of(table, file_names, ()), n_clusters)


def _read(path: Path, probabilities: Path | None) -> LabelTable:
    table = read_labels(Path(path), or_clusters=True)
    if probabilities is None:
        return table
    return with_probabilities(table, read_array(Path(probabilities)), str(probabilities))


def _said(table: LabelTable, n_clusters: int | None) -> tuple[Clustering, tuple[str, ...] | None]:
    """Numbered, with a warning of each thing in it that the user may not have meant."""
    clustering, names = _number(table, n_clusters)
    if plain_heading(table.labels_from) != LABEL:
        logger.info("%s: its column %r is taken for the labels", table.source, table.labels_from)
    say_how_matched(table.source, table.names_from, table.by_ending)
    if table.n_unnamed:
        logger.warning(
            "%s has no label for %d of %d images: unknown", table.source, table.n_unnamed, len(table.places)
        )
    say_what_labels_mean(table.source, table.labels or ())
    _warn_of_small_classes(table, clustering, names or [str(k) for k in range(clustering.n_clusters)])
    if clustering.probabilities is not None:
        most_probable = clustering.probabilities.argmax(axis=1)
        n_different = int(((clustering.labels != UNKNOWN) & (most_probable != clustering.labels)).sum())
        if n_different:
            logger.warning(
                "%s: %d of %d labels aren't the most probable class; the labels count",
                table.source,
                n_different,
                len(most_probable),
            )
    return clustering, names


def _number(table: LabelTable, n_clusters: int | None) -> tuple[Clustering, tuple[str, ...] | None]:
    """Number the classes 0 … n_clusters-1."""
    probabilities = None if table.probabilities is None else _checked_probabilities(table)
    texts = _known_texts(table, probabilities)
    classes = _classes(table, texts, probabilities, n_clusters)
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[text] if text else UNKNOWN for text in texts], dtype=np.int64)
    if probabilities is not None:
        if table.classes is not None:
            probabilities = probabilities[:, [table.classes.index(name) for name in classes]]
        even = np.float32(1.0 / probabilities.shape[1])
        probabilities = np.where(np.isnan(probabilities), even, probabilities)
    names = None if classes == [str(k) for k in range(len(classes))] else tuple(classes)
    return Clustering(labels, probabilities, len(classes), "given", cluster_names=names), names


def _known_texts(table: LabelTable, probabilities: NDArray[np.float32] | None) -> list[str]:
    """The labels, "" where unknown; without any, the most probable classes. Whole numbers are written alike."""
    if table.labels is None:
        assert probabilities is not None and table.classes is not None
        known = np.isfinite(probabilities).all(axis=1)
        best = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), UNKNOWN)
        texts = [table.classes[k] if k != UNKNOWN else "" for k in best.tolist()]
    else:
        texts = table.labels
    texts = plain_labels(texts)
    if not any(texts):
        raise InputError(
            f"{table.source}: no label is known; expected at least two classes; fill the column, or let `ruc cluster` "
            "find some"
        )
    whole = all(WHOLE.fullmatch(text) for text in texts if text)
    negative = next((row for row, text in enumerate(texts) if whole and text.startswith("-")), None)
    if negative is not None:
        raise InputError(
            f"{table.source}, {table.places[negative]}: label {texts[negative]}; "
            "expected 0, 1, 2, … or -1 for unknown"
        )
    return texts


def _order(number: str) -> tuple[bool, int, str]:
    """The order of whole numbers, which may have more digits than Python turns into an integer."""
    return not number.startswith("-"), len(number), number


def _classes(
    table: LabelTable, texts: list[str], probabilities: NDArray[np.float32] | None, n_clusters: int | None
) -> list[str]:
    """Names of the classes in the order of their numbers."""
    used = set(texts) - {""}
    of_columns = used | set(table.classes or ())
    numeric = all(WHOLE.fullmatch(name) for name in of_columns)
    classes = sorted(of_columns, key=_order) if numeric else sorted(of_columns)
    if table.classes is not None and len(classes) > len(table.classes):
        extra = next(row for row, text in enumerate(texts) if text and text not in table.classes)
        raise InputError(
            f"{table.source}, {table.places[extra]}: label {texts[extra]!r} has no column "
            f"{PROBABILITY + texts[extra]!r}; add it or correct the label"
        )
    expected = probabilities.shape[1] if probabilities is not None else n_clusters
    if numeric and expected is not None and _order(classes[-1]) < _order(str(expected)):
        classes = [str(k) for k in range(expected)]  # some may have no member
    if len(used) < 2:
        raise InputError(
            f"{table.source}: every known label is {classes[0]!r}; expected at least two classes: there is nothing to "
            "repair in one; add the others, or let `ruc cluster` find some"
        )
    if probabilities is not None and probabilities.shape[1] != len(classes):
        raise InputError(
            f"{table.probability_source or table.source}: probabilities of {probabilities.shape[1]} classes, but "
            f"labels of {len(classes)}; expected a column a class, in the sorted order of the classes"
        )
    if n_clusters is not None and len(classes) != n_clusters:
        raise InputError(
            f"{table.source}: {len(classes)} classes, but {n_clusters} clusters were asked for; expected the same: "
            "omit n_clusters, or correct the labels"
        )
    return classes


def _warn_of_small_classes(table: LabelTable, clustering: Clustering, classes: Sequence[str]) -> None:
    labels = clustering.labels
    sizes = np.bincount(labels[labels != UNKNOWN], minlength=clustering.n_clusters)
    single, empty = np.flatnonzero(sizes == 1).tolist(), np.flatnonzero(sizes == 0).tolist()
    if single:
        logger.warning(
            "%s, %s: no other sample has the label %s; nothing can confirm it, so it may be changed: correct it, or "
            "give more samples of it",
            table.source,
            _some([table.places[int(np.flatnonzero(labels == k)[0])] for k in single], quote=False),
            _some([classes[k] for k in single]),
        )
    if empty:
        logger.warning("%s: no sample has the label %s", table.source, _some([classes[k] for k in empty]))


def _some(names: list[str], at_most: int = 5, quote: bool = True) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join((repr if quote else str)(shortened(name)) for name in names[:at_most]) + more


def _checked_probabilities(table: LabelTable) -> NDArray[np.float32]:
    """Float32 rows that sum to 1 exactly; rows of NaN alone (nothing is known) stay."""
    assert table.probabilities is not None
    rows, source = table.probabilities, table.probability_source or table.source
    sums = rows.sum(axis=1)
    blank = np.isnan(rows).all(axis=1)
    if table.labels is not None:
        blank &= np.array([label in ("", "-1") for label in table.labels])

    def refuse(is_wrong: Any, what: Callable[[int], str], remedy: str) -> None:
        wrong = np.flatnonzero(is_wrong & ~blank).tolist()
        if wrong:
            raise InputError(
                f"{source}, {table.places[wrong[0]]}: {what(wrong[0])} ({len(wrong)} such rows); {remedy}"
            )

    refuse(
        ~np.isfinite(rows).all(axis=1),
        lambda row: "probabilities hold NaN or infinity",
        "fill them, or leave the whole row and its label empty",
    )
    refuse(
        (rows < 0).any(axis=1),
        lambda row: f"a probability is {rows[row].min():g}",
        "expected none below 0; if these are logits, apply a softmax",
    )
    refuse(
        np.abs(sums - 1.0) > SUM_TOLERANCE,
        lambda row: f"probabilities sum to {sums[row]:.4g}",
        "expected 1; divide each row by its sum",
    )
    scaled: NDArray[np.float32] = (rows / sums[:, None]).astype(np.float32)
    return scaled
