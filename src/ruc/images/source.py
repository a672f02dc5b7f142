"""Which images there are, and what they are called: a folder, a list, a table, an array."""

import logging
import os
import stat
import tarfile
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError, NothingToClusterError
from ruc.images.archives import PARQUET, SUFFIXES_OF_PACKED, first_texts, image_column, packed_images
from ruc.images.formats import HEADER_BYTES, RAW_SUFFIXES, SUFFIXES, has_image_signature
from ruc.images.packed import RowReader, Stored, TarMember, file_of
from ruc.images.reading import READING, Reading
from ruc.tables.arrays import read_array
from ruc.tables.kinds import kind_of
from ruc.tables.names import FILE_NAME, heading_of_names
from ruc.tables.table import Table, is_table, read_table

if TYPE_CHECKING:
    from ruc.images.measures import Measured

Images = str | Path | Sequence[str | Path] | NDArray[Any]
"""What a caller may name images by, see `find_images`."""

logger = logging.getLogger(__name__)

FILES_LOOKED_AT = 100  # of a column, to see whether it holds files
ARRAYS = ("npy", "npz", "safetensors", "MATLAB")
LARGE_STACK = 256 * 1024 * 1024  # bytes of images that are mapped rather than read
LINKS_OUT = "links that lead out of the folder"


@dataclass(frozen=True)
class ImageSource:
    """Images that were found but not yet read.

    Attributes
    ----------
    file_names
        What each image is called in every table: a path with forward slashes; for an array the row number. In the
        order given, that of a folder being by name.
    items
        What `decode` reads: a path each, or a part of an archive; or the array itself, one row an image.
    reading
        The rules by which they are decoded.
    left_out
        How many other files a folder holds, by the ending of their names.
    remarks
        What a user should know of the files, a line each (see `survey`).
    watcher
        Looks on while images are decoded (see `ruc.images.measures`).
    """

    file_names: tuple[str, ...]
    items: tuple[Stored, ...] | NDArray[Any]
    reading: Reading = READING
    left_out: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    watcher: "Measured | None" = None

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the images are, or are in; none of an array."""
        if isinstance(self.items, np.ndarray):
            return ()
        return tuple(dict.fromkeys(map(file_of, self.items)))

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> "ImageSource":
        """These images alone, in this order, with the names they have."""
        positions = [int(index) for index in indices]
        items = (
            self.items[positions]
            if isinstance(self.items, np.ndarray)
            else tuple(self.items[i] for i in positions)
        )
        return replace(self, file_names=tuple(self.file_names[i] for i in positions), items=items)

    def read_by(self, reading: Reading) -> "ImageSource":
        """The same images, decoded by other rules."""
        return replace(self, reading=reading)

    def watched_by(self, watcher: "Measured | None") -> "ImageSource":
        """The same images; each is shown to `watcher` as it is decoded."""
        return replace(self, watcher=watcher)


def find_images(source: Images | ImageSource) -> ImageSource:
    """Find the images of a folder, a list of files, a table or an array; nothing is decoded yet.

    Parameters
    ----------
    source
        - a folder: all image files in it and below, known by their suffix, or by their first bytes where
          the suffix is missing or unknown. Hidden files are left out, and so are links that lead out of the
          folder and links to folders; what is left out is counted. A subfolder that may not be read is among the
          images, as one that can't be decoded. Where there is no such file, the images are those within its tar
          archives and Parquet files, in the order of these, and called `shard.tar/name`;
        - a tar archive that isn't compressed, as webdataset has them, in its order;
        - a Parquet file with a column of images as bytes, or as structs with `bytes`, as `datasets` writes it;
        - a list of files, in its order; names are relative to the folder they have in common, or as given when all
          are relative;
        - a CSV, Parquet or other table with a column `file_name`, or another of which each value is a file, relative
          to the table's folder and in its order;
        - a text file of one file a line, without heading;
        - an array, (n, H, W) or (n, H, W, C) with C in 1, 3, 4: uint8, uint16, bool, or float in [0, 1]; or a .npy,
          .npz, .safetensors or .mat that holds one.

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
        return _from_table(path) if is_table(path) and not _is_packed(path) else _from_folder(path)
    if path.is_file() and _is_packed(path):
        return _from_packed(path, path.parent, [path], Counter())
    if is_table(path) and path.is_file():
        return _from_table(path)
    if path.is_file():
        return _from_array(_stack(path))
    raise InputError(
        f"images {str(source)!r} does not exist; expected a folder, or a CSV or Parquet table with file_name"
    )


