"""Tables that name images: which column it is, and the files that it names."""

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ruc.errors import InputError
from ruc.tables.names import FILE_NAME, heading_of_names
from ruc.tables.table import Table, read_table

logger = logging.getLogger(__name__)

FILES_LOOKED_AT = 100  # of a column, to see whether it holds files


def files_of_table(path: Path) -> tuple[list[str], list[Path]]:
    """What the images of a table are called, and their files: of `file_name`, or of the one column of files.

    Raises
    ------
    InputError
        It can't be read, or it isn't known which column names files.
    """
    table = read_table(path)
    folder = path.resolve().parent
    is_list = [heading for heading in table.columns if heading and _is_file(folder, heading)]
    if is_list and len(table.columns) > 1:
        raise InputError(
            f"{str(path)!r}: its first line names the file {is_list[0]!r} instead of columns; expected headings in the "
            "first line, as file_name"
        )
    if is_list:
        logger.info("%s: its first line is a file: all lines are taken for files, without heading", path)
        names = [name.strip() for name in (is_list[0], *table.columns[is_list[0]]) if name.strip()]
    else:
        names = _names_of(table, folder)
    names = [PurePosixPath(name.replace("\\", "/")).as_posix() for name in names]
    return names, [folder / name for name in names]


def _names_of(table: Table, folder: Path) -> list[str]:
    """The cells of the column of names, which must be in every row but those of a spreadsheet without anything."""
    heading = _heading(table, folder)
    names = [name.strip() for name in table.columns[heading]]
    filled = [
        row for row, name in enumerate(names) if name or any(cells[row] for cells in table.columns.values())
    ]
    empty = next((row for row in filled if not names[row]), None)
    if empty is not None:
        raise InputError(
            f"{table.source!r}, {table.places[empty]}: has no {heading}; expected one in every row"
        )
    return [names[row] for row in filled]


def _heading(table: Table, folder: Path) -> str:
    """`file_name`, or the one column of which each value is a file."""
    if FILE_NAME in table.columns:
        return FILE_NAME
    files = [heading for heading, cells in table.columns.items() if are_files(cells, folder)]
    chosen = heading_of_names(files) or (files[0] if len(files) == 1 else None)
    if chosen is None:
        others = "".join(f", and {name!r} of {kind}" for name, kind in table.unusable.items())
        raise InputError(
            f"{table.source!r} has the columns {list(table.columns)}{others}; expected one called file_name, or one "
            f"whose values are files, relative to the table's folder{_not_there(table)}, or a column of bytes that are "
            "images"
        )
    logger.info("%s: the column %r is taken for file_name, since its values are files", table.source, chosen)
    return chosen


def _not_there(table: Table) -> str:
    """An example of a column that seems to name files."""
    named = heading_of_names(table.columns) or next(
        (one for one in table.columns if one.endswith(".path")), None
    )
    example = next((cell for cell in table.columns.get(named or "", ()) if cell.strip()), None)
    return "" if example is None else f" ({example!r}, the first {named}, isn't there)"


def are_files(cells: Sequence[str], folder: Path) -> bool:
    """Whether most of them are; the others may be gone."""
    names = [cell.strip() for cell in cells if cell.strip()]
    some = names[:: max(1, len(names) // FILES_LOOKED_AT)]
    n_there = sum(_is_file(folder, name) for name in some)
    return bool(some) and n_there > len(some) / 2


def _is_file(folder: Path, name: str) -> bool:
    try:
        return (folder / name.strip().replace("\\", "/")).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False
