"""Labels that somebody else made: a file or arrays in, a clustering out."""

import csv
import difflib
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.cluster.clustering import UNKNOWN, Clustering
from ruc.errors import InputError

__all__ = ["check_given", "given", "read_given"]

logger = logging.getLogger(__name__)

PROBABILITY = "probability_"  # prefix of the columns that hold probabilities; the class follows
SUM_TOLERANCE = 1e-3
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)(\.0+)?")


@dataclass(frozen=True)
class _Table:
    """Labels as they stand in a source, before they are matched with samples and numbered."""

    source: str  # the file, or "labels", for messages
    file_names: list[str] | None
    labels: list[str] | None  # "" is unknown
    probabilities: NDArray[np.float64] | None
    classes: list[str] | None  # of the columns of probabilities, where they are named
    places: list[str]  # "line 3" or "row 1"
    probability_source: str = ""  # the file of probabilities, where it is another


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
        (n_samples,) integers or text; -1, NaN, None and "" are unknown.
    n_samples
        How many samples there are.
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
    table = _from_array(np.asarray(labels), "labels")
    if probabilities is not None:
        table = _with_probabilities(table, np.asarray(probabilities), "probabilities")
    return _number(_in_row_order(table, n_samples), n_clusters)


def read_given(
    path: Path,
    n_samples: int,
    file_names: Sequence[str] | None = None,
    probabilities: Path | None = None,
    n_clusters: int | None = None,
    skipped: Collection[str] = (),
) -> tuple[Clustering, tuple[str, ...] | None]:
    """Read labels from CSV, Parquet or `.npy`, and match them with the samples.

    CSV and Parquet have a column `label`, for images a column `file_name` too, and may have columns of
    probabilities `probability_<class>`; without `label` the most probable class is the label. Without `file_name`,
    and in `.npy`, rows are in the order of the samples: images sorted by file name. Images that aren't in the file
    have an unknown label.

    Parameters
    ----------
    path
        The file of labels.
    n_samples
        How many samples there are.
    file_names
        Of the images, in the order of the samples; None for features.
    probabilities
        A `.npy` of probabilities (n_rows, n_clusters), its rows in the order of the file of labels, its columns in
        the sorted order of the classes.
    n_clusters
        Number of clusters; by default as many as there are classes.
    skipped
        File names of images that couldn't be read: their labels are passed over.

    Returns
    -------
    clustering
        Named "given".
    class_names
        The name of each cluster: None where labels were the integers 0 … n_clusters-1 already.

    Raises
    ------
    InputError
        Anything that doesn't fit, with the file, the row and what to do about it.
    """
    path = Path(path)
    table = _read(path)
    if probabilities is not None:
        table = _with_probabilities(table, _read_npy(Path(probabilities)), str(probabilities))
    matched = (
        _in_row_order(table, n_samples) if file_names is None else _in_order_of(table, file_names, skipped)
    )
    return _number(matched, n_clusters)


def check_given(
    path: Path,
    file_names: Sequence[str],
    probabilities: Path | None = None,
    n_clusters: int | None = None,
) -> None:
    """Raise what `read_given` would, as far as can be told before it is known which images can be read.

    Parameters are those of `read_given`; `file_names` are those of all images, readable or not.
    """
    if _read(Path(path)).file_names is None:  # rows in the order of images that are still to be read
        return
    read_given(path, len(file_names), file_names, probabilities, n_clusters)


# Reading


def _read(path: Path) -> _Table:
    if not path.is_file():
        raise InputError(f"{path}: no such file of labels; expected a CSV, Parquet or .npy file")
    match path.suffix.lower():
        case ".npy":
            return _from_array(_read_npy(path), str(path))
        case ".parquet" | ".pq":
            return _read_parquet(path)
        case ".csv" | ".tsv" | ".txt":
            return _read_csv(path)
    raise InputError(f"{path}: labels in a file of type {path.suffix!r}; expected .csv, .parquet or .npy")


def _read_npy(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; expected a .npy file") from error
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path}: cannot be read as .npy ({error}); save it by numpy.save as numbers or text, not as objects"
        ) from error
    return array


def _from_array(array: NDArray[np.generic], source: str) -> _Table:
    if array.ndim != 1:
        raise InputError(
            f"{source}: labels have shape {array.shape}; expected one label a sample, (n_samples,)"
        )
    labels = [_text(value) for value in array.tolist()]
    return _Table(source, None, labels, None, None, [f"row {row}" for row in range(len(labels))])


def _read_csv(path: Path) -> _Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            rows = [(reader.line_num, row) for row in reader if any(row)]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: isn't UTF-8 text ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    if not rows:
        raise InputError(f"{path}: is empty; expected a header line with the columns file_name,label")
    columns = [column.strip() for column in rows[0][1]]
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


