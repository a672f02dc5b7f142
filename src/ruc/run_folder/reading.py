"""A run read back from its folder, all of one moment, whatever a writer is at."""

import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from ruc.errors import RunFolderError, UnreadableFileError, shortened
from ruc.readers import load_json, load_npy, load_tensors
from ruc.run_folder.files import DIGEST, state_digest
from ruc.run_folder.members import CONFIG, FEATURES, MEMBERS, MODEL, without_quotes
from ruc.run_folder.run import Run
from ruc.run_folder.schema import check_run
from ruc.run_folder.whole import Places
from ruc.side_by_side import join

if TYPE_CHECKING:
    from ruc.networks import State

T = TypeVar("T")

RUN: Final = "run"  # as the writer of whole outputs calls what is in a run folder
SEVERAL: Final = Path(FEATURES).stem  # the folder of several embeddings
TRIES: Final = 100  # to read what others keep changing


def is_run(folder: Path) -> bool:
    """Whether there is a finished run, as far as can be told without reading it."""
    return folder.is_dir() and Places.of(folder, RUN).path(CONFIG).exists()


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
            fields |= read_member(places, name)
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


def read_member(places: Places, name: str) -> dict[str, Any]:
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
        files = [file for suffix in (".json", ".safetensors") for file in places.members(MODEL, suffix)]
        stems = sorted(
            {file.rpartition(".")[0] for file in files}
        )  # of a part that lost one of its files too
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

    for file in (f"{stem}.json", f"{stem}.safetensors"):
        if not places.path(file).exists():
            raise ValueError(f"{file} is missing")
    config = load_json(places.path(f"{stem}.json"))
    if not isinstance(config, dict):
        raise ValueError(f"{stem}.json holds {type(config).__name__}, expected a mapping")
    weights, about = load_tensors(places.path(f"{stem}.safetensors"))
    if DIGEST in about and about[DIGEST] != state_digest(places.path(f"{stem}.json").read_bytes(), weights):
        raise ValueError(f"{Path(stem).name}.json or {Path(stem).name}.safetensors was changed")
    return State(config, weights)
