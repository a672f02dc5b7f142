"""One image, from a file or an array row, to an upright `PIL.Image` in mode "L" or "RGB"."""

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ruc.errors import UnreadableImageError

SUFFIXES = frozenset(
    """.jpg .jpeg .jpe .jfif .png .apng .gif .bmp .dib .webp .tif .tiff .avif .jp2 .ppm .pgm .pbm .pnm .ico
    .heic .heif""".split()  # noqa: SIM905 - a list of words is easier to read
)
"""A file whose name ends so is taken for an image; if it is none, that is reported."""

HEADER_BYTES = 32

# The formats Pillow may try. Not all it knows: EPS starts Ghostscript, TGA takes any bytes for an image.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "DIB", "PPM", "ICO", "JPEG2000", "AVIF")

# What Pillow raises on damaged files, seen or documented.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    UserWarning,
)

EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def has_image_signature(header: bytes) -> bool:
    """Whether the first `HEADER_BYTES` bytes of a file are those of a JPEG, PNG, GIF, WebP, TIFF, BMP, JP2 or AVIF."""
    return (
        header.startswith(
            (
                b"\xff\xd8\xff",
                b"\x89PNG\r\n\x1a\n",
                b"GIF87a",
                b"GIF89a",
                b"II*\0",
                b"MM\0*",
                b"\0\0\0\x0cjP  ",
            )
        )
        or (header[:4] == b"RIFF" and header[8:12] == b"WEBP")
        or (header[:2] == b"BM" and header[6:10] == b"\0\0\0\0")
        or header[4:12] in (b"ftypavif", b"ftypavis")
    )


class _PillowWarningsIgnored:
    """Entered by any number of threads: the first changes the warning filters, the last restores them.

    Filters belong to the process. Were each thread to save and restore them, one would restore what
    another has changed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._filters.__exit__(None, None, None)


pillow_warnings_ignored = _PillowWarningsIgnored()
"""Keeps Pillow's remarks on odd but readable files (a corrupt EXIF block, a large image) from the user."""


def decode(item: Path | NDArray[Any], shorter_side: int | None = None) -> Image.Image:
    """Decode one image completely: upright by its EXIF orientation, over white where transparent.

    Parameters
    ----------
    item
        A file, or one row of an array: (H, W) or (H, W, C) with C in 1, 3, 4; uint8, uint16, bool, or
        float in [0, 1].
    shorter_side
        What the image will be reduced to, in pixels. A JPEG several times as large is then decoded at a
        half, a quarter or an eighth of its size, still at least twice as large as asked.

    Returns
    -------
    PIL.Image.Image
        In mode "L" (greyscale) or "RGB"; the first frame of an animation.

    Raises
    ------
    UnreadableImageError
        With the reason in plain words: empty, truncated, not an image, decompression bomb, …
    """
    if isinstance(item, Path):
        return _decode_file(item, shorter_side)
    return _without_transparency(Image.fromarray(_as_uint8(item)))


def size_of(item: Path | NDArray[Any]) -> tuple[int, int]:
    """(width, height) as stored, from the header alone; raises `UnreadableImageError`."""
    if not isinstance(item, Path):
        return item.shape[1], item.shape[0]
    with _opened(item) as image:
        return image.size


def _decode_file(path: Path, shorter_side: int | None) -> Image.Image:
    with _opened(path) as image:
        try:
            if shorter_side is not None:
                image.draft(None, (2 * shorter_side, 2 * shorter_side))
            image.load()
        except DAMAGED as error:
            raise UnreadableImageError(_reason(error)) from error
        orientation = _orientation(image)
        try:
            plain = _without_transparency(_eight_bits(image))
        except DAMAGED as error:
            raise UnreadableImageError(f"colour mode {image.mode} is not supported") from error
    return plain.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else plain


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image with its header read, its pixels not yet."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UnreadableImageError(_reason(error)) from error
    with file:
        try:
            header = file.read(HEADER_BYTES)
            if not header:
                raise UnreadableImageError("empty file")
            if header[:4] == b"RIFF" and int.from_bytes(header[4:8], "little") + 8 > file.seek(0, SEEK_END):
                raise UnreadableImageError("truncated")  # Pillow's words for it in a WebP say nothing
            file.seek(0)
            image = Image.open(file, formats=_available_formats())
        except UnidentifiedImageError as error:
            raise UnreadableImageError(_why_unidentified(header)) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UnreadableImageError("decompression bomb: too many pixels") from error
        except DAMAGED as error:
            raise UnreadableImageError(_reason(error)) from error
        _refuse_bomb(*image.size)
        yield image


def _available_formats() -> list[str]:
    """Those of `FORMATS` this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _refuse_bomb(width: int, height: int) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImageError(f"decompression bomb: {width} x {height} pixels")


def _why_unidentified(header: bytes) -> str:
    if header[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc"):
        return "HEIC is not supported: convert it to JPEG"
    if header.startswith(b"\x89PNG") and header[12:16] == b"IHDR" and len(header) >= 24:
        _refuse_bomb(*struct.unpack(">II", header[16:24]))
    return "damaged: its header cannot be read" if has_image_signature(header) else "not an image"


def _reason(error: BaseException) -> str:
    """Short plain words for what a decoder or the operating system complains of."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    if isinstance(error, MemoryError):
        return "too large for the memory"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "truncated" in text.lower() or "not enough data" in text.lower() or isinstance(error, EOFError):
        return "truncated"
    return f"damaged: {text}"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the EXIF block is corrupt."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except DAMAGED:
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Modes of more than 8 bits a channel to "L"; every other mode as it is."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(_as_uint8(np.asarray(image).astype(np.uint16)))
    if image.mode not in ("I", "F"):
        return image
    values = np.asarray(image, dtype=np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if image.mode == "I" and low >= 0 and high <= 65535:  # 16 bits, kept in 32
        low, high = 0.0, 65535.0
    elif image.mode == "F" and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    values = np.nan_to_num((values - low) / max(high - low, 1e-12))
    return Image.fromarray(_as_uint8(np.clip(values, 0, 1)))


def _without_transparency(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _as_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """One array row as Pillow takes it: uint8, without a single last channel."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    elif pixels.dtype == np.uint16:
        pixels = (pixels.astype(np.uint32) + 128) // 257  # rounds 0 … 65535 to 0 … 255
    elif np.issubdtype(pixels.dtype, np.floating):
        pixels = np.rint(np.asarray(pixels, dtype=np.float64) * 255)
    return np.ascontiguousarray(pixels, dtype=np.uint8)
