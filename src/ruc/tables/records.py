"""JSON with an object a row, as columns: a line each (as `datasets`, Spark, polars and DuckDB write it), or a list."""

import json
from collections.abc import Callable
from typing import Any, Final

from ruc.errors import InputError

SUFFIXES: Final = (".jsonl", ".ndjson", ".json")
PLAIN: Final = (str, bool, int, float)


def columns_of_records(
    text: str, source: str, cell_text: Callable[[object], str]
) -> tuple[dict[str, list[str]], list[str], dict[str, str]]:
    """The cells of each column by its heading, "" where an object lacks it or has null; where each row stands; and
    what columns hold that are neither numbers nor text.

    Raises
    ------
    InputError
        It's no JSON, or something else than an object a row; with the line.
    """
    placed = [(place, _with_fields(row)) for place, row in _placed(text, source)]
    headings = dict.fromkeys(heading for _, row in placed for heading in row)
    columns: dict[str, list[str]] = {}
    unusable: dict[str, str] = {}
    for heading in headings:
        values = [row.get(heading) for _, row in placed]
        other = next((value for value in values if value is not None and not isinstance(value, PLAIN)), None)
        if other is None:
            columns[heading] = [cell_text(value) for value in values]
        else:
            unusable[heading] = "lists" if isinstance(other, list) else "objects"
    return columns, [place for place, _ in placed], unusable


def _with_fields(row: dict[str, Any]) -> dict[str, Any]:
    """The row, and what its objects hold beside them, as `image.path`."""
    inside = {
        f"{heading}.{field}": value
        for heading, held in row.items()
        if isinstance(held, dict)
        for field, value in held.items()
        if value is None or isinstance(value, PLAIN)
    }
    return {**inside, **row}


def _placed(text: str, source: str) -> list[tuple[str, dict[str, Any]]]:
    """Each row and where it stands."""
    if text.lstrip().startswith("["):
        rows = [(f"row {number}", row) for number, row in enumerate(_parsed(text, source, "the list"))]
    else:
        lines = enumerate(text.split("\n"), start=1)  # other ends of lines may be within a text
        rows = [(f"line {n}", _parsed(line, source, f"line {n}")) for n, line in lines if line.strip()]
    if not rows:
        raise InputError(f"{source}: is empty; expected a JSON object a row")
    wrong = next((place for place, row in rows if not isinstance(row, dict)), None)
    if wrong is not None:
        raise InputError(
            f'{source}, {wrong}: is no JSON object; expected one a row, as {{"file_name": "a.png", "label": "cat"}}'
        )
    return rows


def _parsed(text: str, source: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{source}, {place}: is no JSON ({error}); expected an object a line, or a list of them"
        ) from error
