"""A worker whose process is killed once, and one that refuses; in a module of its own, which the nodes import."""

import os
import signal
import time
from pathlib import Path

import pyarrow as pa

from ruc.errors import InputError
from ruc.scale.shard_folder import ShardFolder


class Slow:
    """Writes its shard after a while; the first that is given the number 1 is killed in the middle."""

    def __init__(self, folder: Path) -> None:
        self._shards = ShardFolder(folder)

    def __call__(self, shard):
        mark = self._shards.folder.parent / "killed"
        if shard["number"] == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(shard["seconds"])
        self._shards.write(shard["number"], pa.table({"number": [shard["number"]]}), [])
        return {"number": shard["number"], "n_skipped": 0}


class Refusing:
    """Says of every shard that it can't be done."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, shard):
        raise InputError(f"{self._what} {shard['number']}")
