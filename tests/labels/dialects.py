"""Tables made at random, in the dialects of the programs that write them, and what another reader finds in them.

    python tests/labels/dialects.py 2000        # that many folders, from seed 0; prints each disagreement
    python tests/labels/dialects.py 100 300     # seeds 300 to 399

A folder holds one table of labels, the images that it names, and features with names. pandas, polars, DuckDB and
pyarrow write and read theirs; what R, Spark and Excel write is made by their documented forms, and read by DuckDB
or pandas with the options for it. `ruc` agrees in count, order and label, or has refused.
"""

import csv
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet

from ruc.errors import InputError
from ruc.evaluation.truth import read_truth
from ruc.given_features import read_features
from ruc.images.source import ImageSource, find_images
from ruc.labels.clustering import UNKNOWN
from ruc.labels.given import read_given

Cells = list[str | int | float | None]

WORDS: dict[str, Sequence[str | int | float]] = {
    "words": ("cat", "dog", "bird"),
    "sentences": ("a cat, black", "a cat; white", 'a "dog"', "it's\ta bird"),
    "countries": ("NA", "EU", "AS"),
    "missing words": ("null", "None", "nan nan", "x"),
    "zeros": ("007", "008", "010"),
    "exponents": ("1e3", "2e3", "3e3"),
    "booleans": ("True", "False", "maybe"),
    "days": ("2020-01-01", "2020-01-02"),
    "letters": ("caf\u00e9", "stra\u00dfe", "\u6f22\u5b57", "\u00c5ngstr\u00f6m"),
    "from 0": (0, 1, 2, 3),
    "from 1": (1, 2, 3),
    "sparse": (10, 200, 3000),
    "halves": ("0.5", "1.5", "2.5"),
    "lines": ("two\nlines", "one line"),
    "two ways": ("2", "other", "2.0"),
    "padded": (" cat", "dog ", "bird"),
    "hashes": ("#1", "# two", "a#b"),
    "back": ("a\\b", "c\\", "d"),
}
LABEL_HEADINGS = ("label", "label", "label", "Label", "LABEL")
WHOLE = re.compile(r"([0-9]+)[.,]0")
HEADINGS = (
    "file_name",
    "filename",
    "File Name",
    "image",
    "path",
    "id",
    "x",
    "Datei",
    "FILE_NAME",
    "image_id",
)


@dataclass(frozen=True)
class Made:
    """A table, and what its rows are.

    `images` are all there are, `rows` those that the table's rows are of (None: none of them), `refused` the doors
    that have to refuse it, each with a word of the reason; `may_refuse`: several readings are possible.
    """

    path: Path
    images: tuple[str, ...]
    rows: tuple[str | None, ...]
    written: Cells
    labels: Cells
    heading: str
    how: str
    read: Callable[[], list[tuple[str, str | None]]]
    refused: Mapping[str, str] = field(default_factory=dict)
    may_refuse: bool = False


