"""Labels as they stand in a file or an array, before they are matched with samples and numbered."""

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import compress
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError, shortened
from ruc.tables.arrays import read_array
from ruc.tables.delimited import MISSING
from ruc.tables.kinds import kind_of
from ruc.tables.names import heading_of_names, plain_heading
from ruc.tables.records import SUFFIXES as JSON_SUFFIXES
from ruc.tables.table import Table, cell_text, is_table, read_table

logger = logging.getLogger(__name__)

LABEL: Final = "label"
CLUSTERS: Final = ("cluster_name", "cluster")  # of a run's own table, and of what `ruc predict` writes
PROBABILITY: Final = "probability_"  # prefix of the columns that hold probabilities; the class follows
WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)")
WHOLE_OR_FLOAT = re.compile(
    rf"{WHOLE.pattern}(\.0+|,0)?"
)  # as pandas writes whole numbers beside missing ones
MINUS: Final = re.compile(r"^\N{MINUS SIGN}(?=[0-9])")  # as some spreadsheets and languages write it
NOISE: Final = ("-1", "-2", "-3")  # scikit-learn's HDBSCAN: noise, infinite and missing values
PLAIN: Final = (str, bytes, bool, int, float, Decimal)
NUMBERS_OR_TEXT: Final = "biufUSOT"  # kinds of NumPy's types


@dataclass(frozen=True)
class LabelTable:
    """One row a label, or a sample once the rows were matched with the samples.

    Attributes
    ----------
    source
        The file, or "labels", for messages.
    columns
        The other columns by their headings, one of which may name the images.
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
    names_from
        Heading of the column by which the rows were matched, or None.
    labels_from
        Heading of the column of labels.
    by_ending
        Images whose row has another name, by how either ends: image to name.
    """

    source: str
    columns: Mapping[str, list[str]]
    labels: list[str] | None
    probabilities: NDArray[np.float64] | None
    classes: list[str] | None
    places: list[str]
    probability_source: str = ""
    n_unnamed: int = 0
    names_from: str | None = None
    labels_from: str = LABEL
    by_ending: Mapping[str, str] = field(default_factory=dict)


