"""Labels as they stand in a file or an array, before they are matched with samples and numbered."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError

PROBABILITY: Final = "probability_"  # prefix of the columns that hold probabilities; the class follows
WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)")
WHOLE_OR_FLOAT = re.compile(rf"{WHOLE.pattern}(\.0+)?")  # as pandas writes whole numbers beside missing ones


@dataclass(frozen=True)
class LabelTable:
    """One row a label, or a sample once the rows were matched with the samples.

    Attributes
    ----------
    source
        The file, or "labels", for messages.
    file_names
        Of the images, or None where rows have none.
    labels
        As text, "" where unknown; None where there are probabilities alone.
    probabilities
        (n_rows, n_classes), a row of NaN where nothing is known, or None.
    classes
        Names of the columns of probabilities, where they have some.
    places
        Where each row stands, for messages: "line 3", or "row 1".
    probability_source
        The file of probabilities, where it is another.
    n_unnamed
        Samples that no row names.
    by_ending
        Images whose row has another name, by how either ends: image to name.
    """

    source: str
    file_names: list[str] | None
    labels: list[str] | None
    probabilities: NDArray[np.float64] | None
    classes: list[str] | None
    places: list[str]
    probability_source: str = ""
    n_unnamed: int = 0
    by_ending: Mapping[str, str] = field(default_factory=dict)


def read_table(path: Path) -> LabelTable:
    """The labels of a CSV, Parquet or `.npy` file.

    Raises
    ------
    InputError
        The file isn't there, can't be read, or holds no labels; with the row and what to do about it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of labels; expected a CSV, Parquet or .npy file")
    match path.suffix.lower():
        case ".npy":
            return table_of(read_npy(path), str(path))
        case ".parquet" | ".pq":
            return _read_parquet(path)
        case ".csv" | ".tsv" | ".txt":
            return _read_csv(path)
    raise InputError(f"{path}: labels in a file of type {path.suffix!r}; expected .csv, .parquet or .npy")


def read_npy(path: Path) -> NDArray[np.generic]:
    """The array of a `.npy`, which must not hold objects."""
    try:
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a .npy file") from error
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be read as .npy ({error}); save it by numpy.save as numbers or text, not as objects"
        ) from error
    return array


def table_of(array: NDArray[np.generic], source: str) -> LabelTable:
    """The labels of a flat array; `source` names it in messages."""
    if array.ndim != 1:
        raise InputError(
            f"{source}: labels have shape {array.shape}; expected one label a sample, (n_samples,)"
        )
    labels = [label_text(value) for value in array.tolist()]
    return LabelTable(source, None, labels, None, None, [f"row {row}" for row in range(len(labels))])


def _read_csv(path: Path) -> LabelTable:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            rows = _rows_among([(reader.line_num, row) for row in reader])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: isn't UTF-8 text ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file of labels that you may read"
        ) from error
    if not rows:
        raise InputError(f"{path}: is empty; expected a header line with the columns file_name,label")
    columns = [column.strip() for column in rows[0][1]]
    # Spreadsheets append lines of commas; without names such a row is an unknown label.
    if "file_name" in columns:
        rows = [(line, row) for line, row in rows if any(row)]
    for line, row in rows[1:]:
        if len(row) != len(columns):
            raise InputError(
                f"{path}, line {line}: {len(row)} values for {len(columns)} columns; put values that hold a "
                f"{delimiter!r} in double quotes"
            )
    values = {column: [row[i].strip() for _, row in rows[1:]] for i, column in enumerate(columns)}
    if len(values) < len(columns):
        raise InputError(f"{path}: two columns have the same name among {', '.join(columns)}; rename one")
    return _from_columns(str(path), values, [f"line {line}" for line, _ in rows[1:]])


def _rows_among(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The lines that aren't empty; of a single column also empty ones between them, which hold unknown labels."""
    filled = [place for place, (_, row) in enumerate(lines) if row]
    if filled and len(lines[filled[0]][1]) == 1:
        return [(line, row or [""]) for line, row in lines[filled[0] : filled[-1] + 1]]
    return [lines[place] for place in filled]


def _read_parquet(path: Path) -> LabelTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    wanted = [
        name for name in table.column_names if name in ("file_name", "label") or name.startswith(PROBABILITY)
    ]
    values = {name: [label_text(value) for value in table.column(name).to_pylist()] for name in wanted}
    if not wanted:
        values = {name: [] for name in table.column_names}
    return _from_columns(str(path), values, [f"row {row}" for row in range(table.num_rows)])


def _from_columns(source: str, columns: dict[str, list[str]], places: list[str]) -> LabelTable:
    """Pick the columns that matter."""
    probability_columns = [name for name in columns if name.startswith(PROBABILITY)]
    if "label" not in columns and not probability_columns:
        raise InputError(
            f"{source}: has the columns {', '.join(columns)}; expected 'file_name' and 'label'; rename the column "
            "that holds the labels to 'label'"
        )
    probabilities = None
    if probability_columns:
        probabilities = np.empty((len(places), len(probability_columns)))
        for k, name in enumerate(probability_columns):
            for row, value in enumerate(columns[name]):
                try:
                    probabilities[row, k] = float(value) if value else np.nan
                except ValueError as error:
                    raise InputError(
                        f"{source}, {places[row]}: {name} is {value!r}; expected a number between 0 and 1"
                    ) from error
    classes = [name.removeprefix(PROBABILITY) for name in probability_columns] or None
    return LabelTable(source, columns.get("file_name"), columns.get("label"), probabilities, classes, places)


def with_probabilities(table: LabelTable, array: NDArray[np.generic], source: str) -> LabelTable:
    """The table with probabilities, (n_rows, n_classes), from elsewhere; `source` names it in messages."""
    if table.probabilities is not None:
        raise InputError(
            f"{table.source}: has columns of probabilities, and {source} was given as well; give one of them"
        )
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise InputError(
            f"{source}: has shape {array.shape} and type {array.dtype}; expected numbers, (n_samples, n_clusters)"
        )
    if len(array) != len(table.places):
        raise InputError(
            f"{source}: has {len(array)} rows for the {len(table.places)} labels of {table.source}; "
            "expected a row a label"
        )
    return replace(table, probabilities=array.astype(np.float64), classes=None, probability_source=source)


def plain_labels(labels: Sequence[str]) -> list[str]:
    """The labels with "" for -1 and NaN, which mean unknown too; where all are whole numbers, these written alike."""
    texts = ["" if text in ("-1", "-1.0") or text.lower() == "nan" else text for text in labels]
    if all(WHOLE_OR_FLOAT.fullmatch(text) for text in texts if text):
        return [text.split(".")[0] for text in texts]
    return texts


def label_text(value: object) -> str:
    """A label as text; "" where the value, not what it would be written as, says that it's unknown."""
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():  # 6.0 is called as 6 is
        return str(int(value))
    return str(value).strip()


def label_array(labels: ArrayLike | Sequence[object]) -> NDArray[Any]:
    """Labels each as the value that it is: of numbers, NaN and text together NumPy would make text alone."""
    array = np.asarray(labels)
    return np.asarray(labels, dtype=object) if array.dtype.kind in "US" else array


def _is_missing(value: object) -> bool:
    """Whether it is None, NaN, or what pandas calls NaT or NA."""
    try:
        return value is None or bool(value != value)  # which is so of NaN and NaT alone
    except TypeError:  # pandas.NA is neither equal nor unequal
        return True
