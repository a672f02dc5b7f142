"""Answers from a table: for each image whether it belongs to its cluster, or which one is right."""

from pathlib import Path
from typing import Final

from ruc.edits import Answer, find_cluster
from ruc.errors import InputError, shortened
from ruc.labels.matching import in_order_of
from ruc.labels.tables import LabelTable
from ruc.run_folder import Run
from ruc.tables.formulas import as_meant
from ruc.tables.table import read_table

YES: Final = {"yes", "y", "true", "1"}
NO: Final = {"no", "n", "false", "0"}


def read_answers(path: Path, run: Run) -> tuple[Answer, ...]:
    """The answers of a CSV with the columns `file_name` and `answer` (yes or no) or `label` (the right cluster).

    Empty answers are open questions. Where there is a column `cluster`, as in the table that `ruc check` writes, the
    images must still be in these.

    Raises
    ------
    InputError
        The table can't be read or has other columns; an image, an answer or a cluster isn't known; no answer.
    """
    header, rows = _read(path)
    said = next((column for column in ("label", "answer") if column in header), None)
    if said is None or "file_name" not in header:
        raise InputError(
            f"{path}: has the columns {', '.join(header)}; expected 'file_name' and 'answer' (yes or no), or 'label' "
            "(the right cluster)"
        )
    places = [place for place, _ in rows]
    texts = [_answer(row, header) for _, row in rows]
    names = [row["file_name"] for _, row in rows]
    matched = in_order_of(
        LabelTable(str(path), {"file_name": names}, texts, None, None, places), run.file_names
    )
    assert matched.labels is not None
    if not any(matched.labels):
        raise InputError(f"{path}: no answer is filled in; expected yes or no in the column {said!r}")
    if "cluster" in header:
        _check_still_there(path, rows, run)
    return tuple(
        Answer(run.file_names[row], int(run.cluster[row]), _right(path, matched, row, run))
        for row, text in enumerate(matched.labels)
        if text
    )


def _answer(row: dict[str, str], header: list[str]) -> str:
    """The right cluster where it's named, as "=name", else yes or no in one way to write it, or ""."""
    label = row["label"] if "label" in header else ""
    if label and label != "-1":
        return f"={label}"
    return row["answer"].lower() if "answer" in header else ""


def _right(path: Path, table: LabelTable, row: int, run: Run) -> int | None:
    assert table.labels is not None
    text, place = table.labels[row], table.places[row]
    if text.startswith("="):
        try:
            return find_cluster(run, text[1:])
        except InputError as error:
            raise InputError(
                f"{path}, {place}: {error}; name the clusters first (ruc rename), or answer yes and no in a column "
                "'answer'"
            ) from error
    if text in YES:
        return int(run.cluster[row])
    if text in NO:
        return None
    raise InputError(f"{path}, {place}: answer {text!r}; expected yes or no, or nothing where you can't tell")


def _check_still_there(path: Path, rows: list[tuple[str, dict[str, str]]], run: Run) -> None:
    cluster_of = dict(zip(run.file_names, run.cluster.tolist(), strict=True))
    for place, row in rows:
        now = cluster_of.get(row["file_name"], cluster_of.get(as_meant(row["file_name"])))
        asked = row["cluster"]
        if now is not None and asked.isdecimal() and (asked.lstrip("0") or "0") != str(now):
            raise InputError(
                f"{path}, {place}: {row['file_name']} was asked about in cluster {shortened(asked)}, and is in {now} "
                "now; expected answers about the run as it is: if they were applied already nothing is left to do, "
                "else ask again with `ruc check`"
            )


def _read(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The headings, and of each row that has something where it stands and its values."""
    table = read_table(path)
    headings = list(table.columns)
    cells = zip(*([cell.strip() for cell in column] for column in table.columns.values()), strict=True)
    rows = [
        (place, dict(zip(headings, row, strict=True))) for place, row in zip(table.places, cells, strict=True)
    ]
    return headings, [(place, row) for place, row in rows if any(row.values())]
