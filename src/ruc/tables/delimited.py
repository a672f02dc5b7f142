"""Delimited text as R, pandas, polars, DuckDB, Spark and spreadsheets write it, as rows of cells.

The standard library's reader doesn't tell `"NA"`, a text, from `NA`, R's missing value.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ruc.errors import InputError

DELIMITERS: Final = ",;\t|"
MARK: Final = "\ufeff"  # the byte order mark; who adds one to a file that has one already leaves two
SEPARATOR_LINE: Final = re.compile(r"sep=(.)[^\S\t]*(?:\r\n|\n|\r)", re.IGNORECASE)  # Excel's first line
QUOTED_TEXT: Final = re.compile(r'"[^"]*"')
MISSING: Final = frozenset(("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "NaT", r"\N"))
"""What programs write where there is no value; a class may be called so too."""


@dataclass(frozen=True)
class Cell:
    """One value of a row, and whether it stood in quotes."""

    text: str
    is_quoted: bool


def rows_of_text(text: str, source: str) -> tuple[list[tuple[int, list[Cell]]], str]:
    """The rows, headings first, each with the number of its line, and the delimiter; empty lines are left out.

    Of a single column empty lines are rows too, but for those at the end.

    Raises
    ------
    InputError
        Quotes that don't close, with the line.
    """
    text = text.lstrip(MARK)
    line = 1
    separator = SEPARATOR_LINE.match(text)
    if separator:
        text, line = text[separator.end() :], 2
    delimiter = separator[1] if separator else _delimiter(text)
    for quoted in (r'"([^"]*(?:""[^"]*)*)"', r'"([^"\\]*(?:(?:\\.|"")[^"\\]*)*)"'):
        # R's write.table and Spark put a backslash before a quote, all others double it.
        rows, unread = _split(text, delimiter, quoted, line)
        if unread is None:
            return _filled(rows), delimiter
    raise InputError(
        f"{source}, line {unread}: a quote that is within a value or isn't closed; put the value in double quotes, and "
        "double those within it"
    )


def _delimiter(text: str) -> str:
    """The most frequent in the first line that isn't empty; a space where there is no other (R's write.table)."""
    first = next((line for line in re.split(r"[\r\n]+", text) if line.strip()), "")
    plain = QUOTED_TEXT.sub("", first)
    best = max(DELIMITERS, key=plain.count)
    if plain.count(best) or "label" not in first.replace('"', "").split(" "):
        return best
    return " " if " " in plain else best


def _split(
    text: str, delimiter: str, quoted: str, line: int
) -> tuple[list[tuple[int, list[Cell]]], int | None]:
    """The rows, and the line that can't be read if there is one."""
    apart = re.escape(delimiter)
    around = "" if delimiter == " " else " *"
    cell = re.compile(
        rf'(?:{around}{quoted}{around}|([^"{apart}\r\n][^{apart}\r\n]*)?)({apart}|\r\n|\n|\r|\Z)', re.DOTALL
    )
    rows: list[tuple[int, list[Cell]]] = []
    row: list[Cell] = []
    place = 0
    while place < len(text) or row:
        found = cell.match(text, place)
        if found is None:
            return rows, line
        inside, plain, end = found.groups()
        if inside is not None:
            row.append(Cell(_unescaped(inside, quoted), True))
            line += inside.count("\n")
        else:
            row.append(Cell(plain or "", False))
        place = found.end()
        if end != delimiter:
            rows.append((line, row))
            row, line = [], line + 1
            if not end:
                break
    return rows, None


def _unescaped(inside: str, quoted: str) -> str:
    if '"' in inside and "\\" not in quoted:
        return inside.replace('""', '"')
    return re.sub(r'\\(["\\])', r"\1", inside).replace('""', '"') if "\\" in quoted else inside


def _is_empty(row: Sequence[Cell]) -> bool:
    return len(row) == 1 and not row[0].is_quoted and not row[0].text.strip()


def _filled(rows: list[tuple[int, list[Cell]]]) -> list[tuple[int, list[Cell]]]:
    filled = [place for place, (_, row) in enumerate(rows) if not _is_empty(row)]
    if filled and len(rows[filled[0]][1]) == 1:
        return rows[filled[0] : filled[-1] + 1]
    return [rows[place] for place in filled]


def columns_of_rows(
    rows: Sequence[tuple[int, list[Cell]]], delimiter: str, source: str
) -> dict[str, list[str]]:
    """The cells of each column by its heading, as they stand; "" where there is no value.

    A word such as NA without quotes is no value where other texts of the column stand in quotes that they don't need,
    as R writes them, or all of them and the headings stand in quotes. Else nothing tells it from a text.

    Raises
    ------
    InputError
        Rows of another length than the headings, or two columns of the same name; with the line.
    """
    headings = [cell.text.replace(MARK, "").strip() for cell in rows[0][1]]
    body = rows[1:]
    width = len(headings)
    if body and all(len(row) == width + 1 for _, row in body):
        if not any(row[-1].text.strip() for _, row in body):  # a delimiter after each line
            body = [(line, row[:-1]) for line, row in body]
        elif _have_row_names(rows, delimiter):
            headings = ["", *headings]
    blank = [Cell("", False)] * len(headings)
    body = [(line, row if any(cell.text.strip() for cell in row) else blank) for line, row in body]
    for line, row in body:
        if len(row) != len(headings):
            raise InputError(
                f"{source}, line {line}: {len(row)} values for {len(headings)} columns; put values that hold the "
                "delimiter in double quotes"
            )
    are_headings_quoted = all(cell.is_quoted for cell in rows[0][1])
    columns: dict[str, list[str]] = {}
    for place, heading in enumerate(headings):
        cells = [row[place] for _, row in body]
        if not heading and not any(cell.text.strip() for cell in cells):
            continue  # a spreadsheet's empty columns
        if heading in columns:
            raise InputError(
                f"{source}: two columns have the same name among {', '.join(headings)}; rename one"
            )
        columns[heading] = list(_values(cells, are_headings_quoted))
    return columns


def _have_row_names(rows: Sequence[tuple[int, list[Cell]]], delimiter: str) -> bool:
    """Whether the first cells are row names without heading, as R's write.table writes them, not commas in values."""
    first = [row[0] for _, row in rows[1:]]
    is_of_r = delimiter in " \t" or all(cell.is_quoted for cell in (*first, *rows[0][1]))
    return is_of_r and len({cell.text for cell in first}) == len(first)


def _values(cells: Sequence[Cell], are_headings_quoted: bool) -> Iterator[str]:
    unquoted_is_missing = any(cell.is_quoted and not _needs_quotes(cell.text) for cell in cells) or (
        are_headings_quoted
        and any(cell.is_quoted and cell.text for cell in cells)
        and all(cell.is_quoted or cell.text.strip() in {"", *MISSING} for cell in cells)
    )
    for cell in cells:
        is_missing = unquoted_is_missing and not cell.is_quoted and cell.text.strip() in MISSING
        yield "" if is_missing else cell.text


def _needs_quotes(text: str) -> bool:
    return not text or any(character in text for character in f'{DELIMITERS}"\r\n ')