def _stack(path: Path) -> NDArray[Any]:
    """The images that a .npy or the like holds; raises `InputError` where it's another kind of file."""
    try:
        kind = kind_of(path)
        with path.open("rb") as file:
            is_image = has_image_signature(file.read(HEADER_BYTES))
            is_tar = tarfile.is_tarfile(path)
    except OSError as error:
        raise InputError(
            f"images {str(path)!r} cannot be read ({error.strerror}); expected a file that you may read"
        ) from error
    if kind in ARRAYS:
        return read_array(path, LARGE_STACK)
    what = (
        "a single image"
        if is_image
        else "a tar archive that is compressed, or called otherwise: decompress it, and call it .tar"
        if is_tar
        else f"a file ({kind or path.suffix})"
    )
    raise InputError(
        f"images {str(path)!r} is {what}; expected a folder, a CSV or Parquet table with file_name, or a .npy of images"
    )


def _from_folder(folder: Path) -> ImageSource:
    root = Path(os.path.realpath(folder))
    found: dict[str, Path] = {}
    packed: list[Path] = []
    left_out: Counter[str] = Counter()

    def add(path: Path) -> None:
        found[_printable(path.relative_to(root).as_posix())] = path

    for parent, folders, files in os.walk(root, onerror=lambda error: add(Path(error.filename))):
        hidden = [name for name in (*folders, *files) if name.startswith(".")]
        linked = [name for name in folders if name not in hidden and Path(parent, name).is_symlink()]
        left_out.update({"hidden": len(hidden), "links to folders": len(linked)})
        folders[:] = [name for name in folders if name not in hidden]
        for name in files:
            path = Path(parent, name)
            if name in hidden:
                continue
            if path.is_symlink() and not _is_below(root, path):
                left_out[LINKS_OUT] += 1
            elif _is_candidate(path):
                add(path)
            elif path.suffix.lower() in SUFFIXES_OF_PACKED and path.is_file():
                packed.append(path)
            else:
                left_out[path.suffix.lower() or "without a suffix"] += 1
    left_out = +left_out
    if packed and not found:
        return _from_packed(folder, root, sorted(packed), left_out)
    left_out.update(path.suffix.lower() for path in packed)
    if not found:
        raise _no_image(folder, left_out)
    names = sorted(found)  # the order given: that of the directory means nothing
    return replace(
        _from_paths(names, [found[name] for name in names]), left_out=dict(sorted(left_out.items()))
    )


def _no_image(place: Path, left_out: Counter[str]) -> NothingToClusterError:
    remedy = " (give those as a list or a table)" if LINKS_OUT in left_out else ""
    there = f"{left_out.total()} left out ({counted(left_out)}){remedy}" if left_out else "it is empty"
    return NothingToClusterError(
        f"no image in {str(place)!r}: {there}; "
        "expected JPEG, PNG, GIF, WebP, TIFF, BMP, AVIF, HEIC, JPEG XL or DICOM"
    )


def _is_packed(path: Path) -> bool:
    """Whether a file is an archive of images, or a folder of parts as Spark writes it one of tables with images.

    A table that names files is none, whatever else it holds of them.
    """
    if path.is_dir():
        part = next((part for part in sorted(path.iterdir()) if part.suffix.lower() in PARQUET), None)
        return part is not None and _is_packed(part)
    suffix = path.suffix.lower()
    if suffix not in PARQUET:
        return suffix in SUFFIXES_OF_PACKED
    try:
        texts = first_texts(path)
        is_list = any(_are_files(cells, path.resolve().parent) for cells in texts.values())
        return not is_list and image_column(path) is not None
    except InputError:
        raise
    except (OSError, ValueError):  # which reading it as a table will say
        return False