def make_folder(folder: Path, seed: int) -> Made:
    """Write images (empty files), and a table of their labels."""
    random = np.random.default_rng(seed)
    images = _image_names(random)
    (folder / "photos").mkdir()
    for name in images:
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(b"")
    kind = str(random.choice(list(WORDS)))
    classes = WORDS[kind]
    labels: Cells = [classes[int(k)] for k in random.integers(0, len(classes), len(images))]
    labels[:2] = classes[:2]  # two at the least
    if random.integers(2):
        labels = [None if random.random() < 0.2 and row > 1 else label for row, label in enumerate(labels)]
    if random.integers(8) == 0:
        return _without_names(folder, images, labels, random)
    how_named = str(random.choice(list(NAMED)))
    rows: list[str | None] = list(images)
    written: Cells = [NAMED[how_named](name, images) for name in images]
    refused: dict[str, str] = {}
    spoilt = str(random.choice(["", "", "", "", "fewer rows", "another image", "twice"]))
    if spoilt == "fewer rows":
        keep = [row for row in range(len(rows)) if row < 2 or random.random() < 0.8]
        rows, written, labels = ([each[row] for row in keep] for each in (rows, written, labels))
    elif spoilt == "another image":
        rows, written, labels = [*rows, None], [*written, "elsewhere/quite another.png"], [*labels, labels[0]]
        refused["labels"] = "no image has the file name"
    elif spoilt == "twice":
        rows, written, labels = [*rows, rows[0]], [*written, written[0]], [*labels, labels[1]]
        refused |= {"labels": "already", "truth": "one label per image"}
    order = random.permutation(len(rows)) if random.integers(4) else np.arange(len(rows))
    rows, written, labels = ([each[row] for row in order] for each in (rows, written, labels))
    heading = str(random.choice(HEADINGS))
    dialect = str(random.choice(list(DIALECTS)))
    label = str(random.choice(LABEL_HEADINGS)) if dialect in ("pandas CSV", "Excel text") else "label"
    columns: dict[str, Cells] = {heading: written, label: labels}
    if random.integers(2):
        columns = {label: labels, heading: written}
    if random.integers(2):
        columns["score"] = [float(value) for value in random.random(len(labels)).round(3)]
    if random.integers(3) == 0:
        columns["note"] = [str(random.choice(["seen", "to see, again", "", "NA"])) for _ in labels]
    if random.integers(4) == 0:
        columns["number"] = [int(value) for value in random.permutation(len(labels))]
    counts = "number" in columns or dialect == "pandas CSV, names as index"
    may_refuse = counts and "1" in {name.rpartition(".")[0] for name in images}
    if random.integers(8) == 0:
        may_refuse = True
        columns["nearest"] = [written[row] for row in random.permutation(len(written))]
    path, read = DIALECTS[dialect](folder, columns, heading, random)
    if dialect == "Excel workbook":
        refused = {"labels": "Excel workbook", "truth": "Excel workbook"}
    how = f"{dialect}, {kind}, names {how_named}, heading {heading!r}, {list(columns)}, {spoilt}"
    return Made(path, tuple(images), tuple(rows), written, labels, heading, how, read, refused, may_refuse)


def _without_names(folder: Path, images: Sequence[str], labels: Cells, random: np.random.Generator) -> Made:
    """Labels in the order of the images, with nothing that names them but what counts the rows.

    Where the rows were shuffled beside what counts them, or one is gone, there is no telling whose they are.
    """
    dialect = str(random.choice(["pandas CSV", "pandas Parquet", "polars", "DuckDB", "R", "readr", "Spark"]))
    spoilt = str(random.choice(["", "", "shuffled", "one gone"]))
    heading = str(random.choice(["", "index", "Unnamed: 0", "row"]))
    start = int(random.integers(2))
    order = np.arange(len(labels))
    if spoilt == "shuffled":
        order = np.roll(order, int(random.integers(1, len(order))))
    elif spoilt == "one gone":
        order = np.delete(order, int(random.integers(len(order))))
    counter: Cells = [int(row) + start for row in order]
    labels = [labels[row] for row in order]
    path, read = DIALECTS[dialect](
        folder, {heading or "row": counter, "label": labels}, heading or "row", random
    )
    is_unclear = bool(spoilt) or images[0][0].isdigit()
    how = f"{dialect} without names, {heading!r} from {start}, {spoilt}"
    rows = tuple(images[row] for row in order)
    return Made(path, tuple(images), rows, counter, labels, heading, how, read, {}, is_unclear)


def _image_names(random: np.random.Generator) -> list[str]:
    """Names that people give: counted, in folders of which two hold the same, with spaces, umlauts and quotes."""
    style = int(random.integers(6))
    count = int(random.integers(8, 20))
    suffix = str(random.choice([".png", ".jpg", ".JPG", ".tif"]))
    match style:
        case 0:
            names = [f"{number:04}{suffix}" for number in range(count)]
        case 1:
            names = [f"{'abc'[number % 3]}/{number // 3:03}{suffix}" for number in range(count)]
        case 2:
            names = [f"Foto {number} \u00fc{suffix}" for number in range(count)]
        case 3:
            names = [f"{number}{suffix}" for number in range(1, count + 1)]
        case 4:
            names = [f'it\'s, "{number}"; so{suffix}' for number in range(count)]
        case _:
            names = [f"deep er/{number % 2}/IMG_{number:05}.v2{suffix}" for number in range(count)]
    return sorted(names)


