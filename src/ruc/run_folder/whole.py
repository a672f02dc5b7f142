"""Outputs that are put in place whole or not at all, whatever happens in between.

One file or folder is made under a temporary name and renamed. Several files together are made in a folder of
their own; renaming that folder, to `.NAME.pending`, is the one step that makes them count. Only then are they
moved to their places, one by one: readers take them from where they are, and whoever writes next moves what is
left. What is half made lies in `.NAME.new`, and the next writer removes it.
"""

import json
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ruc.errors import RunFolderError, UnreadableFileError
from ruc.readers import load_json
from ruc.run_folder.files import check_new_folder, explained
from ruc.run_folder.locks import alone_in

FILES: Final = "files"  # within a pending change
CHANGE: Final = "change.json"  # beside them: what is to be removed, and by whom the change was made
MANY: Final = 100  # files that are synced together


@contextmanager
def new_output(target: Path) -> Iterator[Path]:
    """Yield where to make a file or a folder; when the block ends well it is at `target`, in place of an older file.

    Other writers in the same folder wait.
    """
    with explained(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone_in(target.parent), new_file(target) as new:
            yield new


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """The same for a folder, made to be filled; raises as `check_new_folder` does."""
    check_new_folder(target)
    with new_output(target) as new:
        new.mkdir()
        yield new


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """As `new_output`, for a caller that is alone in the folder, which is there."""
    new = target.with_name(unfinished_names(target.name)[0])
    with explained(target.parent), _removed_on_failure(new):
        yield new
        _sync(new)
        if new.is_dir() and target.is_dir():  # an empty one, which Windows doesn't replace
            target.rmdir()
        new.replace(target)
        _sync_folder(target.parent)


@dataclass(frozen=True)
class Places:
    """Where the files of an output are found now, of which some may not have been moved to their places yet.

    Attributes
    ----------
    folder
        Where the files belong.
    pending
        The change that is not in place yet, or None.
    removed
        What that change removes.
    """

    folder: Path
    pending: Path | None = None
    removed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, folder: Path, name: str) -> "Places":
        """As they are at this moment."""
        _, pending, _ = (folder / one for one in unfinished_names(name))
        if not (pending / CHANGE).exists():  # all is in place
            return cls(folder)
        try:
            change = load_json(pending / CHANGE)
        except UnreadableFileError:
            if (pending / CHANGE).exists():
                raise
            return cls(folder)  # it was put in place meanwhile
        match change:
            case {"removed": list(removed)} if all(map(_is_inside, removed)):
                return cls(folder, pending, frozenset(removed))
        raise RunFolderError(
            f"{pending} holds no change that ruc made; expected to finish one: remove it where nobody else wants it"
        )

    def path(self, member: str) -> Path:
        """Where a file is, or would be if there were one."""
        if self.pending is not None:
            moving = self.pending / FILES / member
            if moving.exists() or member in self.removed:
                return moving
        return self.folder / member

    def members(self, within: str, suffix: str) -> list[str]:
        """The files in a folder whose names end so, sorted."""
        folders = [self.folder] if self.pending is None else [self.folder, self.pending / FILES]
        found = {
            f"{within}/{path.name}" for folder in folders for path in (folder / within).glob(f"*{suffix}")
        }
        return sorted(member for member in found if self.path(member).exists())

    def settle(self) -> None:
        """Move what is still to be moved, and remove what is to be removed; may be stopped and begun again."""
        if self.pending is None:
            return
        files = self.pending / FILES
        for path in sorted(path for path in files.rglob("*") if not path.is_dir()):
            target = self._own(path.relative_to(files))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        for member in sorted(self.removed):
            path = self._own(member)
            _remove(path)
            if path.parent != self.folder:
                with suppress(OSError):  # it isn't empty yet, or gone already
                    path.parent.rmdir()
        _sync_folder(self.folder)
        if files.exists():
            shutil.rmtree(files)
        # From here on nothing is pending; but who made the change is known until it's the last thing to go.
        (self.pending / CHANGE).replace(self.pending.with_suffix(".done"))

    def _own(self, member: str | Path) -> Path:
        """The place of a file; raises `RunFolderError` where a link leads to another folder."""
        path = self.folder / member
        if path.parent != self.folder and path.parent.is_symlink():
            raise RunFolderError(
                f"{path.parent} is a link; expected a folder of the run itself: put it there"
            )
        return path


