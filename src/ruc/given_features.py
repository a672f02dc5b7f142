"""Features that somebody else made, in the place of an embedding."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.embed.scaling import fit_scaling
from ruc.embedding import Embedding, several
from ruc.errors import InputError
from ruc.images.source import ImageSource
from ruc.mapped import row_blocks
from ruc.run_folder import finish_outputs
from ruc.side_by_side import short_names
from ruc.tables.arrays import read_array
from ruc.tables.embeddings import holds_embeddings, read_embeddings
from ruc.tables.names import column_of_names, heading_of_names, match_names, say_by_place
from ruc.tables.table import read_table

logger = logging.getLogger(__name__)

LARGE = 256 * 1024 * 1024  # bytes of features that are mapped rather than read
BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class Loaded:
    """A matrix of features (n_samples, n_features), and what its rows are called, or None."""

    values: NDArray[np.generic]
    row_names: tuple[str, ...] | None


def load_named(path: Path, images: Sequence[str] | None = None) -> Loaded:
    """Read features with the names of their rows: a table of embeddings, or a matrix and the CSV beside it.

    Parameters
    ----------
    path
        See `load_features` and `ruc.tables.embeddings`.
    images
        Names of the images that the rows are of, where these were given too.

    Raises
    ------
    InputError
        As `load_features`, `names_beside` and `read_embeddings` do.
    """
    if holds_embeddings(path):
        table = read_embeddings(path, images)
        _check_values(path, table.values)
        check_once(path, table.file_names or ())
        return Loaded(table.values, table.file_names)
    values = load_features(path)
    return Loaded(values, names_beside(path, len(values), images))


def load_features(path: Path) -> NDArray[np.generic]:
    """Read a matrix of features, see `read_array`; a large .npy is mapped: only what is looked at is in memory.

    Raises
    ------
    InputError
        No such file, no array, not a finite matrix.
    """
    finish_outputs(path)
    features = read_array(path, LARGE)
    if features.ndim != 2 or features.dtype.kind not in "fiu":
        raise InputError(
            f"--features {path} holds {features.dtype} of shape {features.shape}; expected numbers of "
            "(n_samples, n_features)"
        )
    _check_values(path, features)
    first, n = features[:, 0], len(features)
    if n > 2 and features.shape[1] > 1 and first[0] in (0, 1) and (first == np.arange(n) + first[0]).all():
        logger.warning(
            "%s: its first column counts the rows, and is taken for a feature as the others are; if it's an index, "
            "leave it out: array[:, 1:]",
            path,
        )
    return features


def _check_values(path: Path, features: NDArray[np.generic]) -> None:
    if not features.size:
        raise InputError(
            f"--features {path} holds {len(features)} rows of {features.shape[1]} features; expected some of each"
        )
    for part in row_blocks(features, BLOCK_ROWS):
        with np.errstate(over="ignore"):
            bad = ~np.isfinite(features[part].astype(np.float32, copy=False)).all(axis=1)
        if bad.any():
            row = part.start + int(bad.argmax())
            raise InputError(
                f"--features {path}: row {row} holds NaN, infinity, or more than a float32 can hold; expected finite "
                "numbers"
            )


def read_features(paths: Sequence[Path], source: ImageSource | None) -> Embedding:
    """The features in one or several files: of the images of a source, or of samples that have none.

    Raises
    ------
    InputError
        A file can't be read or isn't a matrix, they have different numbers of rows, or it isn't known which image a
        row is of.
    """
    images = None if source is None else source.file_names
    loaded = [load_named(path, images) for path in paths]
    arrays, names = [each.values for each in loaded], [each.row_names for each in loaded]
    if len(arrays) == 1:
        return given_features(arrays[0], images, names[0])
    if images is None:  # rows of one name belong together, else rows in one place
        images = next((each for each in names if each is not None), None)
    numbers = [len(each) for each in arrays]
    if images is None and len(set(numbers)) > 1:
        raise InputError(
            f"--features of {', '.join(map(str, numbers))} rows given; expected as many in each: of the same samples"
        )
    parts = [given_features(each, images, named) for each, named in zip(arrays, names, strict=True)]
    short = short_names([str(path) for path in paths])
    joined = several(parts, short, f"features given: {' and '.join(short)}")
    return replace(joined, scalings=tuple(scaling for part in parts for scaling in part.scalings))


def given_features(
    features: NDArray[np.generic],
    images: Sequence[str] | None = None,
    row_names: Sequence[str] | None = None,
) -> Embedding:
    """Features that somebody else made; row numbers stand for names where there are none.

    Returns rows in the order of the images, where there are some, else in their own.

    Parameters
    ----------
    features
        (n_samples, n_features).
    images
        Names of those that were found, in their order; None: there are no images.
    row_names
        What each row is called, see `names_beside`; None: a row an image, in their order.

    Raises
    ------
    InputError
        It isn't known which image a row is of.
    """
    if images is None:
        names = tuple(row_names or map(str, range(len(features))))
        return _embedding(features, names, np.arange(len(features)), ())
    if row_names is None and len(images) != len(features):
        are_turned = len(images) == features.shape[1]
        raise InputError(
            f"{len(images)} image files found, {len(features)} rows of features given; expected a row an image, in the "
            "order of the list, or of a folder's images sorted by file name: or keep beside the .npy the CSV that "
            "`ruc embed` wrote, which says whose row is whose"
            + ("; its columns are as many: if a column is an image, save array.T" if are_turned else "")
        )
    if row_names is None:
        say_by_place("features", images)
    rows = np.arange(len(images)) if row_names is None else _places(row_names, images)
    order = np.argsort(rows)
    without = tuple(
        (images[row], "no row among the features") for row in np.setdiff1d(np.arange(len(images)), rows)
    )
    in_order = features if (order == np.arange(len(order))).all() else features[order]
    return _embedding(in_order, tuple(images[row] for row in rows[order]), rows[order], without)


def _places(row_names: Sequence[str], images: Sequence[str]) -> NDArray[np.int64]:
    """Which image each row is of."""
    image_of = match_names(row_names, images)
    unknown = [name for name in row_names if name not in image_of]
    if unknown:
        raise InputError(
            f"{len(unknown)} of the images that the features were made of are not among those found, the first is "
            f"{unknown[0]!r}; expected the folder or table that `ruc embed` read"
        )
    places = {name: place for place, name in enumerate(images)}
    return np.array([places[image_of[name]] for name in row_names], dtype=np.int64)


def _embedding(
    features: NDArray[np.generic],
    names: tuple[str, ...],
    rows: NDArray[np.int64],
    without: tuple[tuple[str, str], ...],
) -> Embedding:
    scaling = fit_scaling(features)
    why = "features given"
    if scaling.center is not None:
        why += ", centred and scaled"
    return Embedding("given", names, scaling(features), rows, skipped=without, why=why, scalings=(scaling,))


def names_file(features: Path) -> Path:
    """The CSV beside a .npy of features that names its rows."""
    return features.with_suffix(".csv")


def names_beside(path: Path, n_rows: int, images: Sequence[str] | None = None) -> tuple[str, ...] | None:
    """What each row of features is called, by the CSV beside them; None where there is none, or none of names.

    Parameters
    ----------
    path
        The file of features: `f.csv` is beside `f.npy`, as `ruc embed` writes it.
    n_rows
        How many rows of features there are.
    images
        Names of the images that the rows are of, where these were given too.

    Raises
    ------
    InputError
        It names another number of rows, one of them twice, or can't be read.
    """
    beside = names_file(path)
    if not beside.is_file():
        return None
    table = read_table(beside)
    columns = table.columns
    if images is None:
        heading = heading_of_names(columns)
        cells: Sequence[str] = columns[heading] if heading is not None else ()
    else:
        column = column_of_names(str(beside), columns, images)
        heading, cells = (None, ()) if column is None else (column.heading, column.cells)
    if heading is None:
        return None
    names = tuple(name.strip() for name in cells)
    if len(names) != n_rows:
        raise InputError(
            f"{beside}: names {len(names)} rows, and {path} has {n_rows}; expected a name a row: make both anew, or "
            "move the CSV away if it's about something else"
        )
    check_once(beside, names)
    logger.info("features: rows are called as %s says, column %r", beside, heading)
    return names


def check_once(path: Path, names: Sequence[str]) -> None:
    """Raise `InputError` where two rows of a file have one name."""
    twice = next((name for name, n_times in Counter(names).items() if n_times > 1), None)
    if twice is not None:
        raise InputError(
            f"{path}: {twice!r} stands in more than one row; expected a name of its own for each row"
        )
