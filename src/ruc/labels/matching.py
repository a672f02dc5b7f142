"""A table of labels brought into the order of the samples."""

import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ruc.errors import InputError
from ruc.images.names import match_by_ending, plain_name
from ruc.labels.tables import LabelTable

logger = logging.getLogger(__name__)


def in_row_order(table: LabelTable, n_samples: int) -> LabelTable:
    """The table as it is, which must have a row for each sample."""
    if len(table.places) != n_samples:
        raise InputError(
            f"{table.source}: holds {len(table.places)} labels for {n_samples} samples; expected a label a sample, "
            "in the order of the samples, -1 where it's unknown, or before the last label empty"
        )
    return table


def in_order_of(table: LabelTable, file_names: Sequence[str], skipped: Collection[str]) -> LabelTable:
    """The rows in the order of the images, by file name; where rows have none, they are sorted by it.

    Parameters
    ----------
    table
        Rows in any order. An image without one is unknown. A name that is no image's counts as that of the one image
        whose path ends with it, or with which it ends: `000.jpg` for `images/000.jpg`.
    file_names
        Of the images.
    skipped
        File names of images that couldn't be read: their rows are passed over.

    Raises
    ------
    InputError
        Names that no image has, that stand twice, or another number of rows without names than of images.
    """
    wanted = [plain_name(name) for name in file_names]
    passed_over = {plain_name(name) for name in skipped}
    found = _names_of_rows(table, wanted, passed_over)
    row_of, by_ending = _rows_by_name(table, found, {*wanted, *passed_over})
    rows = [row_of.get(name) for name in wanted]
    probabilities = None
    if table.probabilities is not None:
        probabilities = np.full((len(rows), table.probabilities.shape[1]), np.nan)
        for sample, row in enumerate(rows):
            if row is not None:
                probabilities[sample] = table.probabilities[row]
    return replace(
        table,
        file_names=list(file_names),
        labels=None if table.labels is None else ["" if row is None else table.labels[row] for row in rows],
        probabilities=probabilities,
        places=[
            f"image {name!r}" if row is None else table.places[row]
            for name, row in zip(wanted, rows, strict=True)
        ],
        n_unnamed=rows.count(None),
        by_ending=by_ending,
    )


def say_matched_by_ending(source: str, by_ending: Mapping[str, str]) -> None:
    """Log that names of a table, image to name, count as those of images whose names end alike."""
    if by_ending:
        image, name = next(iter(by_ending.items()))
        logger.info("%s: %d names matched by their ending, as %r for %r", source, len(by_ending), name, image)


def _names_of_rows(table: LabelTable, wanted: list[str], passed_over: set[str]) -> list[str]:
    """The file name of each row; without names there is a row for each image, those skipped included or not."""
    if table.file_names is not None:
        return [plain_name(name) for name in table.file_names]
    for names in (sorted([*wanted, *passed_over]), wanted):
        if len(table.places) == len(names):
            return names
    raise InputError(
        f"{table.source}: holds {len(table.places)} labels for {len(wanted)} images; add a column "
        "'file_name', or give one row an image, sorted by file name"
    )


def _rows_by_name(
    table: LabelTable, found: list[str], images: set[str]
) -> tuple[dict[str, int], dict[str, str]]:
    """The row of each image that has one, and the names of those that were matched by their ending.

    Every name must be an image's, and stand once.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(found):
        if name in rows:
            raise InputError(
                f"{table.source}, {table.places[row]}: file name {name!r} stands on {table.places[rows[name]]} "
                "already; keep one of the two"
            )
        rows[name] = row
    by_ending = match_by_ending(rows.keys() - images, images - rows.keys())
    for image, name in by_ending.items():
        rows[image] = rows.pop(name)
    unknown = [name for name in found if name in rows and name not in images]
    if unknown:
        close = difflib.get_close_matches(unknown[0], list(images)[:10_000], n=1, cutoff=0.0)
        example = f"; the closest image is {close[0]!r}" if close else ""
        raise InputError(
            f"{table.source}, {table.places[rows[unknown[0]]]}: no image has the file name {unknown[0]!r} "
            f"({len(unknown)} such rows of {len(found)}){example}; give names relative to the folder of images, "
            "or remove these rows"
        )
    return rows, by_ending
