"""The truth: the class of each image, taken from an array, or read from a file into the order of a run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.images.names import match_by_ending, plain_name
from ruc.labels.clustering import UNKNOWN
from ruc.labels.matching import say_matched_by_ending
from ruc.labels.tables import LabelTable, label_array, label_text, plain_labels, read_table

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

    Parameters
    ----------
    labels
        (n_samples,) integers, text or both. -1, "", None, NaN and pandas.NA mean unknown; 6, 6.0 and "6" are one
        class.
    """
    values = label_array(labels)
    if values.ndim != 1:
        raise InputError(
            f"truth has the shape {values.shape}; expected one label per image: a flat list or array"
        )
    if np.issubdtype(values.dtype, np.integer):
        numbers, inverse = np.unique(np.maximum(values.astype(np.int64), UNKNOWN), return_inverse=True)
        n_unknown = int(len(numbers) > 0 and numbers[0] == UNKNOWN)
        return Truth(
            inverse.astype(np.int64) - n_unknown, tuple(str(number) for number in numbers[n_unknown:])
        )
    texts = plain_labels([label_text(value) for value in values.tolist()])
    names = sorted(set(texts) - {""}, key=_numbers_first)
    index = {name: code for code, name in enumerate(names)}
    codes = np.fromiter((index.get(text, UNKNOWN) for text in texts), dtype=np.int64, count=len(texts))
    return Truth(codes, tuple(names))


def read_truth(path: str | Path, file_names: Sequence[str]) -> Truth:
    """Read true labels and put them in the order of a run's images.

    Unlike labels that are to be repaired, a truth may be about more images than the run: those are left out.

    Parameters
    ----------
    path
        CSV or Parquet with the columns `file_name` and `label`, in any order and with further columns; or with
        `label` alone, or a .npy of labels, one for each image in the order of the run. A label that is empty
        or -1, and an image that isn't named, is unknown. Names of other images are left out. A name that is no image's
        counts as that of the one image whose path ends with it, or with which it ends: `000.jpg` for
        `images/000.jpg`.
    file_names
        The images of the run.

    Raises
    ------
    InputError
        A file that cannot be read, columns or rows that are missing, a name given twice with different labels,
        or no name in common. The message names the file, the row and the remedy.
    """
    table = read_table(Path(path))
    if table.labels is None:
        raise InputError(f"{path}: has no column 'label'; expected the true labels in it")
    labels = plain_labels(table.labels)
    if table.file_names is None:
        if len(labels) != len(file_names):
            raise InputError(
                f"{path} has {len(labels)} labels without file names for {len(file_names)} images; expected one "
                "per image in the order of the run: give the column file_name too"
            )
        return encode_truth(labels)
    label_of = _labels_by_name(table, [plain_name(name) for name in table.file_names], labels)
    images = [plain_name(name) for name in file_names]
    by_ending = match_by_ending(set(label_of).difference(images), set(images).difference(label_of))
    say_matched_by_ending(table.source, by_ending)
    label_of |= {image: label_of[name] for image, name in by_ending.items()}
    n_unnamed = sum(name not in label_of for name in images)
    if n_unnamed == len(images):
        example = f"{table.file_names[0]!r}" if table.file_names else "nothing"
        raise InputError(
            f"{path} names none of the run's {len(file_names)} images: it has {example}, the run has "
            f"{file_names[0]!r}; expected file_name as in clusters.csv"
        )
    if n_unnamed:
        logger.info("%s: no row for %d of %d images; they are left out", table.source, n_unnamed, len(images))
    return encode_truth([label_of.get(name, "") for name in images])


def _labels_by_name(table: LabelTable, names: list[str], labels: list[str]) -> dict[str, str]:
    """The label of each name; a row may stand twice, but with one label."""
    label_of: dict[str, str] = {}
    for name, label, place in zip(names, labels, table.places, strict=True):
        before = label_of.setdefault(name, label)
        if before != label:
            raise InputError(
                f"{table.source}, {place}: {name!r} has the label {label!r} after {before!r} above; "
                "expected one label per image: remove one of the rows"
            )
    return label_of


def _numbers_first(name: str) -> tuple[bool, float, str]:
    try:
        return (False, float(name), name)
    except ValueError:
        return (True, 0.0, name)
