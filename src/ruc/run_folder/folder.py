"""A run as the files of its folder: refused where it must not be, written, changed.

The folder changes as a whole. Readers take the old run or the new one, whatever a writer is at, or was at when it
was stopped; writers come one after another.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ruc.errors import RunFolderError
from ruc.run_folder.files import explained, write_state
from ruc.run_folder.locks import LOCK, alone_in
from ruc.run_folder.members import (
    CHECK,
    CONFIG,
    FEATURES,
    FIGURES,
    MEMBERS,
    MODEL,
    NOTES,
    REPORT,
)
from ruc.run_folder.reading import RUN, SEVERAL, read_member, read_run
from ruc.run_folder.run import Run
from ruc.run_folder.unfinished import PLACE, expect_nobody_at_work
from ruc.run_folder.whole import Places, replacing, settled, unfinished_names

if TYPE_CHECKING:
    from ruc.networks import State

UNFINISHED: Final = {PLACE, LOCK, *unfinished_names(RUN)}
SUFFIXES: Final = {".json", ".safetensors", ".svg", ".npy"}  # of what lies in the folders within


def check_output(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Make sure that a run may be written to `folder`, without touching what is there.

    Raises
    ------
    RunFolderError
        The folder holds something that is not a run; or, where `overwrite` is false, a run with other settings, or one
        that a person edited.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; expected a folder for the run: give another -o")
    if not folder.exists():
        return
    places = Places.of(folder, RUN)
    if not places.path(CONFIG).exists():
        if all(path.name in UNFINISHED for path in folder.iterdir()):
            return  # the first run of this folder was interrupted: there is nothing to lose
        raise RunFolderError(
            f"{folder} holds other files and is no run folder; expected a new or empty one: give another -o"
        )
    if overwrite:
        return
    resolved = read_member(places, CONFIG)["settings"]
    notes = read_member(places, NOTES)["notes"]
    given = notes.get("given_settings", resolved)
    differing = {
        name
        for name in settings
        if name != "output" and all(settings[name] != before.get(name) for before in (given, resolved))
    }
    if differing:
        raise RunFolderError(
            f"{folder} holds a run with other settings ({', '.join(sorted(differing))}); expected a new folder: "
            "give another -o, or --overwrite to replace that run"
        )
    if notes.get("edits"):
        raise RunFolderError(
            f"{folder} holds a run that a person edited, and a repeat would lose the edits; expected a new folder: "
            "give another -o, or --overwrite to replace that run"
        )


def finished_run(folder: Path, inputs: str) -> Run | None:
    """The run that is there, where it was made of these inputs (`notes["inputs"]`) and nobody edited it since."""
    if not folder.exists() or not Places.of(folder, RUN).path(CONFIG).exists():
        return None
    with explained(folder), alone_in(folder):
        settled(folder, RUN)
    run = read_run(folder)
    return run if run.notes.get("inputs") == inputs and not run.notes.get("edits") else None


def write_run(
    folder: Path, run: Run, model: "Mapping[str, State] | None" = None, report: str | None = None
) -> None:
    """Write all files of a run; those of an earlier run in the same folder are replaced, and its checkpoints go.

    Parameters
    ----------
    folder
        Where; made when it does not exist.
    model
        "embedder" (absent for features), "pair", and "base" where the base clustering is a network; None leaves the
        model that is there.
    report
        The text of `report.html`; None leaves the report that is there.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            settled(folder, RUN)
            _write(folder, run, None, model, {} if report is None else {REPORT: report})


def update_run(
    folder: Path,
    update: Callable[[Run], Run],
    texts_of: Callable[[Run], Mapping[str, str]],
    made_by: str,
    say: Callable[[Run], None] = lambda _: None,
) -> Run:
    """Change a finished run, and write anew what changes with it; no other writer comes in between.

    Returns the run as it is now.

    Parameters
    ----------
    update
        From the run as it is to the run as it shall be.
    texts_of
        What else is written of it: the texts of `report.html`, or of `check.html` and `check.csv`, by these names.
    made_by
        What makes the change. Where it was interrupted when it counted already, asking for it again finishes it.
    say
        Tells of the run as it is now. Until then the change counts as interrupted.
    """
    read_run(folder)  # or it says what there is instead
    with alone_in(folder):
        expect_nobody_at_work(folder)
        is_made = settled(folder, RUN, made_by) == made_by
        before = read_run(folder)
        after = before if is_made else update(before)
        if after is not before:
            _write(folder, after, before, texts=texts_of(after), made_by=made_by)
        say(after)
        settled(folder, RUN)
        return after


def write_evaluation(
    folder: Path, measured: Run, metrics: Mapping[str, Any], figures: Mapping[str, str], report: str
) -> None:
    """Write what was found of a run: `metrics.json`, `figures/NAME.svg` instead of those there, the report anew.

    Raises
    ------
    RunFolderError
        The run isn't the one any more that was measured.
    """
    with alone_in(folder):
        settled(folder, RUN)
        now = read_run(folder)
        if not _is_same(now, measured):
            raise RunFolderError(
                f"{folder} was changed while it was measured; expected it to stay as it was: evaluate it again"
            )
        pictures = {f"{FIGURES}/{name}.svg": svg for name, svg in figures.items()}
        _write(folder, replace(now, metrics=dict(metrics)), now, texts={REPORT: report, **pictures})


def _write(
    folder: Path,
    run: Run,
    before: Run | None,
    model: "Mapping[str, State] | None" = None,
    texts: Mapping[str, str] = MappingProxyType({}),
    made_by: str = "",
) -> None:
    """Write what differs from the run that is there, None: everything; the caller is alone in the folder."""
    with replacing(folder, RUN, _stale(folder, run, before, model, texts), made_by) as new:
        for name, member in MEMBERS.items():
            is_same = before is not None and all(getattr(run, f) is getattr(before, f) for f in member.holds)
            if not is_same and getattr(run, member.holds[0]) is not None:
                member.write(new / name, run)
        if model is not None:
            (new / MODEL).mkdir()
            for part, state in model.items():
                write_state(new / MODEL / part, state)
        for name, text in texts.items():
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text(text, encoding="utf-8", newline="")


def _stale(
    folder: Path,
    run: Run,
    before: Run | None,
    model: "Mapping[str, State] | None",
    texts: Mapping[str, str],
) -> list[str]:
    """What an earlier run left and this one doesn't have, those aside that are written anew."""
    stale = [name for name, member in MEMBERS.items() if getattr(run, member.holds[0]) is None]
    if run.embeddings:
        stale.append(FEATURES)
    if "asked" not in run.notes or CHECK[0] in texts:
        stale += CHECK
    has_figures = any(name.startswith(f"{FIGURES}/") for name in texts)
    has_features = before is None or run.features is not before.features
    anew = {MODEL: model is not None, FIGURES: has_figures or run.metrics is None, SEVERAL: has_features}
    for within, is_anew in anew.items():
        if is_anew and not (folder / within).is_symlink():
            stale += [
                f"{within}/{path.name}" for path in (folder / within).glob("*") if path.suffix in SUFFIXES
            ]
    return stale if before is not None else [*stale, PLACE]


def _is_same(one: Run, other: Run) -> bool:
    """Whether two runs have the same clusters, by the same names, equally sure."""
    names = ("file_names", "cluster_names", "cluster", "confidence", "probabilities")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
