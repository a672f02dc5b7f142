"""What the stages of an unfinished run left, so that it can go on where it was."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ruc.errors import RucError
from ruc.run_folder.files import explained, to_json

if TYPE_CHECKING:  # torch takes seconds to import, and most readers of a run don't need the model
    from ruc.networks import State

__all__ = ["PLACE", "Checkpoints", "checkpoints"]

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
        """What the stage left, or None."""
        path = self._path(stage)
        if path is None or not path.exists():
            return None
        from safetensors import safe_open

        from ruc.networks import State

        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return State(json.loads(file.metadata()["config"]), weights)

    def save(self, stage: str, state: "State") -> None:
        """Keep what a stage left, replacing what it left before."""
        path = self._path(stage)
        if path is None:
            return
        from safetensors.torch import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous().clone() for name, value in state.weights.items()}
        # Configuration and tensors are of the same moment whenever the run is interrupted: it is one file, renamed.
        new = path.with_suffix(".new")
        save_file(weights, new, metadata={"config": to_json(state.config)})
        new.replace(path)

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