def read_labels(path: Path, or_clusters: bool = False) -> LabelTable:
    """The labels of a table (CSV, Parquet, …) or of an array (`.npy`, …).

    `or_clusters`: whether the clusters of a run's table are labels, where there are no others.

    Raises
    ------
    InputError
        The file isn't there, can't be read, or holds no labels; with the row and what to do about it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file of labels; expected a CSV, Parquet or .npy file")
    if is_table(path) or path.is_dir():
        return _labels_of(read_table(path), or_clusters)
    try:
        kind = kind_of(path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a file that you may read"
        ) from error
    if kind is None and path.suffix.lower() != ".npy":
        raise InputError(f"{path}: labels in a file of type {path.suffix!r}; expected .csv, .parquet or .npy")
    if kind in ("Parquet", "Feather") or (kind is not None and "Excel" in kind):
        return _labels_of(read_table(path), or_clusters)
    return table_of(read_array(path), str(path))


def table_of(array: NDArray[np.generic], source: str) -> LabelTable:
    """The labels of a flat array; `source` names it in messages."""
    if array.ndim != 1:
        raise InputError(
            f"{source}: labels have shape {array.shape}; expected one label a sample, (n_samples,)"
        )
    if array.dtype.kind not in NUMBERS_OR_TEXT:
        raise InputError(f"{source}: labels have the type {array.dtype}; expected integers or text")
    labels = []
    for row, value in enumerate(array.tolist()):
        try:
            text = label_text(value)
        except ValueError as error:  # Python doesn't write integers of more than 4,300 digits
            raise InputError(
                f"{source}, row {row}: a label is a number of thousands of digits; expected a shorter one, or text"
            ) from error
        if text and not isinstance(value.item() if isinstance(value, np.generic) else value, PLAIN):
            raise InputError(
                f"{source}, row {row}: a label is a {type(value).__name__} ({str(value)[:40]}); expected one number or "
                "text"
            )
        labels.append(text)
    return LabelTable(source, {}, labels, None, None, [f"row {row}" for row in range(len(labels))])


def _labels_of(table: Table, or_clusters: bool) -> LabelTable:
    """Pick the columns that matter, and the rows: spreadsheets append some without anything."""
    columns, source, places = table.columns, table.source, table.places
    if len(places) == 1 and source.lower().endswith(JSON_SUFFIXES):
        raise InputError(
            f'{source}: holds one JSON object; expected one a row, as {{"file_name": "a.png", "label": "cat"}}'
        )
    if heading_of_names(columns) is not None:
        filled = [any(cell.strip() for cell in row) for row in zip(*columns.values(), strict=True)]
        columns = {name: list(compress(cells, filled)) for name, cells in columns.items()}
        places = list(compress(places, filled))
    probability_columns = [name for name in columns if name.startswith(PROBABILITY)]
    label = _label_column(table)
    if label is None and or_clusters and not probability_columns:
        label = next((heading for heading in CLUSTERS if heading in columns), None)
    if label is None and not probability_columns:
        raise InputError(
            f"{source}: has {_headings(table)}; expected 'file_name' and 'label' as headings in the first line; "
            + (
                "write these before the row that is there"
                if _is_without_headings(columns)
                else "rename the column that holds the labels to 'label'"
            )
        )
    probabilities = None
    if probability_columns:
        probabilities = np.empty((len(places), len(probability_columns)))
        for k, name in enumerate(probability_columns):
            for row, value in enumerate(columns[name]):
                try:
                    # Where a semicolon separates columns a comma may separate decimals.
                    probabilities[row, k] = float(value.replace(",", ".")) if value.strip() else np.nan
                except ValueError as error:
                    raise InputError(
                        f"{source}, {places[row]}: {name} is {value!r}; expected a number between 0 and 1"
                    ) from error
    classes = [name.removeprefix(PROBABILITY) for name in probability_columns] or None
    others = {name: cells for name, cells in columns.items() if name not in (label, *probability_columns)}
    labels = None if label is None else [text.strip() for text in columns[label]]
    return LabelTable(source, others, labels, probabilities, classes, places, labels_from=label or LABEL)


def _headings(table: Table, at_most: int = 8) -> str:
    """What a table without labels has for headings, with what it holds that is no text."""
    headings = [repr(shortened(heading)) for heading in table.columns]
    headings += [f"{shortened(heading)!r} ({shortened(kind)})" for heading, kind in table.unusable.items()]
    more = f" and {len(headings) - at_most} more" if len(headings) > at_most else ""
    return f"the columns {', '.join(headings[:at_most])}{more}"


def _is_without_headings(columns: Mapping[str, Sequence[str]]) -> bool:
    """Whether a heading is a file's name as those below it are."""
    kinds = {PurePath(heading).suffix: cells for heading, cells in columns.items()}
    return any(
        kind and cells and all(PurePath(cell).suffix == kind for cell in cells)
        for kind, cells in kinds.items()
    )


def _label_column(table: Table) -> str | None:
    headings = [*table.columns, *table.unusable]
    found = [each for each in headings if plain_heading(each) == LABEL]
    label = LABEL if LABEL in found else found[0] if len(found) == 1 else None
    if len(found) > 1 and label is None:
        raise InputError(
            f"{table.source}: the columns {', '.join(map(repr, found))} may all be the label; keep one"
        )
    if label in table.unusable:
        raise InputError(
            f"{table.source}: the column {label!r} holds {table.unusable[label]}; expected one number or text a row"
        )
    return label


