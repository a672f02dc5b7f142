"""Which images there are, and what they are called: a folder, a list, a table, an array."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError, NothingToClusterError
from ruc.images.decode import HEADER_BYTES, SUFFIXES, has_image_signature

Images = str | Path | Sequence[str | Path] | NDArray[Any]
"""What a caller may name images by, see `find_images`."""

TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class ImageSource:
    """Images that were found but not yet read.

    Attributes
    ----------
    file_names
        What each image is called in every table: a path with forward slashes, sorted; for an array the
        row number, in row order.
    items
        What `decode` reads: a path each, or the array itself, one row an image.
    rows
        (n_images,) int64: where each image stood in the list, table or array that was given, so that
        `result[np.argsort(rows)]` is in the order given. For a folder 0 … n_images-1.
    """

    file_names: tuple[str, ...]
    items: tuple[Path, ...] | NDArray[Any]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.file_names)

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> "ImageSource":
        """These images alone, in this order, with the names they have."""
        positions = [int(index) for index in indices]
        items = (
            self.items[positions]
            if isinstance(self.items, np.ndarray)
            else tuple(self.items[i] for i in positions)
        )
        return ImageSource(tuple(self.file_names[i] for i in positions), items, self.rows[positions])


def find_images(source: Images | ImageSource) -> ImageSource:
    """Find the images of a folder, a list of files, a table or an array; nothing is decoded yet.

    Parameters
    ----------
    source
        - a folder: all image files in it and below, known by their suffix, or by their first bytes where
          the suffix is missing or unknown. Hidden files are left out, and so are links that lead out of the
          folder and links to folders;
        - a list of files; names are relative to the folder they have in common, or as given when all are
          relative;
        - a CSV or Parquet file with a column `file_name`, relative to the table's folder;
        - an array, (n, H, W) or (n, H, W, C) with C in 1, 3, 4: uint8, uint16, bool, or float in [0, 1].

    Raises
    ------
    NothingToClusterError
        There is no image.
    InputError
        The source is none of these, or names an image twice.
    """
    if isinstance(source, ImageSource):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if not isinstance(source, str | Path):
        return _from_list(source)
    path = Path(source)
    if path.is_dir():
        return _from_folder(path)
    if path.suffix.lower() in TABLES and path.is_file():
        return _from_table(path)
    what = "is a file" if path.exists() else "does not exist"
    raise InputError(
        f"images {str(source)!r} {what}; expected a folder, or a CSV or Parquet table with file_name"
    )


def _from_folder(folder: Path) -> ImageSource:
    root = folder.resolve()
    found: dict[str, Path] = {}
    n_files = n_links = 0
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            n_files += 1
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                n_links += 1
            elif _is_candidate(path):
                found[_printable(path.relative_to(root).as_posix())] = path
    if not found:
        links = (
            f", {n_links} of them links that lead out of it (give those as a list or a table)"
            if n_links
            else ""
        )
        raise NothingToClusterError(
            f"no image in {str(folder)!r}: {n_files} files{links}; expected JPEG, PNG, GIF, WebP, TIFF, BMP or AVIF"
        )
    names = sorted(found)  # the order given: that of the directory means nothing
    return _from_paths(names, [found[name] for name in names])


def _is_candidate(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return has_image_signature(file.read(HEADER_BYTES))
    except OSError:  # unreadable, and nothing says that it is an image
        return False


def _from_list(paths: Sequence[str | Path]) -> ImageSource:
    wrong = next((item for item in paths if not isinstance(item, str | Path)), None)
    if wrong is not None:
        raise InputError(
            f"images hold a {type(wrong).__name__}; expected a folder, paths, a table or a NumPy array"
        )
    absolute = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - links stay as they are
    folder = next((path for path in absolute if path.is_dir()), None)
    if folder is not None:
        raise InputError(
            f"the list of images holds the folder {str(folder)!r}; expected files, or one folder alone"
        )
    if all(not Path(path).is_absolute() and ".." not in Path(path).parts for path in paths):
        return _from_paths([Path(path).as_posix() for path in paths], absolute)
    common = os.path.commonpath([path.parent for path in absolute])
    return _from_paths([path.relative_to(common).as_posix() for path in absolute], absolute)


def _from_table(table: Path) -> ImageSource:
    names = _read_file_names(table)
    empty = next((row for row, name in enumerate(names) if not name), None)
    if empty is not None:
        raise InputError(f"{str(table)!r} has no file_name in row {empty + 1}; expected one in every row")
    folder = table.resolve().parent
    return _from_paths([PurePosixPath(name).as_posix() for name in names], [folder / name for name in names])


def _read_file_names(table: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if table.suffix.lower() == ".csv":
            # As text, or "000" would become 0.
            options = pa.csv.ConvertOptions(
                column_types={"file_name": pa.string()}, strings_can_be_null=False
            )
            content = pa.csv.read_csv(table, convert_options=options)
        else:
            content = pa.parquet.read_table(table)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{str(table)!r} cannot be read as a table: {str(error).splitlines()[0]}") from error
    if "file_name" not in content.column_names:
        raise InputError(
            f"{str(table)!r} has the columns {content.column_names}; expected one called file_name"
        )
    return [str(name) if name is not None else "" for name in content["file_name"].to_pylist()]


def _from_paths(names: list[str], paths: list[Path]) -> ImageSource:
    if not names:
        raise NothingToClusterError("the list of images is empty; expected at least one file")
    names = [_printable(name) for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5]) + (", …" if len(twice) > 5 else "")
        raise InputError(
            f"{len(twice)} images are listed more than once: {shown}; expected each of them once"
        )
    order = sorted(range(len(names)), key=names.__getitem__)
    return ImageSource(
        tuple(names[i] for i in order), tuple(paths[i] for i in order), np.asarray(order, dtype=np.int64)
    )


def _printable(name: str) -> str:
    """Names that are no valid Unicode (old archives) with their stray bytes escaped; others unchanged."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _from_array(array: NDArray[Any]) -> ImageSource:
    expected = "expected (n, H, W) or (n, H, W, C) with C in 1, 3, 4"
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        first = array.ndim == 4 and array.shape[1] in (1, 3, 4)
        remedy = "; channels come last: array.transpose(0, 2, 3, 1)" if first else ""
        raise InputError(f"an array of images has the shape {array.shape}; {expected}{remedy}")
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        raise InputError(
            f"an array of the shape {array.shape} looks like a single image; {expected}: array[None]"
        )
    if len(array) == 0 or 0 in array.shape:
        raise NothingToClusterError(f"an array of the shape {array.shape} holds no image; {expected}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also when there is a NaN
            raise InputError(f"an array of float images spans [{low:g}, {high:g}]; expected values in [0, 1]")
    elif array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise InputError(
            f"an array of images has the type {array.dtype}; expected uint8, uint16, bool or float in [0, 1]: "
            "array.astype(np.uint8)"
        )
    return ImageSource(
        tuple(str(row) for row in range(len(array))), array, np.arange(len(array), dtype=np.int64)
    )
