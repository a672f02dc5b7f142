"""Features that somebody else made, in the place of an embedding."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.embedding import Embedding
from ruc.errors import InputError

__all__ = ["given_features", "load_features"]

logger = logging.getLogger(__name__)

LARGE = 256 * 1024 * 1024  # bytes of features that are mapped rather than read
ROWS = 65_536
SURELY_UNIT = 1e-5


def load_features(path: Path) -> NDArray[np.float32]:
    """Read a matrix of features from .npy; a large one is mapped, so that only what is looked at is in memory.

    Raises
    ------
    InputError
        No such file, not .npy, not a finite matrix.
    """
    try:
        large = path.stat().st_size > LARGE
        # Copy on write: nothing is ever written, but torch warns of arrays that can't be.
        features = np.load(path, mmap_mode="c" if large else None, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--features {path} cannot be read ({str(error).splitlines()[0]}); expected a .npy of numbers"
        ) from error
    if not isinstance(features, np.ndarray) or features.ndim != 2 or features.dtype.kind not in "fiu":
        shape = getattr(features, "shape", None)
        raise InputError(
            f"--features {path} holds shape {shape}; expected numbers of (n_samples, n_features)"
        )
    for start in range(0, len(features), ROWS):
        bad = ~np.isfinite(features[start : start + ROWS]).all(axis=1)
        if bad.any():
            raise InputError(
                f"--features {path}: row {start + int(bad.argmax())} holds NaN or infinity; expected finite numbers"
            )
    return features.astype(np.float32, copy=not large)


def given_features(features: NDArray[np.float32], file_names: tuple[str, ...] | None = None) -> Embedding:
    """Features that somebody else made; row numbers stand for names where there are none.

    Raises
    ------
    InputError
        There is not one row a name.
    """
    names = tuple(str(row) for row in range(len(features))) if file_names is None else file_names
    if len(names) != len(features):
        raise InputError(
            f"{len(features)} rows of features given for {len(names)} images that can be read; "
            "expected a row an image, sorted by file name"
        )
    return Embedding("given", names, _unit(features), np.arange(len(features)), why="features given")


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of unit length: a mapped file as it is where its rows are so already, else a copy in memory."""

    def lengths(start: int) -> NDArray[np.float32]:
        norms: NDArray[np.float32] = np.linalg.norm(features[start : start + ROWS], axis=1, keepdims=True)
        return norms

    starts = range(0, len(features), ROWS)
    if isinstance(features, np.memmap):
        if all(bool((np.abs(lengths(start) - 1) < SURELY_UNIT).all()) for start in starts):
            return features
        logger.info("features: scaled to unit length, which takes a copy of %.1f GB", features.nbytes / 1e9)
    unit = np.empty(features.shape, np.float32)
    for start in starts:
        unit[start : start + ROWS] = features[start : start + ROWS] / np.maximum(
            lengths(start), np.finfo(np.float32).tiny
        )
    return unit