def with_probabilities(table: LabelTable, array: NDArray[np.generic], source: str) -> LabelTable:
    """The table with probabilities, (n_rows, n_classes), from elsewhere; `source` names it in messages."""
    if table.probabilities is not None:
        raise InputError(
            f"{table.source}: has columns of probabilities, and {source} was given as well; give one of them"
        )
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise InputError(
            f"{source}: has shape {array.shape} and type {array.dtype}; expected real numbers, "
            "(n_samples, n_clusters)"
        )
    if len(array) != len(table.places):
        raise InputError(
            f"{source}: has {len(array)} rows for the {len(table.places)} labels of {table.source}; "
            "expected a row a label"
        )
    return replace(table, probabilities=array.astype(np.float64), classes=None, probability_source=source)


def plain_labels(labels: Sequence[str]) -> list[str]:
    """Labels that mean the same written alike, and "" for those that mean that nothing is known.

    -1 and NaN are unknown; where all others are whole numbers, so are -2 and -3 (scikit-learn's HDBSCAN) and what
    programs write where there is no value (NA, null, …), which among other texts may be a class. Whole numbers are
    written as such: 2.0 is 2, where all are whole numbers or there is a 2 as well. Text is composed Unicode.
    """
    texts = [MINUS.sub("-", unicodedata.normalize("NFC", text)) for text in labels]
    texts = ["" if text in ("-1", "-1.0", "-1,0") or text.lower() == "nan" else text for text in texts]
    known = {text for text in texts if text}
    whole = {text for text in known if WHOLE_OR_FLOAT.fullmatch(text)}
    if whole and known - whole <= MISSING:
        as_whole = {text: _integer(text) for text in whole}
        return ["" if as_whole.get(text, "") in NOISE else as_whole.get(text, "") for text in texts]
    alike = {text: _integer(text) for text in whole if _integer(text) in known}
    return [alike.get(text, text) for text in texts]


def _integer(text: str) -> str:
    whole = re.split("[.,]", text)[0]
    return "0" if whole == "-0" else whole


def say_what_labels_mean(source: str, labels: Sequence[str]) -> None:
    """Warn of texts that may or do count as no label, and of classes whose names look alike."""
    texts = plain_labels(labels)
    names = sorted(set(texts) - {""})
    for name in MISSING.intersection(names):
        logger.warning(
            "%s: %d labels are %r, taken for a class of that name; leave them empty where the label isn't known",
            source,
            texts.count(name),
            name,
        )
    unsaid = {text for text, plain in zip(labels, texts, strict=True) if text and not plain} - {"-1", "-1.0"}
    if unsaid:
        count, which = sum(text in unsaid for text in labels), " or ".join(map(repr, sorted(unsaid)))
        logger.warning("%s: %d labels are %s, taken for unknown", source, count, which)
    first: dict[str, str] = {}
    for name in names:
        like = first.setdefault(_as_it_looks(name), name)
        if like != name:
            logger.warning(
                "%s: the labels %r and %r count as two classes; write one alike", source, like, name
            )


def _as_it_looks(name: str) -> str:
    """Without what isn't seen: case, the width of letters and spaces, and characters of no width."""
    plain = unicodedata.normalize("NFKC", name)
    visible = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    return " ".join(visible.casefold().split())


def label_text(value: object) -> str:
    """A label as text; "" where the value, not what it would be written as, says that it's unknown."""
    return cell_text(value).strip()


def label_array(labels: ArrayLike | Sequence[object]) -> NDArray[Any]:
    """Labels each as the value that it is: of numbers, NaN and text together NumPy would make text alone."""
    if isinstance(labels, np.ma.MaskedArray):  # else what is masked would count
        filled: NDArray[Any] = np.asarray(labels.data, dtype=object)
        filled[np.ma.getmaskarray(labels)] = None
        return filled
    try:
        array = np.asarray(labels)
    except ValueError as error:  # lists of several lengths
        raise InputError("labels are lists of several lengths; expected one label a sample") from error
    return np.asarray(labels, dtype=object) if array.dtype.kind in "US" else array
