"""What the stages of an unfinished run left, so that it can go on where it was."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors import SafetensorError

from ruc.errors import RucError, RunFolderError
from ruc.run_folder.files import explained, read_tensors, replacing, to_json, write_tensors

if TYPE_CHECKING:
    from ruc.networks import State

__all__ = ["PLACE", "Checkpoints", "checkpoints"]

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
    """

    folder: Path | None = None

    def load(self, stage: str) -> "State | None":
        """What the stage left, or None; what a loss of power cut off counts as nothing."""
        path = self._path(stage)
        if path is None or not path.exists():
            return None
        from ruc.networks import State

        try:
            weights, metadata = read_tensors(path)
            return State(json.loads(metadata["config"]), weights)
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            logger.warning("%s cannot be read (%s): that stage is done again", path, error)
            return None

    def save(self, stage: str, state: "State") -> None:
        """Keep what a stage left, replacing what it left before."""
        path = self._path(stage)
        if path is None:
            return
        # Configuration and tensors are of the same moment whenever the run is interrupted: it is one file, renamed.
        with replacing(path.parent) as new:
            write_tensors(new / path.name, state.weights, {"config": to_json(state.config)})

    def save_now_and_then(self, stage: str, state: "Callable[[], State]") -> None:
        """Keep what a stage would go on from, unless it did so in the last ten seconds: writing takes its time too."""
        path = self._path(stage)
        if path is None or (path.exists() and time.time() - path.stat().st_mtime < SECONDS_BETWEEN):
            return
        self.save(stage, state())

    def _path(self, stage: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{stage}.safetensors"


@contextmanager
def checkpoints(folder: Path, fingerprint: str) -> Iterator[Checkpoints]:
    """Yield the checkpoints of a run folder; those of a run with another fingerprint are dropped first.

    They outlast an interruption, a failure that nobody foresaw, and results that couldn't be written. When the run
    can't be done they are removed, and the folder too if it was made here.
    """
    existed = folder.exists()
    place = folder / PLACE
    mark = place / "fingerprint"
    try:
        with explained(folder):
            if place.exists() and not (mark.exists() and mark.read_text(encoding="utf-8") == fingerprint):
                shutil.rmtree(place)
            place.mkdir(parents=True, exist_ok=True)
            mark.write_text(fingerprint, encoding="utf-8")
        yield Checkpoints(place)
    except RucError as error:
        is_unwritten = isinstance(error, RunFolderError) and any(place.glob("*.safetensors"))
        if not is_unwritten:
            shutil.rmtree(place if existed else folder, ignore_errors=True)
        raise
