"""Embeddings that are made once: features of images by their content, for all runs that have the cache in common.

Another number of clusters, base or seed, or a folder that grew by a few images, asks for features that were there
before. Of a frozen network each image is kept by itself; what was learned from a set of images is kept for that set.
"""

import hashlib
import json
import logging
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import RunFolderError
from ruc.run_folder import Checkpoints

logger = logging.getLogger(__name__)

PLACE: Final = ".ruc_cache"  # beside the run folder
FEATURES: Final = "features.sqlite"
LEARNED: Final = "learned"
FORMAT: Final = 1  # to be raised whenever features of the same name come out otherwise
ASKED_TOGETHER: Final = 500  # images
TABLES: Final = """
CREATE TABLE IF NOT EXISTS embedders (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS features (
    embedder INTEGER NOT NULL, image BLOB NOT NULL, row BLOB NOT NULL, PRIMARY KEY (embedder, image)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Kept:
    """What the cache holds of one embedder.

    Attributes
    ----------
    name
        As in the settings.
    n_images
        Of how many images features are kept; None of an embedder that was learned.
    n_bytes
        How much space that takes.
    """

    name: str
    n_images: int | None
    n_bytes: int


@dataclass(frozen=True)
class Cache:
    """A folder of embeddings that were made before.

    A cache that can't be read or written is done without: one warning, and everything is embedded.
    """

    folder: Path

    def known(
        self, name: str, settings: Mapping[str, Any], images: Sequence[str]
    ) -> dict[int, NDArray[np.float32]]:
        """The features that are there, by the image's place among these contents."""
        places: dict[str, list[int]] = {}
        for place, image in enumerate(images):
            if image:
                places.setdefault(image, []).append(place)
        found: dict[int, NDArray[np.float32]] = {}
        with self._tried("read"), self._open() as connection:
            number = _number(connection, name, settings)
            wanted = list(places)
            for start in range(0, len(wanted), ASKED_TOGETHER):
                some = [bytes.fromhex(image) for image in wanted[start : start + ASKED_TOGETHER]]
                marks = ",".join("?" * len(some))
                query = f"SELECT image, row FROM features WHERE embedder = ? AND image IN ({marks})"
                for image, row in connection.execute(query, (number, *some)):
                    features = np.frombuffer(row, np.float32)
                    found |= dict.fromkeys(places[image.hex()], features)
        return found

    def keep(
        self, name: str, settings: Mapping[str, Any], images: Sequence[str], features: NDArray[np.float32]
    ) -> None:
        """Add the features of images by their contents; they stay whatever happens next."""
        rows = [
            (bytes.fromhex(image), row.tobytes())
            for image, row in zip(images, features, strict=True)
            if image
        ]
        with self._tried("written"), self._open() as connection:
            number = _number(connection, name, settings)
            connection.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?, ?)", [(number, *row) for row in rows]
            )

    def learned(self, name: str, settings: Mapping[str, Any], images: Sequence[str]) -> Checkpoints:
        """Where what was learned from just these images, in this order, is kept under the stage "embedder"."""
        of_images = hashlib.sha256("\n".join(images).encode()).hexdigest()
        key = _key(name, {**settings, "images": of_images})
        return Checkpoints(self.folder / LEARNED / f"{name}-{key[:16]}", {"embedder": key})

    def contents(self) -> list[Kept]:
        """What is kept, by embedder."""
        kept = []
        if (self.folder / FEATURES).exists():
            query = (
                "SELECT name, COUNT(*), SUM(LENGTH(row)) FROM features JOIN embedders ON embedder = number "
                "GROUP BY number ORDER BY number"
            )
            try:
                with self._open() as connection:
                    kept = [Kept(*row) for row in connection.execute(query)]
            except (sqlite3.Error, OSError) as error:
                raise RunFolderError(
                    f"{self.folder / FEATURES} cannot be read ({error}); expected what ruc wrote there: `ruc cache "
                    "--clear` removes it"
                ) from error
        for folder in sorted((self.folder / LEARNED).glob("*")):
            n_bytes = sum(path.stat().st_size for path in folder.iterdir())
            kept.append(Kept(folder.name.rpartition("-")[0], None, n_bytes))
        return kept

    def clear(self) -> None:
        """Remove everything that `ruc` keeps here."""
        for path in self.folder.glob(f"{FEATURES}*"):
            path.unlink()
        shutil.rmtree(self.folder / LEARNED, ignore_errors=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.folder / FEATURES, timeout=30)) as connection:
            with connection:
                connection.executescript(TABLES)
            with connection:
                yield connection

    @contextmanager
    def _tried(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            logger.warning("the cache %s cannot be %s (%s): done without it", self.folder, what, error)


def find_cache(place: Path) -> Cache | None:
    """The cache at a place: its own folder, a folder in which it lies, or a run or another output beside it."""
    beside = place.absolute().parent / PLACE
    for folder in (place, place / PLACE, *([beside] if place.exists() else [])):
        if (folder / FEATURES).exists() or (folder / LEARNED).is_dir():
            return Cache(folder)
    return None


def cache_for(output: Path, given: str | None) -> Cache | None:
    """The cache beside what is written, or another folder that was given; None where "none" was."""
    if given == "none":
        return None
    return Cache(output.parent / PLACE if given is None else Path(given))


def _number(connection: sqlite3.Connection, name: str, settings: Mapping[str, Any]) -> int:
    """Of the embedder with these settings, written down where it's new."""
    key = _key(name, settings)
    connection.execute("INSERT OR IGNORE INTO embedders (key, name) VALUES (?, ?)", (key, name))
    ((number,),) = connection.execute("SELECT number FROM embedders WHERE key = ?", (key,))
    return int(number)


def _key(name: str, settings: Mapping[str, Any]) -> str:
    told = json.dumps([FORMAT, name, dict(settings)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()
