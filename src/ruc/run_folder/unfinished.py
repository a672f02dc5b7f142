"""What the stages of an unfinished run left, so that it can go on where it was."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruc.errors import UnreadableFileError
from ruc.readers import load_tensors
from ruc.run_folder.files import explained, to_json, write_tensors
from ruc.run_folder.locks import alone_in
from ruc.run_folder.whole import new_file

if TYPE_CHECKING:
    from ruc.networks import State

logger = logging.getLogger(__name__)

PLACE: Final = ".checkpoints"  # within the run folder
SECONDS_BETWEEN = 10.0  # as much work as an interruption may cost


@dataclass(frozen=True)
class Checkpoints:
    """What stages left in a run folder, one file a stage, so that an interrupted run can go on.

    Attributes
    ----------
    folder
        Where they are kept; None keeps nothing.
    fits
        Stage to a text that changes whenever what it left would no longer fit.
    """

    folder: Path | None = None
    fits: Mapping[str, str] = field(default_factory=dict)

    def load(self, stage: str) -> "State | None":
        """What the stage left, or None; what doesn't fit, and what a loss of power cut off, counts as nothing."""
        path = self._path(stage)
        if path is None or not path.exists():
            return None
        from ruc.networks import State

        try:
            weights, about = load_tensors(path)
            if about["fits"] != self.fits.get(stage, ""):
                return None
            return State(json.loads(about["config"]), weights)
        except (UnreadableFileError, ValueError, KeyError, RecursionError) as error:
            logger.warning("%s cannot be read (%s): that stage is done again", path, error)
            return None

    def save(self, stage: str, state: "State") -> None:
        """Keep what a stage left, replacing what it left before."""
        path = self._path(stage)
        if path is None:
            return
        # Configuration and tensors are of the same moment whenever the run is interrupted: it is one file, renamed.
        about = {"config": to_json(state.config), "fits": self.fits.get(stage, "")}
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as new:
            write_tensors(new, state.weights, about)

    def save_now_and_then(self, stage: str, state: "Callable[[], State]") -> None:
        """Keep what a stage would go on from, unless it did so in the last ten seconds: writing takes its time too."""
        path = self._path(stage)
        if path is None or (path.exists() and time.time() - path.stat().st_mtime < SECONDS_BETWEEN):
            return
        self.save(stage, state())

    def of(self, part: str) -> "Checkpoints":
        """Those of one part of every stage."""
        return self if self.folder is None else replace(self, folder=self.folder / part)

    def _path(self, stage: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{stage}.safetensors"


@contextmanager
def checkpoints(folder: Path, fits: Mapping[str, str]) -> Iterator[Checkpoints]:
    """Yield the checkpoints of a run folder, in which nobody else may be at work.

    They outlast an interruption and every failure: what was paid for is there when the command is repeated, or given
    again with another setting on which the stage doesn't depend. Where there are none, nothing stays.
    """
    existed = folder.exists()
    place = folder / PLACE
    with explained(folder):
        place.mkdir(parents=True, exist_ok=True)
    with alone_in(place, wait=False):
        try:
            yield Checkpoints(place, fits)
        except BaseException:
            if not any(place.rglob("*.safetensors")):
                shutil.rmtree(place, ignore_errors=True)
                if not existed:
                    with suppress(OSError):  # others have put something there
                        folder.rmdir()
            raise


def expect_nobody_at_work(folder: Path) -> None:
    """Raise `RunFolderError` where a run is being made that will replace the one in this folder."""
    if (folder / PLACE).is_dir():
        with alone_in(folder / PLACE, wait=False):
            pass
