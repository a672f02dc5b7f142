"""A folder of Parquet shards that fills up, by many writers, and counts from the moment at which it is whole."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruc.readers import load_json
from ruc.run_folder.files import check_new_folder, explained, write_json
from ruc.run_folder.locks import alone_in
from ruc.skipped import write_skipped

if TYPE_CHECKING:
    import pyarrow as pa

PLAN: Final = "plan.json"
SHARDS: Final = "shards"
SKIPPED: Final = b"skipped"  # in the metadata of a shard


@dataclass(frozen=True)
class ShardFolder:
    """Shards that are finished, in a folder that all nodes see.

    Attributes
    ----------
    folder
        Where they are until there are all of them.
    """

    folder: Path

    def path(self, number: int) -> Path:
        """Of a shard; by name they are in order."""
        return self.folder / f"part-{number:07}.parquet"

    def has(self, number: int) -> bool:
        """Whether this shard is finished."""
        return self.path(number).exists()

    def write(self, number: int, table: "pa.Table", skipped: Sequence[tuple[str, str]]) -> None:
        """Write a shard, whole or not at all; if another did so before, with the same in it."""
        from pyarrow import parquet

        about = {**(table.schema.metadata or {}), SKIPPED: json.dumps(list(skipped)).encode()}
        new = self.folder / f".{number:07}-{uuid.uuid4().hex}"
        with explained(self.folder):
            with new.open("wb") as file:
                parquet.write_table(table.replace_schema_metadata(about), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path(number))

    def skipped(self, number: int) -> list[tuple[str, str]]:
        """(file_name, reason) of what a finished shard lacks."""
        from pyarrow import parquet

        metadata = parquet.read_schema(self.path(number)).metadata or {}
        return [(name, reason) for name, reason in json.loads(metadata.get(SKIPPED, b"[]"))]

    def name_skipped(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Put a table of what all shards lack beside them."""
        write_skipped(self.folder, skipped)


@contextmanager
def shard_folder(output: Path, plan: Mapping[str, Any]) -> Iterator[ShardFolder]:
    """Yield where shards are put; when the block ends well they are in the new folder `output`.

    When it doesn't, those that are finished stay, in `.NAME.unfinished` beside it: the same plan goes on with them, and
    another begins anew.

    `output`: the folder to make. `plan`: what will be in it.

    Raises
    ------
    RunFolderError
        There is a folder already, or another process is making it.
    """
    check_new_folder(output)
    place = output.with_name(f".{output.name}.unfinished")
    with explained(output.parent):
        place.mkdir(parents=True, exist_ok=True)
        with alone_in(place, wait=False):
            begun = load_json(place / PLAN) if (place / PLAN).exists() else None
            if begun != plan:
                shutil.rmtree(place / SHARDS, ignore_errors=True)
                write_json(place / PLAN, plan)
            shards = ShardFolder(place / SHARDS)
            shards.folder.mkdir(exist_ok=True)
            yield shards
            for left in shards.folder.glob(".*"):  # of writers that were stopped
                left.unlink()
            if output.is_dir():  # an empty one
                output.rmdir()
            shards.folder.replace(output)
            shutil.rmtree(place)
