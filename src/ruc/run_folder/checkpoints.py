"""What the finished stages of an unfinished run left, so that it can go on where it was."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruc.errors import RucError
from ruc.run_folder.files import explained, read_state, write_state

if TYPE_CHECKING:  # torch takes seconds to import, and most readers of a run don't need the model
    from ruc.networks import State

__all__ = ["PLACE", "Checkpoints", "checkpoints"]

PLACE: Final = ".checkpoints"  # within the run folder


@dataclass(frozen=True)
class Checkpoints:
    """What finished stages left in a run folder, so that an interrupted run can go on.

    Attributes
    ----------
    folder
        Where they are kept; None keeps nothing.
    """

    folder: Path | None = None

    def load(self, stage: str) -> "State | None":
        """What the stage left, or None."""
        if self.folder is None or not (self.folder / f"{stage}.safetensors").exists():
            return None
        return read_state(self.folder / stage)

    def save(self, stage: str, state: "State") -> None:
        """Keep what a stage left, replacing what it left before."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_state(self.folder / f"{stage}.new", state)
        # The tensors are renamed last: `load` takes a stage as done when they are there.
        for suffix in (".json", ".safetensors"):
            (self.folder / f"{stage}.new{suffix}").replace(self.folder / f"{stage}{suffix}")


@contextmanager
def checkpoints(folder: Path, fingerprint: str) -> Iterator[Checkpoints]:
    """Yield the checkpoints of a run folder; those of a run with another fingerprint are dropped first.

    They outlast an interruption, and a failure that nobody foresaw. When the run can't be done they are removed, and
    the folder too if it was made here.
    """
    existed = folder.exists()
    place = folder / PLACE
    mark = place / "fingerprint"
    if place.exists() and not (mark.exists() and mark.read_text(encoding="utf-8") == fingerprint):
        shutil.rmtree(place)
    try:
        with explained(folder):
            place.mkdir(parents=True, exist_ok=True)
            mark.write_text(fingerprint, encoding="utf-8")
            yield Checkpoints(place)
    except RucError:
        shutil.rmtree(place if existed else folder, ignore_errors=True)
        raise