def _read_parquet(path: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    wanted = [
        name for name in table.column_names if name in ("file_name", "label") or name.startswith(PROBABILITY)
    ]
    values = {name: [_text(value) for value in table.column(name).to_pylist()] for name in wanted}
    if not wanted:
        values = {name: [] for name in table.column_names}
    return _from_columns(str(path), values, [f"row {row}" for row in range(table.num_rows)])


def _from_columns(source: str, columns: dict[str, list[str]], places: list[str]) -> _Table:
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
    return _Table(source, columns.get("file_name"), columns.get("label"), probabilities, classes, places)


def _with_probabilities(table: _Table, array: NDArray[np.generic], source: str) -> _Table:
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


def _text(value: object) -> str:
    """A label as text; "" where it's unknown."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value).strip()


# Matching with the samples


def _in_row_order(table: _Table, n_samples: int) -> _Table:
    if len(table.places) != n_samples:
        raise InputError(
            f"{table.source}: holds {len(table.places)} labels for {n_samples} samples; expected a label a sample, "
            "in the order of the samples, -1 or empty where it's unknown"
        )
    return table


def _in_order_of(table: _Table, file_names: Sequence[str], skipped: Collection[str]) -> _Table:
    """Bring the rows into the order of the images."""
    wanted = [_plain_name(name) for name in file_names]
    passed_over = {_plain_name(name) for name in skipped}
    if table.file_names is None:
        every_name = sorted(
            [*wanted, *passed_over]
        )  # no names: a row for each image, those skipped included or not
        found = every_name if len(table.places) == len(every_name) else list(wanted)
        if len(table.places) != len(found):
            raise InputError(
                f"{table.source}: holds {len(table.places)} labels for {len(wanted)} images; add a column "
                "'file_name', or give one row an image, sorted by file name"
            )
    else:
        found = [_plain_name(name) for name in table.file_names]
    row_of = _rows_by_name(table, found, set(wanted), passed_over)
    rows = [row_of.get(name) for name in wanted]
    n_missing = rows.count(None)
    if n_missing:
        logger.warning("%s has no label for %d of %d images: unknown", table.source, n_missing, len(rows))
    probabilities = None
    if table.probabilities is not None:
        probabilities = np.full((len(rows), table.probabilities.shape[1]), np.nan)
        present = [(sample, row) for sample, row in enumerate(rows) if row is not None]
        for sample, row in present:
            probabilities[sample] = table.probabilities[row]
    labels = None if table.labels is None else ["" if row is None else table.labels[row] for row in rows]
    places = [
        f"image {name!r}" if row is None else table.places[row]
        for name, row in zip(wanted, rows, strict=True)
    ]
    return replace(
        table, file_names=list(file_names), labels=labels, probabilities=probabilities, places=places
    )


def _rows_by_name(table: _Table, found: list[str], wanted: set[str], passed_over: set[str]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, name in enumerate(found):
        if name in rows:
            raise InputError(
                f"{table.source}, {table.places[row]}: file name {name!r} stands on {table.places[rows[name]]} "
                "already; keep one of the two"
            )
        rows[name] = row
    unknown = [name for name in found if name not in wanted and name not in passed_over]
    if unknown:
        close = difflib.get_close_matches(unknown[0], list(wanted)[:10_000], n=1, cutoff=0.0)
        example = f"; the closest image is {close[0]!r}" if close else ""
        raise InputError(
            f"{table.source}, {table.places[rows[unknown[0]]]}: no image has the file name {unknown[0]!r} "
            f"({len(unknown)} such rows of {len(found)}){example}; give names relative to the folder of images, "
            "or remove these rows"
        )
    return rows


def _plain_name(name: str) -> str:
    """Forward slashes, no leading "./", and composed Unicode (macOS decomposes it)."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


# Numbering


def _number(table: _Table, n_clusters: int | None) -> tuple[Clustering, tuple[str, ...] | None]:
    """Number the classes 0 … n_clusters-1."""
    probabilities = None if table.probabilities is None else _checked_probabilities(table)
    if table.labels is None:
        assert probabilities is not None and table.classes is not None
        known = np.isfinite(probabilities).all(axis=1)
        best = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), UNKNOWN)
        texts = [table.classes[k] if k != UNKNOWN else "" for k in best.tolist()]
    else:
        texts = table.labels
    texts = ["" if text == "-1" or text == "-1.0" or text.lower() == "nan" else text for text in texts]
    if not any(texts):
        raise InputError(
            f"{table.source}: no label is known; expected at least two classes; fill the column, or let `ruc cluster` "
            "find some"
        )
    if all(INTEGER.fullmatch(text) for text in texts if text):
        texts = [text.split(".")[0] for text in texts]
        negative = next((row for row, text in enumerate(texts) if text.startswith("-")), None)
        if negative is not None:
            raise InputError(
                f"{table.source}, {table.places[negative]}: label {texts[negative]}; "
                "expected 0, 1, 2, … or -1 for unknown"
            )
    classes = _classes(table, texts, probabilities, n_clusters)
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[text] if text else UNKNOWN for text in texts], dtype=np.int64)
    _warn_of_small_classes(table, labels, classes)
    if probabilities is not None:
        if table.classes is not None:
            probabilities = probabilities[:, [table.classes.index(name) for name in classes]]
        probabilities = _filled(table.source, probabilities, labels)
    names = None if classes == [str(k) for k in range(len(classes))] else tuple(classes)
    return Clustering(labels, probabilities, len(classes), "given"), names


