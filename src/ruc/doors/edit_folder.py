"""A person's corrections and answers put into a run folder: table, report and predictions follow."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ruc.check.checked import COVERAGE
from ruc.edits import Edit, Learn, apply_edits, edits_of, read_edits, undo_edits
from ruc.edits.answer_table import read_answers
from ruc.errors import InputError
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import REPORT, Run, update_run

Say = Callable[[Run], None]


def _nothing(_: Run) -> None: ...


def apply_file(folder: Path, path: Path, coverage: float | None = None, say: Say = _nothing) -> Run:
    """Apply the edits.json that a report or a page of questions made, or a CSV of answers; see `edit_folder`.

    With a coverage, the table gets a column of the clusters that are possible for each image: the right one is among
    them that often, by the answers.
    """
    read = read_edits if path.suffix.lower() == ".json" else read_answers

    def change(run: Run) -> Run:
        asked = run if coverage is None else replace(run, notes={**run.notes, COVERAGE: coverage})
        return apply_edits(asked, read(path, run))

    return update_run(folder, change, report_of, f"apply {path} {coverage}", say)


def edit_folder(
    folder: Path, what: str, edits_of: Callable[[Run], Iterable[Edit]], say: Say = _nothing
) -> Run:
    """Apply the edits that `edits_of` makes for the run, and write what changes with them anew.

    Edits that change nothing are none. `what` says it in words: a change that was interrupted is known again by them;
    `say` tells of the run as it is now, and until then it counts as interrupted.

    Raises
    ------
    RunFolderError
        `folder` is no finished run.
    InputError
        An edit doesn't fit the run.
    """
    return update_run(folder, lambda run: apply_edits(run, edits_of(run)), report_of, what, say)


def learn_in_folder(folder: Path) -> Run:
    """Let the images that a person placed, by answers or by hand, say where those belong that look like them.

    Raises
    ------
    RunFolderError
        `folder` is no finished run.
    InputError
        Nothing was placed since it learned last, or nothing that was wrong.
    """
    return edit_folder(folder, "learn", _lesson)


def _lesson(run: Run) -> list[Edit]:
    done = edits_of(run)
    if done and isinstance(done[-1], Learn):
        raise InputError(
            "the run has learned from all its answers; expected further ones: ruc check asks, ruc apply puts them in"
        )
    return [Learn()]


def undo_in_folder(
    folder: Path, n_edits: int | None = None, say: Callable[[Run, Sequence[Edit]], None] = lambda *_: None
) -> tuple[Run, tuple[Edit, ...]]:
    """Take the last edits back, None: those that were applied together; raises as `edit_folder` does.

    Returns the run as it is now, and what was taken back: nothing where an interrupted undo was finished. `say` tells
    of both.
    """
    what = "undo" if n_edits is None else f"undo {n_edits}"
    undone: list[Edit] = []

    def undo(run: Run) -> Run:
        before = undo_edits(run, n_edits)
        undone[:] = edits_of(run)[len(edits_of(before)) :]
        return before

    return update_run(folder, undo, report_of, what, lambda run: say(run, undone)), tuple(undone)


def report_of(run: Run) -> dict[str, str]:
    """The text of a run's report, by its name in the folder."""
    return {REPORT: write_report(report_data(run))}
