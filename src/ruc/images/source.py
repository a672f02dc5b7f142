"""Which images there are, and what they are called: a folder, a list, a table, an array."""

import logging
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError, NothingToClusterError, shown
from ruc.images.archives import PARQUET, SUFFIXES_OF_PACKED, first_texts, image_column, packed_images
from ruc.images.formats import HEADER_BYTES, RAW_SUFFIXES, SUFFIXES, has_image_signature, kind_by_name
from ruc.images.listed import are_files, files_of_table
from ruc.images.packed import RowReader, Stored, TarMember, file_of
from ruc.images.reading import READING, Reading
from ruc.images.stacks import checked_stack, read_stack
from ruc.readers import FAILURES
from ruc.tables.table import is_table

if TYPE_CHECKING:
    from ruc.images.measures import Measured

Images = str | Path | Sequence[str | Path] | NDArray[Any]
"""What a caller may name images by, see `find_images`."""

logger = logging.getLogger(__name__)

LINKS_OUT = "links that lead out of the folder"
OF_SYSTEMS = frozenset(
    ("@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin", "system volume information", "__macosx")
)
"""Folders in which disks and archives keep thumbnails, what was thrown away, and forks of files."""


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
          the suffix is missing or unknown. Hidden files are left out, and so are folders of systems (`@eaDir`,
          `__MACOSX`, …), links that lead out of the folder and links to folders; what is left out is counted. A
          subfolder that may not be read is among the images, as one that can't be decoded. Where there is no such file,
          the images are those within its tar archives and Parquet files, in the order of these, and called
          `shard.tar/name`;
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
        return (
            _from_paths(*files_of_table(path))
            if is_table(path) and not _is_packed(path)
            else _from_folder(path)
        )
    if path.is_file() and _is_packed(path):
        return _from_packed(path, path.parent, [path], Counter())
    if is_table(path) and path.is_file():
        return _from_paths(*files_of_table(path))
    if path.is_file():
        return _from_array(read_stack(path))
    raise InputError(
        f"images {str(source)!r} does not exist; expected a folder, or a CSV or Parquet table with file_name"
    )


def _from_array(array: NDArray[Any]) -> ImageSource:
    return ImageSource(tuple(str(row) for row in range(len(array))), checked_stack(array))


def _from_folder(folder: Path) -> ImageSource:
    root = Path(os.path.realpath(folder))
    found: dict[str, Path] = {}
    packed: list[Path] = []
    left_out: Counter[str] = Counter()

    def add(path: Path) -> None:
        found[_printable(path.relative_to(root).as_posix())] = path

    for parent, folders, files in os.walk(root, onerror=lambda error: add(Path(error.filename))):
        hidden = [name for name in (*folders, *files) if name.startswith(".")]
        linked = [name for name in folders if name not in hidden and _is_link(Path(parent, name))]
        of_systems = [name for name in folders if name.casefold() in OF_SYSTEMS]
        left_out.update({"hidden": len(hidden), "links to folders": len(linked)})
        left_out.update(f"{name}/" for name in of_systems)
        folders[:] = [name for name in folders if name not in (*hidden, *of_systems)]
        for name in files:
            path = Path(parent, name)
            if name in hidden:
                continue
            if _is_link(path) and not _is_below(root, path):
                left_out[LINKS_OUT] += 1
            elif _is_candidate(path):
                add(path)
            elif path.suffix.lower() in SUFFIXES_OF_PACKED and os.path.isfile(path):  # noqa: PTH113
                packed.append(path)
            else:
                left_out[kind_by_name(path) or "without a suffix"] += 1
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
        is_list = any(are_files(cells, path.resolve().parent) for cells in texts.values())
        return not is_list and image_column(path) is not None
    except InputError:
        raise
    except FAILURES:  # which reading it as a table will say
        return False


def _from_packed(source: Path, root: Path, archives: Sequence[Path], left_out: Counter[str]) -> ImageSource:
    """The images in these archives; where there are several, names begin with the archive's."""
    reader = RowReader()
    names: list[str] = []
    items: list[Stored] = []
    faults: dict[str, str] = {}
    for path in archives:
        inside = packed_images(path, reader)
        called = path.relative_to(root).as_posix()
        before = "" if inside.has_given_names or len(archives) == 1 else f"{called}/"
        names.extend(before + name for name in inside.names)
        items.extend(inside.items)
        left_out.update(inside.left_out)
        if inside.fault:
            faults[called] = inside.fault
            names.append(called)
            items.append(TarMember(path, fault=inside.fault))
        elif not inside.names:
            left_out[f"{path.suffix.lower()} without images"] += 1
    if not items:
        raise _no_image(source, left_out)
    if len(faults) == len(items):
        name, fault = next(iter(faults.items()))
        others = f" ({len(faults)} such archives)" if len(faults) > 1 else ""
        raise InputError(f"{(root / name).name!r} holds no image that can be read: {fault}{others}")
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


def _is_link(path: Path) -> bool:
    """Whether it's a link; of what is in a folder that may be listed and not entered nothing can be told."""
    return os.path.islink(path)  # noqa: PTH114 - `Path.is_symlink` raises then


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


def _from_list(given: Iterable[str | Path]) -> ImageSource:
    paths = list(given) if isinstance(given, Iterable) else [given]
    wrong = [item for item in paths if not isinstance(item, str | Path)]
    if wrong:
        raise InputError(f"images hold {shown(wrong[0])}; expected a folder, paths, a table or a NumPy array")
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


def _from_paths(names: list[str], paths: Sequence[Stored]) -> ImageSource:
    if not names:
        raise NothingToClusterError("the list of images is empty; expected at least one file")
    names = [_printable(name) for name in names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        named = ", ".join(repr(name) for name in twice[:5]) + (", …" if len(twice) > 5 else "")
        are = "1 image is" if len(twice) == 1 else f"{len(twice)} images are"
        raise InputError(f"{are} listed more than once: {named}; expected each of them once")
    return ImageSource(tuple(names), tuple(paths))


def _printable(name: str) -> str:
    """Names that are no valid Unicode (old archives) with their stray bytes escaped; others unchanged."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