def _ending(name: str, images: Sequence[str]) -> str:
    last = name.rpartition("/")[2]
    return last if sum(each.rpartition("/")[2] == last for each in images) == 1 else name


def _without_suffix(name: str, images: Sequence[str]) -> str:
    bare = name.rpartition(".")[0]
    return name if ".v2" in name else bare


NAMED: dict[str, Callable[[str, Sequence[str]], str]] = {
    "as they are": lambda name, images: name,
    "as they are, once more": lambda name, images: name,
    "with the folder": lambda name, images: f"photos/{name}",
    "with a dot": lambda name, images: f"./{name}",
    "absolute": lambda name, images: f"/data/anna/photos/{name}",
    "of Windows": lambda name, images: "C:\\photos\\" + name.replace("/", "\\"),
    "by their ending": _ending,
    "without suffix": _without_suffix,
    "in capitals": lambda name, images: name.upper(),
    "decomposed": lambda name, images: unicodedata.normalize("NFD", name),
}


# --- What writes, and who reads it again. ---

Dialect = Callable[
    [Path, dict[str, Cells], str, np.random.Generator],
    tuple[Path, Callable[[], list[tuple[str, str | None]]]],
]


def _text(value: object) -> str | None:
    """A label as text; whole numbers without their point."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _pairs(frame: pd.DataFrame, heading: str) -> list[tuple[str, str | None]]:
    label = next(name for name in frame.columns if str(name).lower() == "label")
    return [(str(name), _text(value)) for name, value in zip(frame[heading], frame[label], strict=True)]


def _by_pandas(path: Path, heading: str, **options: Any) -> Callable[[], list[tuple[str, str | None]]]:
    def read() -> list[tuple[str, str | None]]:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, **options)
        return [(name, label or None) for name, label in _pairs(frame, heading)]

    return read


def _by_duckdb(query: str, heading: str) -> Callable[[], list[tuple[str, str | None]]]:
    def read() -> list[tuple[str, str | None]]:
        with duckdb.connect() as base:
            found = base.sql(f'select "{heading}", label from {query}').fetchall()
        return [(str(name), _text(label)) for name, label in found]

    return read


def _frame(columns: dict[str, Cells]) -> pd.DataFrame:
    """As pandas has it: whole numbers beside missing values become floats."""
    return pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()})


def _pandas_csv(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    options: dict[str, Any] = {
        "index": bool(random.integers(2)),
        "sep": str(random.choice([",", ";", "\t", "|"])),
        "quoting": int(random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        "encoding": str(random.choice(["utf-8", "utf-8-sig", "utf-16"])),
        "lineterminator": str(random.choice(["\n", "\r\n"])),
    }
    if options["sep"] == ";":
        options["decimal"] = ","
    suffix = str(random.choice(["csv", "csv.gz", "tsv", "txt"]))
    path = folder / f"labels.{suffix}"
    _frame(columns).to_csv(path, **options)
    return path, _by_pandas(path, heading, sep=options["sep"], encoding=options["encoding"])


def _pandas_index(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    """The names as index, with a heading or without."""
    path = folder / "labels.csv"
    frame = _frame(columns).set_index(heading)
    if random.integers(2):
        frame.index.name = None
        frame.to_csv(path)
        return path, _by_pandas(path, "Unnamed: 0")
    frame.to_csv(path)
    return path, _by_pandas(path, heading)


def _pandas_parquet(
    folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator
) -> Any:
    frame = _frame(columns)
    numbers = all(isinstance(label, int | None) for label in columns["label"])
    kinds = ["category", "object"] + (
        ["Int64", "Int8", "int16[pyarrow]"] if numbers else ["string", "string[pyarrow]"]
    )
    kind = str(random.choice(kinds))
    if kind == "Int8" and max(label or 0 for label in columns["label"]) > 127:  # type: ignore[type-var, operator]
        kind = "Int64"
    frame["label"] = frame["label"].astype(kind)  # type: ignore[call-overload]
    if random.integers(2):
        frame[heading] = frame[heading].astype("category")
    if random.integers(3) == 0:
        frame = frame.set_index(heading)
    if random.integers(3):
        path = folder / str(random.choice(["labels.parquet", "labels.pq"]))
        frame.to_parquet(path)
    else:
        path = folder / "labels.feather"
        frame.reset_index(drop=heading in frame.columns).to_feather(path)

    def read() -> list[tuple[str, str | None]]:
        table = pd.read_feather(path) if path.suffix == ".feather" else pd.read_parquet(path)
        return _pairs(table if heading in table.columns else table.reset_index(), heading)

    return path, read


def _pandas_json(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    path = folder / str(random.choice(["metadata.jsonl", "labels.ndjson"]))
    _frame(columns).to_json(path, orient="records", lines=True, force_ascii=bool(random.integers(2)))

    def read() -> list[tuple[str, str | None]]:
        return _pairs(pd.read_json(path, lines=True, dtype=False), heading)

    return path, read


def _polars(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    frame = pl.DataFrame(columns, strict=False)
    if random.integers(3) == 0 and frame["label"].dtype == pl.String:
        frame = frame.with_columns(pl.col("label").cast(pl.Categorical))
    form = str(random.choice(["csv", "tsv", "parquet", "arrow", "ndjson"]))
    path = folder / f"labels.{form}"
    if form in ("csv", "tsv"):
        separator = "\t" if form == "tsv" else str(random.choice([",", ";"]))
        frame.write_csv(
            path,
            separator=separator,
            quote_style=str(random.choice(["necessary", "always", "non_numeric"])),  # type: ignore[arg-type]
            include_bom=bool(random.integers(2)),
        )
        return path, lambda: _of_polars(pl.read_csv(path, separator=separator, infer_schema=False), heading)
    {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "ndjson": frame.write_ndjson}[form](path)
    reader: Any = {"parquet": pl.read_parquet, "arrow": pl.read_ipc, "ndjson": pl.read_ndjson}[form]
    return path, lambda: _of_polars(reader(path), heading)


def _of_polars(frame: pl.DataFrame, heading: str) -> list[tuple[str, str | None]]:
    pairs = zip(frame[heading].to_list(), frame["label"].to_list(), strict=True)
    return [(str(name), _text(label)) for name, label in pairs]


def _duckdb(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    table = pa.table(columns)
    form = str(random.choice(["csv", "parquet", "json"]))
    path = folder / {"csv": "labels.csv", "parquet": "labels.parquet", "json": "labels.jsonl"}[form]
    separator = str(random.choice([",", ";", "\\t", "|"]))
    options = {
        "csv": f"header, delimiter E'{separator}'",
        "parquet": "format parquet",
        "json": "format json",
    }[form]
    with duckdb.connect() as base:
        base.register("made", table)
        base.sql(f"copy made to '{path}' ({options})")
    reader = {
        "csv": f"read_csv('{path}', header=true, all_varchar=true, delim=E'{separator}', quote='\"', escape='\"')",
        "parquet": f"read_parquet('{path}')",
        "json": f"read_json('{path}', format='newline_delimited', columns={{'{heading}': 'varchar', "
        "'label': 'varchar'})",
    }[form]
    return path, _by_duckdb(reader, heading)


def _pyarrow(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    table = pa.table(columns)
    place = table.column_names.index("label")
    label = table.column("label")
    kinds = [pa.int8(), pa.int64(), pa.float64(), pa.uint16()] if pa.types.is_integer(label.type) else []
    kinds += [pa.large_string(), pa.string_view()] if pa.types.is_string(label.type) else []
    if pa.types.is_integer(label.type) and max(each or 0 for each in label.to_pylist()) > 127:
        kinds = kinds[1:]
    label = label.cast(kinds[int(random.integers(len(kinds)))])
    if random.integers(2) and not pa.types.is_string_view(label.type):
        label = label.dictionary_encode()
    path = folder / "labels.parquet"
    parquet.write_table(table.set_column(place, "label", label), path)

    def read() -> list[tuple[str, str | None]]:
        found = parquet.read_table(path)
        return [
            (name, _text(value))
            for name, value in zip(found[heading].to_pylist(), found["label"].to_pylist(), strict=True)
        ]

    return path, read


def _quoted_by_r(cells: Cells, separator: str, escape: str = '""') -> list[str]:
    """A column as write.table has it: text in double quotes, numbers and NA without."""
    if any(isinstance(cell, str) for cell in cells):
        return ["NA" if cell is None else '"' + str(cell).replace('"', escape) + '"' for cell in cells]
    decimal = "," if separator == ";" else "."
    return ["NA" if cell is None else str(cell).replace(".", decimal) for cell in cells]


def _r(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    """R's write.csv, write.csv2 (semicolons, decimal commas), write.table (spaces or tabs), with row names or not."""
    form = str(random.choice(["write.csv", "write.csv2", "write.table", "write.table by tabs"]))
    if any("\\" in str(cell) for cells in columns.values() for cell in cells):
        form = "write.csv"  # write.table has a backslash before quotes, and not before backslashes
    separator = {"write.csv": ",", "write.csv2": ";", "write.table": " "}.get(form, "\t")
    escape = '""' if form.startswith("write.csv") else '\\"'
    body = [_quoted_by_r(cells, separator, escape) for cells in columns.values()]
    headings = [f'"{name}"' for name in columns]
    has_row_names = bool(random.integers(2))
    if has_row_names:
        body = [[f'"{row}"' for row in range(1, len(body[0]) + 1)], *body]
        headings = [*(['""'] if form.startswith("write.csv") else []), *headings]
    lines = [separator.join(headings), *(separator.join(row) for row in zip(*body, strict=True))]
    path = folder / ("labels.csv" if form.startswith("write.csv") else "labels.txt")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = ", ".join(f"'{name}': 'varchar'" for name in (["of R"] if has_row_names else []) + list(columns))
    escaped = '"' if escape == '""' else "\\"
    return path, _by_duckdb(
        f"read_csv('{path}', header=false, skip=1, delim='{separator}', quote='\"', escape='{escaped}', nullstr='NA', "
        f"allow_quoted_nulls=false, auto_detect=false, columns={{{names}}})",
        heading,
    )