def _from_packed(source: Path, root: Path, archives: Sequence[Path], left_out: Counter[str]) -> ImageSource:
    """The images in these archives; where there are several, names begin with the archive's."""
    reader = RowReader()
    names: list[str] = []
    items: list[Stored] = []
    for path in archives:
        inside = packed_images(path, reader)
        called = path.relative_to(root).as_posix()
        before = "" if inside.has_given_names or len(archives) == 1 else f"{called}/"
        names.extend(before + name for name in inside.names)
        items.extend(inside.items)
        left_out.update(inside.left_out)
        if inside.fault:
            names.append(called)
            items.append(TarMember(path, fault=inside.fault))
        elif not inside.names:
            left_out[f"{path.suffix.lower()} without images"] += 1
    if not items:
        raise _no_image(source, left_out)
    return replace(_from_paths(names, items), left_out=dict(sorted(left_out.items())))


def names_alike(names: Sequence[str]) -> list[str]:
    """The names in decomposed Unicode beside which there is the same one composed, or coded in yet another way."""
    composed = {name: unicodedata.normalize("NFC", name) for name in names if not name.isascii()}
    times = Counter(composed.values())
    return [name for name, plain in composed.items() if times[plain] > 1 and name != plain]


def counted(files: Mapping[str, int]) -> str:
    """How many there are of each kind, the most first."""
    ordered = sorted(files.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ordered)


def _is_below(root: Path, link: Path) -> bool:
    """Whether a link leads to somewhere in the folder; one that leads to itself does."""
    return Path(os.path.realpath(link)).is_relative_to(root)


def _is_candidate(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in RAW_SUFFIXES:
        return False
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe is to wait
            return False
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


def _from_table(path: Path) -> ImageSource:
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
    return _from_paths(names, [folder / name for name in names])


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
    files = [heading for heading, cells in table.columns.items() if _are_files(cells, folder)]
    chosen = heading_of_names(files) or (files[0] if len(files) == 1 else None)
    if chosen is None:
        others = "".join(f", and {name!r} of {kind}" for name, kind in table.unusable.items())
        raise InputError(
            f"{table.source!r} has the columns {list(table.columns)}{others}; expected one called file_name, or one "
            "whose values are files, relative to the table's folder: images within a table have to be written as files"
        )
    logger.info("%s: the column %r is taken for file_name, since its values are files", table.source, chosen)
    return chosen


def _are_files(cells: Sequence[str], folder: Path) -> bool:
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


def _from_paths(names: list[str], paths: Sequence[Stored]) -> ImageSource:
    if not names:
        raise NothingToClusterError("the list of images is empty; expected at least one file")
    names = [_printable(name) for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5]) + (", …" if len(twice) > 5 else "")
        raise InputError(
            f"{len(twice)} images are listed more than once: {shown}; expected each of them once"
        )
    return ImageSource(tuple(names), tuple(paths))


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
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = array.astype(
            np.uint16, copy=False
        )  # of this machine's byte order: FITS, IDX and HDF5 have the other
    elif array.dtype not in (np.uint8, np.bool_):
        raise InputError(
            f"an array of images has the type {array.dtype}; expected uint8, uint16, bool or float in [0, 1]: "
            f"{_remedy(array)}"
        )
    return ImageSource(tuple(str(row) for row in range(len(array))), array)


def _remedy(array: NDArray[Any]) -> str:
    """What keeps the values: to cast those beyond 255 to uint8 would wrap them round."""
    if array.dtype.kind not in "iu":
        return "convert it to one of these"
    low, high = int(array.min()), int(array.max())
    for kind in (np.uint8, np.uint16):
        if low >= 0 and high <= np.iinfo(kind).max:
            return f"its values, {low} to {high}, fit into array.astype(np.{kind.__name__})"
    return (
        f"its values are {low} to {high}; bring them to 0 … 1 by what they mean, as "
        f"((array - {low}) / {high - low}).astype(np.float32)"
    )
