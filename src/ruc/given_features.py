"""Features that somebody else made, in the place of an embedding."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.embed.scaling import fit_scaling
from ruc.embedding import Embedding
from ruc.errors import InputError
from ruc.images.source import find_images

logger = logging.getLogger(__name__)

LARGE = 256 * 1024 * 1024  # bytes of features that are mapped rather than read
ROWS = 65_536


def load_features(path: Path) -> NDArray[np.generic]:
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
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(features[start : start + ROWS].astype(np.float32)).all(axis=1)
        if bad.any():
            raise InputError(
                f"--features {path}: row {start + int(bad.argmax())} holds NaN, infinity, or more than a float32 can "
                "hold; expected finite numbers"
            )
    return features


def given_features(
    features: NDArray[np.generic],
    file_names: tuple[str, ...] | None = None,
    row_names: tuple[str, ...] | None = None,
) -> Embedding:
    """Features that somebody else made; row numbers stand for names where there are none.

    Parameters
    ----------
    features
        (n_samples, n_features).
    file_names
        Of the images that were found, sorted; None: there are no images.
    row_names
        Which image each row is of, see `names_beside`; None: a row an image, in the order of `file_names`.

    Raises
    ------
    InputError
        It isn't known which image a row is of.
    """
    if file_names is None:
        names = tuple(str(row) for row in range(len(features)))
        return _embedding(features, names, np.arange(len(features)), ())
    names = row_names or file_names
    if len(names) != len(features):
        raise InputError(
            f"{len(file_names)} image files found, {len(features)} rows of features given; expected a row an image, "
            "sorted by file name: or keep beside the .npy the CSV that `ruc embed` wrote, which says whose row is whose"
        )
    places = {name: place for place, name in enumerate(file_names)}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the images that the features were made of are not among those found, the first is "
            f"{unknown[0]!r}; expected the folder or table that `ruc embed` read"
        )
    rows = np.array([places[name] for name in names], dtype=np.int64)
    without = tuple((name, "no row among the features") for name in sorted(places.keys() - set(names)))
    return _embedding(features, names, rows, without)


def _embedding(
    features: NDArray[np.generic],
    names: tuple[str, ...],
    rows: NDArray[np.int64],
    without: tuple[tuple[str, str], ...],
) -> Embedding:
    scaling = fit_scaling(features)
    why = "features given"
    if scaling.center is not None:
        why += ", centred and scaled: their rows differ in length"
    return Embedding("given", names, scaling(features), rows, skipped=without, why=why, scaling=scaling)


def names_file(features: Path) -> Path:
    """The CSV beside a .npy of features that names its rows."""
    return features.with_suffix(".csv")


def names_beside(path: Path, n_rows: int) -> tuple[str, ...] | None:
    """Which image each row is of, by the CSV that `ruc embed` wrote beside its .npy; None where there is none."""
    try:
        named = find_images(names_file(path))
    except InputError:  # not there, or a table of something else
        return None
    return (
        tuple(named.file_names[place] for place in np.argsort(named.rows)) if len(named) == n_rows else None
    )