def _readr(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    """readr's write_csv and write_tsv quote what needs it, and NA as text; data.table's fwrite leaves empty."""
    separator, missing = (",", "NA") if random.integers(2) else ("\t", "")
    if any(isinstance(label, str) for label in columns["label"]):
        missing = (
            ""  # NA without quotes among texts without quotes may be a class: `ruc` takes it so, and says so
        )

    def written(cell: object) -> str:
        if cell is None:
            return missing
        text = str(cell)
        needs = any(mark in text for mark in f'{separator}"\n\r') or text in (missing, "NA")
        return '"' + text.replace('"', '""') + '"' if needs else text

    rows = [list(columns), *([*row] for row in zip(*columns.values(), strict=True))]
    path = folder / ("labels.csv" if separator == "," else "labels.tsv")
    path.write_text("\n".join(separator.join(map(written, row)) for row in rows) + "\n", encoding="utf-8")
    names = ", ".join(f"'{name}': 'varchar'" for name in columns)
    return path, _by_duckdb(
        f"read_csv('{path}', header=true, delim='{separator}', quote='\"', escape='\"', nullstr='{missing}', "
        f"allow_quoted_nulls=false, auto_detect=false, columns={{{names}}})",
        heading,
    )


def _spark(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    """Spark's folders of parts: null is nothing, an empty text is "", a backslash stands before a quote within."""
    form = str(random.choice(["csv", "parquet", "json"]))
    path = folder / f"labels.{form}" if random.integers(2) else folder / "labels"
    path.mkdir()
    (path / "_SUCCESS").write_bytes(b"")
    count = len(columns["label"])
    middle = int(random.integers(1, count))
    for number, rows in enumerate((slice(0, middle), slice(middle, count))):
        part = path / f"part-{number:05}-0a1b-c000.{'snappy.parquet' if form == 'parquet' else form}"
        cells = {name: column[rows] for name, column in columns.items()}
        if form == "parquet":
            schema = pa.table(columns).schema
            parquet.write_table(pa.table(cells, schema=schema), part, compression="snappy")
        elif form == "json":  # null fields are left out
            made = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
            lines = [
                json.dumps({k: v for k, v in row.items() if v is not None}, ensure_ascii=False)
                for row in made
            ]
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            lines = [
                ",".join(map(_of_spark, row)) for row in [tuple(cells), *zip(*cells.values(), strict=True)]
            ]
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        (path / f".{part.name}.crc").write_bytes(b"crc\0")
    names = ", ".join(f"'{name}': 'varchar'" for name in columns)
    reader = {
        "csv": f"read_csv('{path}/part-*', header=true, quote='\"', escape='\\', delim=',', auto_detect=false, "
        f"allow_quoted_nulls=false, columns={{{names}}})",
        "parquet": f"read_parquet('{path}/part-*')",
        "json": f"read_json('{path}/part-*', format='newline_delimited', columns={{{names}}})",
    }[form]
    return path, _by_duckdb(reader, heading)


def _of_spark(cell: object) -> str:
    if cell is None:
        return ""
    text = str(cell)
    if not text or any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _excel_text(folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator) -> Any:
    """CSV UTF-8 (a mark; semicolons where the comma is decimal), or "Unicode text" (UTF-16, tabs); empty last rows."""
    unicode_text = bool(random.integers(2))
    separator = "\t" if unicode_text else str(random.choice([",", ";"]))
    decimal = "," if separator == ";" else "."

    def written(cell: object) -> str:
        text = (
            "" if cell is None else str(cell).replace(".", decimal) if isinstance(cell, float) else str(cell)
        )
        needs = any(mark in text for mark in f'{separator}"\n\r')
        return '"' + text.replace('"', '""') + '"' if needs else text

    rows = [list(columns), *([*row] for row in zip(*columns.values(), strict=True))]
    lines = [separator.join(map(written, row)) for row in rows]
    lines += [separator * (len(columns) - 1)] * int(random.integers(3))
    has_line = separator == ";" and bool(random.integers(2))
    text = "\r\n".join([*(["sep=;"] if has_line else []), *lines]) + "\r\n"
    path = folder / ("labels.txt" if unicode_text else "labels.csv")
    encoding = "utf-16" if unicode_text else "utf-8-sig"
    path.write_bytes(text.encode(encoding))
    inner = _by_pandas(path, heading, sep=separator, encoding=encoding, skiprows=int(has_line))
    return path, lambda: [(name, label) for name, label in inner() if name]


def _excel_workbook(
    folder: Path, columns: dict[str, Cells], heading: str, random: np.random.Generator
) -> Any:
    path = folder / str(random.choice(["labels.xlsx", "labels.csv"]))
    frame = _frame(columns)
    frame.to_excel(folder / "made.xlsx", index=False)
    shutil.move(folder / "made.xlsx", path)
    return path, lambda: _pairs(frame, heading)


DIALECTS: dict[str, Dialect] = {
    "pandas CSV": _pandas_csv,
    "pandas CSV, names as index": _pandas_index,
    "pandas Parquet": _pandas_parquet,
    "pandas JSON lines": _pandas_json,
    "polars": _polars,
    "DuckDB": _duckdb,
    "pyarrow": _pyarrow,
    "R": _r,
    "readr": _readr,
    "Spark": _spark,
    "Excel text": _excel_text,
    "Excel workbook": _excel_workbook,
}


# --- What is compared. ---


def disagreements(made: Made) -> list[str]:
    """What `ruc` finds otherwise in the table, or in features named as the table names them."""
    found = _labels_apart(made)
    if not made.refused:
        found += _order_apart(made)
        found += [] if None in made.rows or "without names" in made.how else _features_apart(made)
    return [f"{text}: {made.how}" for text in found]


def plain(label: str | None) -> str | None:
    """Composed, without spaces around, 2.0 as 2; None where nothing is known."""
    text = unicodedata.normalize("NFC", (label or "").strip())
    whole = WHOLE.fullmatch(text)
    return (whole[1] if whole else text) or None


def _labels_apart(made: Made) -> list[str]:
    read = [(name, plain(label)) for name, label in made.read()]
    meant = [(str(name), plain(_text(label))) for name, label in zip(made.written, made.labels, strict=True)]
    if read != meant:
        return [f"the other reader found {read[:3]}, and {meant[:3]} was written"]
    named = {image: label for image, (_, label) in zip(made.rows, read, strict=True) if image is not None}
    expected = {image: named.get(image) for image in made.images}
    wrong = []
    doors: tuple[tuple[str, Callable[[], list[str | None]]], ...] = (
        ("labels", lambda: _given(made.path, made.images)),
        ("truth", lambda: _truth(made.path, made.images)),
    )
    for door, open_door in doors:
        try:
            found = open_door()
        except InputError as error:
            if door not in made.refused and not made.may_refuse:
                wrong.append(f"{door} refused ({error})")
            elif door in made.refused and made.refused[door] not in str(error) and not made.may_refuse:
                wrong.append(f"{door} refused for another reason ({error})")
            continue
        if door in made.refused:
            wrong.append(f"{door} were read")
            continue
        apart = [
            (name, label, expected[name])
            for name, label in zip(made.images, found, strict=True)
            if label != expected[name]
        ]
        if apart:
            wrong.append(f"{len(apart)} of {len(expected)} {door} differ, the first is {apart[0]}")
    return wrong


def _given(path: Path, names: Sequence[str]) -> list[str | None]:
    clustering, _ = read_given(path, names)
    texts = clustering.cluster_names or tuple(map(str, range(clustering.n_clusters)))
    return [None if label == UNKNOWN else texts[label] for label in clustering.labels.tolist()]


def _truth(path: Path, names: Sequence[str]) -> list[str | None]:
    truth = read_truth(path, names)
    return [None if code == UNKNOWN else truth.classes[code] for code in truth.codes.tolist()]


def _order_apart(made: Made) -> list[str]:
    """The table as a list of images: in its own order, where its names are files."""
    root = made.path.parent
    there = [root / str(name).replace("\\", "/") for name in made.written]
    if not all(path.is_file() for path in there):
        return []
    try:
        source = find_images(made.path)
    except InputError as error:
        return [] if made.may_refuse else [f"as a list of images it is refused ({error})"]
    if [os.path.realpath(item) for item in source.items] != [os.path.realpath(path) for path in there]:
        return [f"as a list of images it is read as {source.file_names[:4]}"]
    return []


def _features_apart(made: Made) -> list[str]:
    """Features named as the table names its rows: each row's first number says whose it is."""
    names = made.images
    place = {name: number for number, name in enumerate(names)}
    expected = sorted(place[row] for row in made.rows if row is not None)
    vectors = np.array([[place[row], 1.0, -2.0] for row in made.rows if row is not None], np.float32)
    column = made.heading if made.heading in ("file_name", "filename", "image", "path", "id") else "file_name"
    path = made.path.parent / "features.parquet"
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 3)
    parquet.write_table(pa.table({column: [str(name) for name in made.written], "embedding": lists}), path)
    array = made.path.parent / "matrix.npy"
    np.save(array, vectors)
    with array.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[column], *([name] for name in made.written)])
    wrong = []
    for each in (path, array):
        try:
            rows = _rows_of(each, names, expected)
        except InputError as error:
            wrong.append(f"features refused ({error})")
            continue
        if rows != expected:
            wrong.append(f"features of {each.name} are of the images {rows}")
    return wrong


def _rows_of(path: Path, names: Sequence[str], expected: Sequence[int]) -> list[int]:
    """Which image each row of the features is of by its values, where its name is that of another: -1."""
    source = ImageSource(tuple(names), tuple(Path(name) for name in names))
    embedding = read_features([path], source)
    order = (
        embedding.features[:, 0].argsort(kind="stable").argsort()
    )  # the first value grows with the image's place
    at = [names.index(name) for name in embedding.file_names]
    return [place if expected[rank] == place else -1 for place, rank in zip(at, order.tolist(), strict=True)]


def check(seeds: range) -> list[str]:
    """The disagreements in the folders of these seeds."""
    found = []
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix="dialects"))
        try:
            found += [f"seed {seed}: {text}" for text in disagreements(make_folder(folder, seed))]
        finally:
            shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    n_folders = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    logging.disable()
    wrong = check(range(start, start + n_folders))
    sys.stdout.write(
        "\n".join([*wrong, f"{n_folders} folders from seed {start}, {len(wrong)} disagreements"]) + "\n"
    )
