"""A run as the files of its folder: refused where it must not be, written, changed, read back.

The folder changes as a whole. Readers take the old run or the new one, whatever a writer is at, or was at when it
was stopped; writers come one after another.
"""

import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ruc.errors import RunFolderError, UnreadableFileError, shortened
from ruc.readers import load_json, load_npy, load_tensors
from ruc.run_folder.files import DIGEST, explained, state_digest, write_state
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
    without_quotes,
)
from ruc.run_folder.run import Run
from ruc.run_folder.schema import check_run
from ruc.run_folder.unfinished import PLACE, expect_nobody_at_work
from ruc.run_folder.whole import Places, replacing, settled, unfinished_names
from ruc.side_by_side import join

if TYPE_CHECKING:
    from ruc.networks import State

T = TypeVar("T")

RUN: Final = "run"  # as the writer of whole outputs calls what is in a run folder
SEVERAL: Final = Path(FEATURES).stem  # the folder of several embeddings
UNFINISHED: Final = {PLACE, LOCK, *unfinished_names(RUN)}
SUFFIXES: Final = {".json", ".safetensors", ".svg", ".npy"}  # of what lies in the folders within
TRIES: Final = 100  # to read what others keep changing


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
    resolved = _read_member(places, CONFIG)["settings"]
    notes = _read_member(places, NOTES)["notes"]
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


def is_run(folder: Path) -> bool:
    """Whether there is a finished run, as far as can be told without reading it."""
    return folder.is_dir() and Places.of(folder, RUN).path(CONFIG).exists()


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
    folder: Path, update: Callable[[Run], Run], texts_of: Callable[[Run], Mapping[str, str]], made_by: str
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
    """
    read_run(folder)  # or it says what there is instead
    with alone_in(folder):
        expect_nobody_at_work(folder)
        is_made = settled(folder, RUN) == made_by
        before = read_run(folder)
        after = before if is_made else update(before)
        if after is not before:
            _write(folder, after, before, texts=texts_of(after), made_by=made_by)
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


def read_run(folder: str | Path) -> Run:
    """Read a finished run.

    Raises
    ------
    RunFolderError
        The folder does not exist, holds no run, or its files do not fit together.
    """
    return _at_one_moment(Path(folder), _read)


def read_model(folder: str | Path) -> "dict[str, State]":
    """The parts of a run's model by name: "embedder" (absent for features), "pair", and "base" where it's a network.

    Raises
    ------
    RunFolderError
        The folder holds no model, or one that cannot be read.
    """
    return _at_one_moment(Path(folder), _read_model)


def read_run_and_model(folder: str | Path) -> "tuple[Run, dict[str, State]]":
    """Both, of the same moment; raises as `read_run` and `read_model` do."""
    return _at_one_moment(Path(folder), lambda places: (_read(places), _read_model(places)))


def _at_one_moment(folder: Path, read: Callable[[Places], T]) -> T:
    """What is read while nothing is written; readers hold no lock, since they may not be allowed to make one."""
    for _ in range(TRIES):
        before = _moment(folder)
        try:
            found = read(Places.of(folder, RUN))
        except RunFolderError:
            if _moment(folder) == before:
                raise
        except OSError as error:
            if _moment(folder) == before:
                raise RunFolderError(
                    f"{folder} cannot be read ({error.strerror}); expected a folder that `ruc cluster` or `ruc refine` "
                    "wrote with -o"
                ) from error
        else:
            if _moment(folder) == before:
                return found
    raise RunFolderError(f"{folder} keeps changing; expected a run that somebody has finished: wait for it")


def _moment(folder: Path) -> set[tuple[Path, int, int]]:
    """Which files there are: each is another one once it was replaced."""
    found = set()
    for within in (folder, folder / MODEL, folder / SEVERAL, folder / f".{RUN}.pending"):
        with suppress(OSError):
            for path in within.iterdir():
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    found.add((path, status.st_ino, status.st_mtime_ns))
    return found


def _read(places: Places) -> Run:
    folder = places.folder
    missing = [
        name for name, member in MEMBERS.items() if member.is_needed and not places.path(name).exists()
    ]
    if missing:
        raise RunFolderError(
            f"{folder} is not a finished run ({', '.join(missing)} not found); "
            "expected a folder that `ruc cluster` or `ruc refine` wrote with -o"
        )
    fields: dict[str, Any] = {}
    for name, member in MEMBERS.items():
        if member.read is not None and places.path(name).exists():
            fields |= _read_member(places, name)
    if "features" not in fields:
        fields["features"] = _joined_features(places, fields["embeddings"])
    run = Run(**without_quotes(fields))
    check_run(run, folder)
    return run


def _joined_features(places: Places, embeddings: Mapping[str, int]) -> NDArray[np.float32]:
    """Of several embeddings, side by side."""
    names = [f"{SEVERAL}/{name}.npy" for name in embeddings]
    missing = [name for name in names or [FEATURES] if not places.path(name).exists()]
    if missing:
        raise RunFolderError(
            f"{places.folder} is not a finished run ({', '.join(missing)} not found); "
            "expected a folder that `ruc cluster` or `ruc refine` wrote with -o"
        )
    try:
        return join([load_npy(places.path(name)) for name in names])
    except (UnreadableFileError, ValueError) as error:
        raise RunFolderError(
            f"{places.folder / SEVERAL} cannot be read ({shortened(str(error))}); expected it as `ruc` wrote it: make "
            "the run again"
        ) from error


def _read_member(places: Places, name: str) -> dict[str, Any]:
    """The fields of a run that one of its files holds."""
    read = MEMBERS[name].read
    assert read is not None
    try:
        return read(places.path(name))
    except UnreadableFileError as error:
        reason = error.reason
    except KeyError as error:
        reason = f"{error.args[0]} is missing"
    except (ValueError, TypeError, AttributeError) as error:
        reason = shortened(str(error))
    raise RunFolderError(
        f"{places.folder / name} cannot be read ({reason}); expected it as `ruc` wrote it: make the run again"
    )


def _read_model(places: Places) -> "dict[str, State]":
    model = places.folder / MODEL
    try:
        stems = [member.removesuffix(".json") for member in places.members(MODEL, ".json")]
        parts = {Path(stem).name: _read_state(places, stem) for stem in stems}
    except (UnreadableFileError, ValueError) as error:
        raise RunFolderError(
            f"{model} cannot be read ({shortened(str(error))}); expected what `ruc` wrote there: make the run again"
        ) from error
    if "pair" not in parts:
        raise RunFolderError(
            f"{model} holds no trained pair of networks; expected a run of `ruc cluster` or `ruc refine`"
        )
    return parts


def _read_state(places: Places, stem: str) -> "State":
    from ruc.networks import State

    config = load_json(places.path(f"{stem}.json"))
    if not isinstance(config, dict):
        raise ValueError(f"{stem}.json holds {type(config).__name__}, expected a mapping")
    weights, about = load_tensors(places.path(f"{stem}.safetensors"))
    if DIGEST in about and about[DIGEST] != state_digest(places.path(f"{stem}.json").read_bytes(), weights):
        raise ValueError(f"{Path(stem).name}.json or {Path(stem).name}.safetensors was changed")
    return State(config, weights)


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
