"""Read the truth from a file: CSV or Parquet with `file_name,label`, or labels alone in row order."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ruc.errors import InputError
from ruc.evaluate.metrics import Truth, encode_truth
from ruc.images.names import match_by_ending, plain_name

__all__ = ["read_truth"]

logger = logging.getLogger(__name__)


def read_truth(path: str | Path, file_names: Sequence[str]) -> Truth:
    """Read true labels and put them in the order of a run's images.

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
    path = Path(path)
    if not path.is_file():
        raise InputError(f"truth {path} does not exist; expected a CSV, Parquet or .npy file: check --truth")
    names, labels = _read(path)
    if names is None:
        if len(labels) != len(file_names):
            raise InputError(
                f"{path} has {len(labels)} labels without file names for {len(file_names)} images; expected one "
                "per image in the order of the run: give the column file_name too"
            )
        return encode_truth(labels)
    names, images = [plain_name(name) for name in names], [plain_name(name) for name in file_names]
    label_of: dict[str, str] = {}
    for number, (name, label) in enumerate(zip(names, labels, strict=True)):
        before = label_of.setdefault(name, label)
        if before != label:
            raise InputError(
                f"{path}, {_row(path, number)}: {name!r} has the label {label!r} after {before!r} above; "
                "expected one label per image: remove one of the rows"
            )
    by_ending = match_by_ending(set(label_of).difference(images), set(images).difference(label_of))
    if by_ending:
        image, name = next(iter(by_ending.items()))
        logger.info("%s: %d names matched by their ending, as %r for %r", path, len(by_ending), name, image)
        label_of |= {image: label_of[name] for image, name in by_ending.items()}
    known = sum(name in label_of for name in images)
    if known == 0:
        example = f"{names[0]!r}" if names else "nothing"
        raise InputError(
            f"{path} names none of the run's {len(file_names)} images: it has {example}, the run has "
            f"{file_names[0]!r}; expected file_name as in clusters.csv"
        )
    if known < len(file_names):
        logger.info(
            "%s: no row for %d of %d images; they are left out",
            path,
            len(file_names) - known,
            len(file_names),
        )
    return encode_truth([label_of.get(name, "") for name in images])


def _read(path: Path) -> tuple[list[str] | None, list[str]]:
    """File names, or None where there are none, and labels as text."""
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise InputError(
            f"truth {path} is a {path.suffix or 'file without suffix'}; expected .csv, .parquet or .npy"
        )
    return readers[path.suffix.lower()](path)


def _read_csv(path: Path) -> tuple[list[str] | None, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            _check_columns(path, columns)
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as CSV ({error}); expected UTF-8 text: save it again"
        ) from error
    for number, row in enumerate(rows):
        if row["label"] is None or None in row:
            raise InputError(
                f"{path}, {_row(path, number)}: {sum(value is not None for value in row.values())} values for "
                f"{len(columns)} columns; expected one each: quote a value that holds a comma"
            )
    names = [row["file_name"] for row in rows] if "file_name" in columns else None
    return names, [row["label"].strip() for row in rows]


def _read_parquet(path: Path) -> tuple[list[str] | None, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({str(error).splitlines()[0]}); expected a Parquet file: write it again"
        ) from error
    _check_columns(path, table.column_names)
    names = None
    if "file_name" in table.column_names:
        names = [str(name) for name in table.column("file_name").to_pylist()]
    return names, _as_texts(table.column("label").to_pylist())


def _read_npy(path: Path) -> tuple[None, list[str]]:
    try:
        labels = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as .npy ({str(error).splitlines()[0]}); expected a flat array of numbers or text"
        ) from error
    if labels.ndim != 1:
        raise InputError(f"{path} has the shape {labels.shape}; expected one label per image: a flat array")
    return None, _as_texts(labels.tolist())


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if "label" not in columns:
        raise InputError(
            f"{path} has the columns {', '.join(columns) or '(none)'}; expected file_name and label: "
            "name them so in the first row"
        )


def _as_texts(labels: Sequence[object]) -> list[str]:
    truth = encode_truth(np.array(labels, dtype=object))
    return ["" if code < 0 else truth.classes[code] for code in truth.codes]


def _row(path: Path, number: int) -> str:
    """Where a row is, as the user counts: the lines of a CSV from 1 with its header, other rows from 1."""
    return f"line {number + 2}" if path.suffix.lower() == ".csv" else f"row {number + 1}"
