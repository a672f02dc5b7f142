"""The truth: the class of each image, taken from an array, or read from a file into the order of a run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.labels.clustering import UNKNOWN
from ruc.labels.matching import in_row_order, not_exactly, say_how_matched
from ruc.labels.tables import (
    WHOLE,
    LabelTable,
    label_array,
    plain_labels,
    read_labels,
    say_what_labels_mean,
    table_of,
)
from ruc.tables.names import Names, column_of_names, plain_name, say_by_place

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Truth:
    """The true class of each image.

    Attributes
    ----------
    codes
        (n_samples,) int64 index into `classes`; -1 where the truth is unknown.
    classes
        The class names, in numerical order when all are numbers, else in alphabetical order.
    """

    codes: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """(n_samples,) which images have a known truth."""
        known: NDArray[np.bool_] = self.codes != UNKNOWN
        return known


def encode_truth(labels: ArrayLike | Sequence[object]) -> Truth:
    """Turn true labels of any kind into codes.

    `labels`: (n_samples,) integers, text or both. -1, "", None, NaN and pandas.NA mean unknown; 6, 6.0 and "6" are one
    class.
    """
    values = label_array(labels)
    if values.ndim == 1 and values.dtype.kind in "iu" and len(values) and int(values.min()) >= UNKNOWN:
        numbers, inverse = np.unique(values, return_inverse=True)
        n_unknown = int(numbers[0] == UNKNOWN)
        codes = inverse.astype(np.int64) - n_unknown
        return Truth(codes, tuple(str(number) for number in numbers[n_unknown:]))
    return _encoded(table_of(values, "truth"))


def _encoded(table: LabelTable) -> Truth:
    texts = plain_labels(table.labels or ())
    for text, place in zip(texts, table.places, strict=True):
        if WHOLE.fullmatch(text) and text.startswith("-"):
            raise InputError(
                f"{table.source}, {place}: label {text}; expected 0, 1, 2, … or -1 for unknown: give others names"
            )
    names = sorted(set(texts) - {""}, key=_numbers_first)
    index = {name: code for code, name in enumerate(names)}
    codes = np.fromiter((index.get(text, UNKNOWN) for text in texts), dtype=np.int64, count=len(texts))
    return Truth(codes, tuple(names))


def read_truth(path: str | Path, file_names: Sequence[str], are_rows: bool = False) -> Truth:
    """Read true labels and put them in the order of a run's images.

    Unlike labels that are to be repaired, a truth may be about more images than the run: those are left out.

    Parameters
    ----------
    path
        A table with the images' names and the column `label`, in any order and with further columns; or, where
        nothing has names, labels alone or a .npy of them, one for each image in the order of the run. A label that is
        empty or -1, and an image that isn't named, is unknown. Names of other images are left out; names count as
        `match_names` matches them.
    file_names
        The images of the run.
    are_rows
        Whether the run is of features, whose rows have numbers for names too.

    Raises
    ------
    InputError
        A file that cannot be read, columns or rows that are missing, a name given twice with different labels,
        or no name in common. The message names the file, the row and the remedy.
    """
    table = read_labels(Path(path))
    if table.labels is None:
        raise InputError(f"{path}: has no column 'label'; expected the true labels in it")
    names = column_of_names(table.source, table.columns, file_names, are_rows)
    if names is None:
        truth = _known(in_row_order(table, len(file_names)))
        say_by_place(table.source, file_names)
        say_what_labels_mean(table.source, table.labels)
        return truth
    label_of = _labels_by_image(table, names)
    n_unnamed = len(file_names) - len(label_of)
    if not label_of:
        example = repr(names.cells[0]) if names.cells else "nothing"
        raise InputError(
            f"{path} names none of the run's {len(file_names)} images: it has {example}, the run has "
            f"{file_names[0]!r}; expected file_name as in clusters.csv"
        )
    places = [f"image {name!r}" for name in file_names]
    truth = _known(replace(table, labels=[label_of.get(name, "") for name in file_names], places=places))
    say_what_labels_mean(table.source, table.labels)
    say_how_matched(table.source, names.heading, not_exactly(names.image_of))
    if n_unnamed:
        logger.info(
            "%s: no row for %d of %d images; they are left out", table.source, n_unnamed, len(file_names)
        )
    return truth


def _known(table: LabelTable) -> Truth:
    """Encoded, with at least one label that is known."""
    truth = _encoded(table)
    if not truth.classes:
        raise InputError(
            f"{table.source}: no label of the run's {len(table.places)} images is known; expected at least one: "
            "fill the column 'label'"
        )
    return truth


def _labels_by_image(table: LabelTable, names: Names) -> dict[str, str]:
    """The label of each image; a row may stand twice, but with one label."""
    label_of: dict[str, str] = {}
    for name, label, place in zip(names.cells, table.labels or (), table.places, strict=True):
        image = names.image_of.get(name)
        if image is None:
            continue
        before = label_of.setdefault(image, label)
        if before != label:
            raise InputError(
                f"{table.source}, {place}: {plain_name(name)!r} has the label {label!r} after {before!r} above; "
                "expected one label per image: remove one of the rows"
            )
    return label_of


def _numbers_first(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)
