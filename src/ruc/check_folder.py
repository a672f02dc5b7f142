"""Questions about a run, drawn and written into its folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.check.checked import ASKED
from ruc.check.design import draw, strata
from ruc.check.page import check_page
from ruc.edits import before_edits, edits_of
from ruc.edits.edit import Answer
from ruc.errors import InputError
from ruc.run_folder import Run, read_run, write_check


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

    Parameters
    ----------
    folder
        A finished run.
    n_asked
        How many questions there shall be.
    seed
        Of the draw; the run's own by default.

    Raises
    ------
    RunFolderError
        `folder` is no finished run, or can't be written to.
    InputError
        There is nothing left to ask about.
    """
    run = read_run(folder)
    seed = int(run.settings.get("seed") or 0) if seed is None else seed
    rows, asked = _drawn(run, n_asked, seed)
    if not len(rows):
        raise InputError("all images have an answer; there is nothing left to ask about")
    page = check_page(run, rows)
    asking = replace(run, notes={**run.notes, ASKED: asked})
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
    written = write_check(folder, asking, columns, table, page)
    return Questions(len(rows), *written)


def _drawn(run: Run, n_asked: int, seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """The rows to ask about, by cluster, and the names of all that were ever drawn."""
    before = [name for name in run.notes.get(ASKED, ()) if isinstance(name, str)]
    answered = {edit.file_name for edit in edits_of(run) if isinstance(edit, Answer)}
    row_of = {name: row for row, name in enumerate(run.file_names)}
    is_open = np.ones(len(run.file_names), np.bool_)
    is_open[[row_of[name] for name in {*before, *answered} if name in row_of]] = False
    waiting = np.array([row_of[name] for name in before if name not in answered and name in row_of], np.int64)
    waiting = waiting[:n_asked]
    stratum = strata(before_edits(run).confidence, n_asked)
    new = draw(stratum, run.cluster, is_open, n_asked - len(waiting), seed + len(before))
    rows = np.concatenate([waiting, new])
    return rows[np.lexsort((rows, run.cluster[rows]))], [*before, *(run.file_names[row] for row in new)]
