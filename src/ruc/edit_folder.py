"""A person's corrections and answers put into a run folder: table, report and predictions follow."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ruc.check.answer_table import read_answers
from ruc.edits import Edit, apply_edits, read_edits, undo_edits
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import Run, read_run, write_run

__all__ = ["apply_file", "edit_folder", "undo_in_folder"]


def apply_file(folder: Path, path: Path) -> Run:
    """Apply the edits.json that a report or a page of questions made, or a CSV of answers."""
    is_json = path.suffix.lower() == ".json"
    return edit_folder(folder, lambda run: read_edits(path, run) if is_json else read_answers(path, run))


def edit_folder(folder: Path, edits_of: Callable[[Run], Iterable[Edit]]) -> Run:
    """Apply the edits that `edits_of` makes for the run, and write table and report anew.

    Raises
    ------
    RunFolderError
        `folder` is no finished run.
    InputError
        An edit doesn't fit the run.
    """
    run = read_run(folder)
    return _rewritten(folder, apply_edits(run, edits_of(run)))


def undo_in_folder(folder: Path, n_edits: int | None = None) -> Run:
    """Take the last edits back, None: those that were applied together; raises as `edit_folder` does."""
    return _rewritten(folder, undo_edits(read_run(folder), n_edits))


def _rewritten(folder: Path, run: Run) -> Run:
    write_run(folder, run, report=write_report(report_data(run)))
    return run
