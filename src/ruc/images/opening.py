"""A file that may be an image, opened as far as its header: what it is, and why it isn't one."""

import ctypes
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from os import SEEK_END
from pathlib import Path
from typing import IO

from PIL import Image

from ruc.errors import UnreadableImageError
from ruc.images.damage import DAMAGED, reason_of
from ruc.images.formats import (
    HEAD,
    HEADER_BYTES,
    RAW_SUFFIXES,
    has_image_signature,
    is_heif,
    is_jxl,
    jpeg2000_alpha,
    jpeg2000_depths,
    known_format,
    png_size,
)
from ruc.images.packed import Stored
from ruc.images.photos import open_heif, open_jxl
from ruc.images.reading import Reading
from ruc.images.tiff_header import TiffHeader, read_tiff_header
from ruc.plain_file import check_plain

# The formats Pillow may try. Not all it knows: EPS starts Ghostscript, TGA takes any bytes for an image.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "ICO", "JPEG2000", "AVIF")
NOT_THIS_FORMAT = (SyntaxError, IndexError, TypeError, struct.error)  # what Pillow's own `open` passes over


class _PillowWarningsIgnored:
    """Entered by any number of threads: the first changes the warning filters, the last restores them.

    Filters belong to the process, as does what libtiff does with its errors, which is to write them to the screen past
    Python. Were each thread to save and restore them, one would restore what another has changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._filters = warnings.catch_warnings()
        self._handle_tiff_errors_by: Callable[[int | None], int | None] | None = None
        self._tiff_handler: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self._handle_tiff_errors_by = _setter_of_libtiff()
                if self._handle_tiff_errors_by is not None:
                    self._tiff_handler = self._handle_tiff_errors_by(None)
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._filters.__exit__(None, None, None)
                if self._handle_tiff_errors_by is not None:
                    self._handle_tiff_errors_by(self._tiff_handler)


@cache
def _setter_of_libtiff() -> Callable[[int | None], int | None] | None:
    """Its `TIFFSetErrorHandler`: takes the new handler and returns the old; None where Pillow has it for itself alone.

    Pillow passes no words of libtiff on to Python: without a handler nothing is lost but what would be printed.
    """
    try:
        setter = ctypes.CDLL(
            str(Image.core.__file__)
        ).TIFFSetErrorHandler  # Pillow's own copy, wherever it lies
    except (OSError, AttributeError):
        return None
    setter.argtypes, setter.restype = (ctypes.c_void_p,), ctypes.c_void_p
    return setter


pillow_warnings_ignored = _PillowWarningsIgnored()
"""Keeps remarks of Pillow and libtiff on odd or damaged files (a corrupt EXIF block, a large image) from the user."""


@contextmanager
def opened(item: Stored) -> Iterator[tuple[IO[bytes], bytes]]:
    """A plain file, or a part of an archive, and its first bytes; raises `UnreadableImageError`."""
    try:
        file = _plain_file(item) if isinstance(item, Path) else item.open()
    except DAMAGED as error:  # also a name that no file can have
        raise UnreadableImageError(reason_of(error)) from error
    with file:
        try:
            header = file.read(HEADER_BYTES)
            size = file.seek(0, SEEK_END)
        except OSError as error:
            raise UnreadableImageError(reason_of(error)) from error
        if not header:
            raise UnreadableImageError("empty file")
        if header[:4] == b"RIFF" and int.from_bytes(header[4:8], "little") + 8 > size:
            raise UnreadableImageError("truncated")  # Pillow's words for it in a WebP say nothing
        if isinstance(item, Path) and item.suffix.lower() in RAW_SUFFIXES:
            raise UnreadableImageError("undeveloped camera raw: export it as JPEG or TIFF")
        yield file, header


def _plain_file(path: Path) -> IO[bytes]:
    check_plain(path)
    return path.open("rb")


def all_of(file: IO[bytes]) -> bytes:
    """The whole file."""
    file.seek(0)
    return file.read()


def tiff_header_of(file: IO[bytes]) -> TiffHeader:
    """The header of a TIFF; raises `UnreadableImageError`."""
    try:
        return read_tiff_header(file)
    except DAMAGED as error:
        truncated = isinstance(error, EOFError)
        raise UnreadableImageError(
            "truncated" if truncated else "damaged: its header cannot be read"
        ) from error


def jpeg2000_bands_of(file: IO[bytes]) -> tuple[tuple[int, ...], int | None]:
    """Bits of each channel of JPEG 2000, and which of them is stated to be alpha."""
    file.seek(0)
    head = file.read(HEAD)
    return jpeg2000_depths(head), jpeg2000_alpha(head)


def by_pillow(file: IO[bytes], header: bytes) -> Image.Image | None:
    """The image with its header read, its pixels not yet; None where Pillow knows no such image.

    `Image.open` would refuse photographs of 180 megapixels, by a limit that belongs to the process.
    """
    try:
        if is_heif(header):
            file.seek(0)
            return open_heif(file)
        if is_jxl(header):
            file.seek(0)
            return open_jxl(file)
        Image.init()
        for name in FORMATS:
            factory, accepts = Image.OPEN.get(name, (None, None))
            if factory is None or (accepts is not None and accepts(header[:16]) is not True):
                continue
            file.seek(0)
            try:
                return factory(file, "")
            except NOT_THIS_FORMAT:
                continue
    except DAMAGED as error:
        raise UnreadableImageError(reason_of(error)) from error
    return None


def refuse_larger(size: tuple[int, int], reading: Reading) -> None:
    """Raise `UnreadableImageError` for an image larger than the run allows."""
    width, height = size
    if width * height > 1e6 * reading.max_megapixels:
        raise UnreadableImageError(
            f"larger than {reading.max_megapixels:g} megapixels (--max-megapixels): {width} x {height} pixels"
        )


def why_unidentified(header: bytes, reading: Reading) -> str:
    """The reason why nobody knows a file that starts so."""
    size = png_size(header)
    if size is not None:
        refuse_larger(size, reading)
    known = known_format(header)
    if known is not None:
        return f"not supported: {known}, convert it to PNG or TIFF"
    return "damaged: its header cannot be read" if has_image_signature(header) else "not an image"
