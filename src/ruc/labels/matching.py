"""A table of labels brought into the order of the samples."""

import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ruc.errors import InputError
from ruc.labels.tables import LabelTable
from ruc.tables.formulas import as_meant
from ruc.tables.names import FILE_NAME, Names, column_of_names, plain_name, say_by_place

logger = logging.getLogger(__name__)


def in_row_order(table: LabelTable, n_samples: int) -> LabelTable:
    """The table as it is, which must have a row for each sample."""
    if len(table.places) != n_samples:
        raise InputError(
            f"{table.source}: holds {len(table.places)} labels for {n_samples} samples; expected a label a sample, "
            "in the order of the samples, -1 where it's unknown, or before the last label empty"
        )
    return table


def in_order_of(
    table: LabelTable, file_names: Sequence[str], skipped: Collection[str] = (), are_rows: bool = False
) -> LabelTable:
    """The rows in the order of the samples, by name; by their place where nothing has names.

    Parameters
    ----------
    table
        Rows in any order. A sample without one is unknown. Names count as `match_names` matches them.
    file_names
        Of all samples in the order of their source, those skipped among them; row numbers where they have no names.
    skipped
        File names of images that couldn't be read: their rows are passed over.
    are_rows
        Whether the samples are rows of features, which have numbers for names too.

    Raises
    ------
    InputError
        Names that no image has, that stand twice, or another number of rows without names than of images.
    """
    passed_over = set(skipped)
    wanted = [name for name in file_names if name not in passed_over]
    names = column_of_names(table.source, table.columns, file_names, are_rows)
    row_of = (
        _rows_by_place(table, file_names, wanted)
        if names is None
        else _rows_by_name(table, names, file_names)
    )
    rows = [row_of.get(name) for name in wanted]
    probabilities = None
    if table.probabilities is not None:
        probabilities = np.full((len(rows), table.probabilities.shape[1]), np.nan)
        for sample, row in enumerate(rows):
            if row is not None:
                probabilities[sample] = table.probabilities[row]
    return replace(
        table,
        columns={},
        labels=None if table.labels is None else ["" if row is None else table.labels[row] for row in rows],
        probabilities=probabilities,
        places=[
            f"image {plain_name(name)!r}" if row is None else table.places[row]
            for name, row in zip(wanted, rows, strict=True)
        ],
        n_unnamed=rows.count(None),
        names_from=None if names is None else names.heading,
        by_ending={} if names is None else not_exactly(names.image_of),
    )


def say_how_matched(source: str, heading: str | None, by_ending: Mapping[str, str]) -> None:
    """Log which column of a table counts as that of the names, and names, image to name, that aren't quite the same."""
    if heading is not None and heading != FILE_NAME:
        logger.info(
            "%s: the column %r is taken for file_name, since its values are names of the images",
            source,
            heading,
        )
    if by_ending:
        image, name = next(iter(by_ending.items()))
        logger.info("%s: %d names matched by their ending, as %r for %r", source, len(by_ending), name, image)


def not_exactly(image_of: Mapping[str, str]) -> dict[str, str]:
    """Image to name, of those of a table that aren't the image's but for how a system writes it."""
    return {
        image: plain_name(name)
        for name, image in image_of.items()
        if plain_name(image) not in (plain_name(name), plain_name(as_meant(name)))
    }


def _rows_by_place(table: LabelTable, file_names: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Without names there is a row for each image, those skipped included or not."""
    for names in (file_names, wanted):
        if len(table.places) == len(names):
            say_by_place(table.source, names)
            return {name: row for row, name in enumerate(names)}
    raise InputError(
        f"{table.source}: holds {len(table.places)} labels for {len(wanted)} samples; add a column 'file_name', or "
        "give a row a sample, in the order of a list, or of a folder's images sorted by file name"
    )


def _rows_by_name(table: LabelTable, column: Names, file_names: Sequence[str]) -> dict[str, int]:
    """The row of each image that has one.

    Every name must be an image's, and stand once; rows without name and label are a spreadsheet's.
    """
    names = column.cells
    filled = [row for row, name in enumerate(names) if name.strip()]
    _refuse_labels_without_name(table, names)
    rows: dict[str, int] = {}
    unknown: list[int] = []
    for row in filled:
        image = column.image_of.get(names[row])
        if image is None:
            unknown.append(row)
        elif image in rows:
            raise InputError(
                f"{table.source}, {table.places[row]}: file name {plain_name(names[row])!r} stands on "
                f"{table.places[rows[image]]} already; keep one of the two"
            )
        else:
            rows[image] = row
    if unknown:
        first = plain_name(names[unknown[0]])
        close = difflib.get_close_matches(first, list(file_names)[:10_000], n=1, cutoff=0.0)
        example = f"; the closest image is {close[0]!r}" if close else ""
        raise InputError(
            f"{table.source}, {table.places[unknown[0]]}: no image has the file name {first!r} "
            f"({len(unknown)} such rows of {len(filled)}){example}; give names relative to the folder of images, "
            "or remove these rows"
        )
    return rows


def _refuse_labels_without_name(table: LabelTable, names: Sequence[str]) -> None:
    for row, name in enumerate(names):
        if not name.strip() and table.labels is not None and table.labels[row]:
            raise InputError(
                f"{table.source}, {table.places[row]}: the label {table.labels[row]!r} has no file name; expected one "
                "in every row"
            )