def _classes(
    table: _Table, texts: list[str], probabilities: NDArray[np.float32] | None, n_clusters: int | None
) -> list[str]:
    """Names of the classes in the order of their numbers."""
    used = set(texts) - {""}
    of_columns = used | set(table.classes or ())
    numeric = all(INTEGER.fullmatch(name) for name in of_columns)
    classes = sorted(of_columns, key=int) if numeric else sorted(of_columns)
    if table.classes is not None and len(classes) > len(table.classes):
        extra = next(row for row, text in enumerate(texts) if text and text not in table.classes)
        raise InputError(
            f"{table.source}, {table.places[extra]}: label {texts[extra]!r} has no column "
            f"{PROBABILITY + texts[extra]!r}; add it or correct the label"
        )
    expected = probabilities.shape[1] if probabilities is not None else n_clusters
    if numeric and expected is not None and int(classes[-1]) < expected:
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
            f"{table.source}: {len(classes)} classes, but {n_clusters} clusters were asked for; leave the number of "
            "clusters away or correct the labels"
        )
    return classes


def _warn_of_small_classes(table: _Table, labels: NDArray[np.int64], classes: list[str]) -> None:
    sizes = Counter(labels.tolist())
    single = [k for k in range(len(classes)) if sizes[k] == 1]
    empty = [name for k, name in enumerate(classes) if sizes[k] == 0]
    if single:
        places = [table.places[int(np.flatnonzero(labels == k)[0])] for k in single]
        logger.warning(
            "%s, %s: no other sample has the label %s; nothing can confirm it, so it may be changed: correct it, or "
            "give more samples of it",
            table.source,
            _some(places, quote=False),
            _some([classes[k] for k in single]),
        )
    if empty:
        logger.warning("%s: no sample has the label %s", table.source, _some(empty))


def _some(names: list[str], at_most: int = 5, quote: bool = True) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(map(repr if quote else str, names[:at_most])) + more


def _checked_probabilities(table: _Table) -> NDArray[np.float32]:
    """Float32 rows that sum to 1 exactly; rows of NaN alone (nothing is known) stay."""
    assert table.probabilities is not None
    rows, source = table.probabilities, table.probability_source or table.source
    blank = np.isnan(rows).all(axis=1)
    if table.labels is not None:
        blank &= np.array([label in ("", "-1") for label in table.labels])
    bad = ~blank & ~np.isfinite(rows).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{source}, {table.places[row]}: probabilities hold NaN or infinity ({int(bad.sum())} such rows); "
            "fill them, or leave the whole row and its label empty"
        )
    bad = ~blank & (rows < 0).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{source}, {table.places[row]}: a probability is {rows[row].min():g} ({int(bad.sum())} such rows); "
            "expected none below 0; if these are logits, apply a softmax"
        )
    sums = rows.sum(axis=1)
    bad = ~blank & (np.abs(sums - 1.0) > SUM_TOLERANCE)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{source}, {table.places[row]}: probabilities sum to {sums[row]:.4g} ({int(bad.sum())} such rows); "
            "expected 1; divide each row by its sum"
        )
    scaled: NDArray[np.float32] = (rows / sums[:, None]).astype(np.float32)
    return scaled


def _filled(
    source: str, probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Even probabilities where nothing is known; a word where label and probabilities disagree."""
    filled = np.where(np.isnan(probabilities), np.float32(1.0 / probabilities.shape[1]), probabilities)
    n_different = int(((labels != UNKNOWN) & (filled.argmax(axis=1) != labels)).sum())
    if n_different:
        logger.warning(
            "%s: %d of %d labels aren't the most probable class; the labels count",
            source,
            n_different,
            len(labels),
        )
    return filled