@contextmanager
def new_outputs(output: Path, beside: Collection[Path]) -> Iterator[Path]:
    """Yield a folder for a file and those beside it; when the block ends well they are in place, all of them or none.

    Those that are not made go where they are there from before. Other writers in the same folder wait.
    """
    folder = output.parent
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            settled(folder, output.name)
            with replacing(folder, output.name, [path.name for path in (output, *beside)]) as new:
                yield new


@contextmanager
def replacing(folder: Path, name: str, removed: Collection[str] = (), made_by: str = "") -> Iterator[Path]:
    """Yield a folder for new files; when the block ends well they are in `folder`, all of them or none.

    The caller is `alone_in` the folder, and `settled` it.

    Parameters
    ----------
    folder
        Where the files belong.
    name
        Of the output, which tells its changes from those of others in the same folder.
    removed
        Files and folders that are to go, those aside that are made anew.
    made_by
        What makes the change, to know it again, until the caller calls `settled`; "" is forgotten.
    """
    new, pending, _ = (folder / one for one in unfinished_names(name))
    with explained(folder), _removed_on_failure(new):
        (new / FILES).mkdir(parents=True)
        yield new / FILES
        gone = sorted(member for member in removed if not (new / FILES / member).exists())
        (new / CHANGE).write_text(json.dumps({"removed": gone, "made_by": made_by}), encoding="utf-8")
        _sync(new)
        new.rename(pending)  # the one step
        _sync_folder(folder)
        settled(folder, name, made_by)


def settled(folder: Path, name: str, known: str = "") -> str:
    """Finish a change that was interrupted once it counted; the caller is `alone_in` the folder.

    Returns what had made it, or "" where there was none. That is forgotten, unless it's `known`: who asks for that
    again before he was told that it's done shall not have it done twice.
    """
    with explained(folder):
        Places.of(folder, name).settle()
        new, pending, done = (folder / one for one in unfinished_names(name))
        made_by = str(load_json(done).get("made_by", "")) if done.exists() else ""
        for left in (new, pending) if known and made_by == known else (new, pending, done):
            _remove(left)
        return made_by


def finish_outputs(output: Path) -> None:
    """Before a file that has others beside it is read, or is in the way of a new one: put in place what a writer who
    was stopped had left to do.
    """
    _, pending, done = unfinished_names(output.name)
    if any((output.parent / name).exists() for name in (pending, done)):
        with explained(output.parent), alone_in(output.parent):
            settled(output.parent, output.name)


def unfinished_names(name: str) -> tuple[str, str, str]:
    """What a folder holds while an output is made in it, then while that is put in place, and until that is done."""
    return f".{name}.new", f".{name}.pending", f".{name}.done"


def _is_inside(member: object) -> bool:
    """Whether it names something in a folder, such as `metrics.json` or `model/pair.json`."""
    return (
        isinstance(member, str)
        and re.fullmatch(r"(\w+/)?[^/\\]+", member) is not None
        and member not in (".", "..")
    )


@contextmanager
def _removed_on_failure(new: Path) -> Iterator[None]:
    _remove(new)  # what another, who was killed, had half made
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _remove(new)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(new: Path) -> None:
    """Have the system write what it keeps in memory: a loss of power must not leave names without contents."""
    paths = [new, *new.rglob("*")]
    if len(paths) > MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        if path.is_symlink():
            continue
        if path.is_dir():
            _sync_folder(path)
        else:
            _sync_path(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # a copy may be one to read only


def _sync_folder(folder: Path) -> None:
    with suppress(PermissionError):  # Windows opens no folders
        _sync_path(folder, os.O_RDONLY)


def _sync_path(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
