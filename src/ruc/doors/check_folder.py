"""Questions about a run, drawn and written into its folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.check.checked import ASKED
from ruc.check.design import draw, strata
from ruc.edits import before_edits, edits_of
from ruc.edits.edit import Answer
from ruc.errors import InputError
from ruc.report.check_page import check_page
from ruc.run_folder import Run, csv_text, is_excel_safe, update_run


@dataclass(frozen=True)
class Questions:
    """What was asked.

    Attributes
    ----------
    n_asked
        How many questions are open now.
    page
        Where they can be answered with a look at the images, or None where these aren't there.
    table
        The same as a table, to be filled in.
    """

    n_asked: int
    page: Path | None
    table: Path


def ask(folder: Path, n_asked: int = 50, seed: int | None = None) -> Questions:
    """Draw images to ask a person about, and write `check.html` and `check.csv` into the run's folder.

    Questions that were drawn before and aren't answered stay, and count; others are drawn beside them.

    Raises
    ------
    RunFolderError
        `folder` is no finished run, or can't be written to.
    InputError
        There is nothing left to ask about.
    """
    run = update_run(
        folder,
        lambda run: _asking(run, n_asked, seed),
        lambda run: _texts(run, n_asked),
        f"check {n_asked} {seed}",
    )
    page, table = folder / "check.html", folder / "check.csv"
    return Questions(len(_open_questions(run)[:n_asked]), page if page.exists() else None, table)


def _asking(run: Run, n_asked: int, seed: int | None) -> Run:
    """The run with questions drawn beside those that are open."""
    seed = run.seed if seed is None else seed
    before = [name for name in run.notes.get(ASKED, ()) if isinstance(name, str)]
    waiting = _open_questions(run)
    may_ask = np.isin(np.asarray(run.file_names), [*before, *_answered(run)], invert=True)
    stratum = strata(before_edits(run).confidence, n_asked)
    new = draw(stratum, run.cluster, may_ask, max(n_asked - len(waiting), 0), seed + len(before))
    if not len(waiting) + len(new):
        raise InputError("all images have an answer; there is nothing left to ask about")
    return replace(run, notes={**run.notes, ASKED: [*before, *(run.file_names[row] for row in new)]})


def _texts(run: Run, n_asked: int) -> dict[str, str]:
    """The page of questions, where there are images, and the table, by cluster."""
    rows = _open_questions(run)[:n_asked]
    rows = rows[np.lexsort((rows, run.cluster[rows]))]
    columns = ("file_name", "cluster", *(("cluster_name",) if run.has_names else ()), "answer", "label")
    table = [
        (
            run.file_names[row],
            int(run.cluster[row]),
            *((run.cluster_names[run.cluster[row]],) if run.has_names else ()),
            "",
            "",
        )
        for row in rows
    ]
    page = check_page(run, rows)
    return {
        "check.csv": csv_text(columns, table, is_excel_safe(run)),
        **({} if page is None else {"check.html": page}),
    }


def _open_questions(run: Run) -> NDArray[np.int64]:
    """The rows of the images that were drawn and have no answer, in the order drawn."""
    row_of = {name: row for row, name in enumerate(run.file_names)}
    answered = _answered(run)
    names = [name for name in run.notes.get(ASKED, ()) if name in row_of and name not in answered]
    return np.array([row_of[name] for name in names], np.int64)


def _answered(run: Run) -> set[str]:
    return {edit.file_name for edit in edits_of(run) if isinstance(edit, Answer)}
