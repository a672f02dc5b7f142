"""A table from a file: delimited text, JSON, Parquet or Feather, or a folder of parts as Spark writes it."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ruc.errors import InputError
from ruc.readers import load_feather, load_parquet
from ruc.tables.delimited import MARK, columns_of_rows, rows_of_text
from ruc.tables.kinds import kind_of
from ruc.tables.records import SUFFIXES as JSON_SUFFIXES
from ruc.tables.records import columns_of_records

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".tab", ".txt", ".gz")
SUFFIXES: Final = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet", ".pq", ".feather", ".arrow")
LEFT_OUT: Final = ("_", ".")  # how the names of files begin that Spark and Hadoop write beside the parts


@dataclass(frozen=True)
class Table:
    """Columns of text.

    Attributes
    ----------
    source
        The file, for messages.
    columns
        The cells of each column by its heading, "" where there is no value.
    places
        Where each row stands, for messages: "line 3", or "row 1".
    unusable
        What columns hold that are neither numbers nor text.
    """

    source: str
    columns: dict[str, list[str]]
    places: list[str]
    unusable: dict[str, str] = field(default_factory=dict)


def is_table(path: Path) -> bool:
    """Whether the name says so, or that it's a folder of parts."""
    if path.is_dir():
        return any(part.suffix.lower() in SUFFIXES for part in _parts(path)) and (
            (path / "_SUCCESS").exists() or path.suffix.lower() in SUFFIXES
        )
    return path.suffix.lower() in SUFFIXES and not path.name.lower().endswith(".tar.gz")


def read_table(path: Path) -> Table:
    """Read a table of any of these kinds.

    Raises
    ------
    InputError
        It isn't there, can't be read, or is something else, which is named; with the line and what to do.
    """
    if path.is_dir():
        return _read_folder(path)
    try:
        kind = kind_of(path)
        if kind in ("Parquet", "Feather"):
            return _read_arrow(path, kind)
        if kind not in (None, "gzip"):
            remedy = "save the sheet as CSV UTF-8" if "Excel" in kind else "save it as CSV or Parquet"
            raise InputError(f"{path}: is of the format {kind}; expected CSV or Parquet: {remedy}")
        if path.suffix.lower() in (".parquet", ".pq", ".feather", ".arrow"):
            raise InputError(
                f"{path}: cannot be read as Parquet (its first bytes are those of something else)"
            )
        content = path.read_bytes()
        content = gzip.decompress(content) if kind == "gzip" else content
        is_json = any(suffix.lower() in JSON_SUFFIXES for suffix in path.suffixes[-2:])
        return (_read_json if is_json else _read_text)(str(path), content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason}); expected a table that you may read") from error


def _read_text(source: str, content: bytes) -> Table:
    rows, delimiter = rows_of_text(_decoded(source, content), source)
    if not rows:
        raise InputError(f"{source}: is empty; expected a header line, and a row an image")
    columns = columns_of_rows(rows, delimiter, source)
    return Table(source, columns, [f"line {line}" for line, _ in rows[1:]])


def _read_json(source: str, content: bytes) -> Table:
    return Table(source, *columns_of_records(_decoded(source, content).lstrip(MARK), source, cell_text))


def _decoded(source: str, content: bytes) -> str:
    """UTF-8, or UTF-16 where a byte order mark says so (Excel's "Unicode text")."""
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: isn't UTF-8 text ({error.reason}); save it as UTF-8") from error
    if "\0" in text:
        raise InputError(f"{source}: isn't UTF-8 text (it holds zero bytes); save it as UTF-8")
    return text


def _read_arrow(path: Path, kind: str) -> Table:
    content = load_parquet(path) if kind == "Parquet" else load_feather(path)
    columns, unusable = columns_of_arrow(content)
    return Table(str(path), columns, [f"row {row}" for row in range(content.num_rows)], unusable)


def columns_of_arrow(content: "pa.Table") -> tuple[dict[str, list[str]], dict[str, str]]:
    """The cells of each column of numbers or text, and the types of the others.

    Of structs the fields count too: `datasets` keeps an image's name in `image.path`.
    """
    import pyarrow as pa

    columns, unusable = {}, {}
    for name in content.column_names:
        column = content.column(name)
        values = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if _is_plain(pa.types, values):
            columns[name] = [cell_text(value) for value in column.to_pylist()]
            continue
        unusable[name] = str(column.type)
        if pa.types.is_struct(values):
            for part, field_of in zip(column.flatten(), values, strict=True):
                if _is_plain(pa.types, field_of.type):
                    columns[f"{name}.{field_of.name}"] = [cell_text(value) for value in part.to_pylist()]
    return columns, unusable


def _is_plain(types: Any, kind: Any) -> bool:
    """Whether values of an Arrow type are numbers or text."""
    checks: tuple[Callable[[Any], bool], ...] = (
        types.is_boolean, types.is_integer, types.is_floating, types.is_decimal, types.is_string,
        types.is_large_string, types.is_string_view, types.is_null,
    )  # fmt: skip
    return any(check(kind) for check in checks)


def _parts(folder: Path) -> list[Path]:
    return sorted(part for part in folder.iterdir() if part.is_file() and not part.name.startswith(LEFT_OUT))


def _read_folder(folder: Path) -> Table:
    """The parts that Spark writes, in the order of their names, as one table."""
    below = [part for part in folder.iterdir() if part.is_dir() and "=" in part.name]
    if below:
        raise InputError(
            f"{folder}: is partitioned by folders ({below[0].name}), which say nothing of their values' type; expected "
            "parts with all columns: write it without partitionBy"
        )
    parts = [part for part in _parts(folder) if part.suffix.lower() in SUFFIXES]
    tables = [read_table(part) for part in parts if part.stat().st_size]
    if not tables:
        raise InputError(f"{folder}: is a folder without parts of a table; expected a CSV or Parquet file")
    are_json = all(part.suffix.lower() in JSON_SUFFIXES for part in parts)  # which leaves out what is null
    headings = list(dict.fromkeys(name for table in tables for name in table.columns))
    for table in tables:
        if not are_json and set(table.columns) != set(headings):
            raise InputError(
                f"{table.source}: has the columns {', '.join(table.columns)}, and other parts {', '.join(headings)}; "
                "expected the same headings in each part: write with header=True"
            )
    unusable = {name: kind for table in tables for name, kind in table.unusable.items()}
    columns = {
        name: [cell for table in tables for cell in table.columns.get(name, [""] * len(table.places))]
        for name in headings
        if name not in unusable
    }
    places = [f"{Path(table.source).name}, {place}" for table in tables for place in table.places]
    return Table(str(folder), columns, places, unusable)


def cell_text(value: object) -> str:
    """A value as text; "" where it, not what it would be written as, says that there is none."""
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and value.is_integer():  # 6.0 is called as 6 is
        return str(int(value))
    return str(value)


def _is_missing(value: object) -> bool:
    """Whether it is None, NaN, or what pandas calls NaT or NA."""
    try:
        return value is None or bool(value != value)  # which is so of NaN and NaT alone
    except (TypeError, ValueError):  # pandas.NA is neither equal nor unequal; of a list each value is
        return not isinstance(value, Sequence | np.ndarray)
