"""One image, from a file or an array row, to an upright `PIL.Image` in mode "L" or "RGB"."""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import reduce
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from ruc.errors import UnreadableImageError
from ruc.images.bands import picture_of
from ruc.images.damage import DAMAGED, reason_of
from ruc.images.formats import is_dicom, is_jpeg, is_jpeg2000, is_tiff, jpeg_precision, png_depth
from ruc.images.opening import (
    all_of,
    by_pillow,
    jpeg2000_bands_of,
    opened,
    refuse_larger,
    tiff_header_of,
    why_unidentified,
)
from ruc.images.packed import Stored
from ruc.images.png16 import png_values, scale_key
from ruc.images.ppm16 import ppm_values
from ruc.images.reading import READING, Page, Range, Reading
from ruc.images.scientific import (
    brightest,
    dicom_data,
    dicom_values,
    jpeg2000_values,
    jpeg_values,
    one_of,
    tiff_values,
)
from ruc.images.tiff_header import SIGNED, UNSIGNED, TiffHeader
from ruc.images.value_range import common_range, ends_of, has_format
from ruc.images.values import Values, as_image

PAGED = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")  # of the others, further images are previews, depths or masks

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

SIDEWAYS = (5, 6, 7, 8)  # orientations in which width and height change places

LARGE = 50_000_000  # pixels; of images as large, one at a time is decoded whole
_one_large_image = threading.Lock()


def decode(
    item: Stored | NDArray[Any], shorter_side: int | None = None, reading: Reading = READING
) -> Image.Image:
    """Decode one image completely: upright by its EXIF orientation, over white where transparent.

    Returns it in mode "L" (greyscale) or "RGB".

    Parameters
    ----------
    item
        A file, or one row of an array: (H, W) or (H, W, C) with C in 1, 3, 4; uint8, uint16, bool, or
        float in [0, 1].
    shorter_side
        What the image will be reduced to, in pixels. A JPEG several times as large is then decoded at a
        half, a quarter or an eighth of its size, still at least twice as large as asked.
    reading
        The rules of the run: which values are black and white, which page is taken, how large an image may be.

    Raises
    ------
    UnreadableImageError
        With the reason in plain words: empty, truncated, not an image, larger than allowed, …
    """
    content, orientation = read(item, shorter_side, reading)
    if isinstance(content, Values):
        content = as_image(content, _range_of(content, reading))
    return content.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else content


def read(
    item: Stored | NDArray[Any], shorter_side: int | None = None, reading: Reading = READING
) -> tuple[Image.Image | Values, int]:
    """An image in "L" or "RGB", or its values where they aren't 8 bits, and the EXIF orientation it has yet to get.

    Parameters and errors are those of `decode`.
    """
    if isinstance(item, np.ndarray):
        return _from_row(item), 1
    with opened(item) as (file, header):
        if is_dicom(header):
            return dicom_values(file, reading.page), 1
        tiff = tiff_header_of(file) if is_tiff(header) else None
        if tiff is not None and not tiff.pillow_reads:
            refuse_larger(tiff.size, reading)
            return tiff_values(file, tiff, reading.page), tiff.orientation
        depths, alpha = jpeg2000_bands_of(file) if is_jpeg2000(header) else ((), None)
        if len(depths) > 1 and max(depths) > 8:
            return jpeg2000_values(all_of(file), depths, alpha), 1
        image = by_pillow(file, header)
        if image is not None:
            refuse_larger(image.size, reading)
            has_alpha = tiff.has_alpha if tiff is not None else not depths or alpha is not None
            return _loaded(image, file, header, tiff, has_alpha, shorter_side, reading.page)
        if tiff is not None:
            return tiff_values(file, tiff, reading.page), tiff.orientation
        precision = jpeg_precision(all_of(file)) if is_jpeg(header) else 0
        if precision > 8:
            return jpeg_values(all_of(file), precision), 1
        raise UnreadableImageError(why_unidentified(header, reading))


def size_of(item: Stored | NDArray[Any], reading: Reading = READING) -> tuple[int, int]:
    """(width, height) as stored, from the header alone; raises `UnreadableImageError`."""
    return _size_and_orientation(item, reading)[0]


def upright_size_of(item: Stored | NDArray[Any], reading: Reading = READING) -> tuple[int, int]:
    """(width, height) as shown, from the header alone; raises `UnreadableImageError`."""
    (width, height), orientation = _size_and_orientation(item, reading)
    return (height, width) if orientation in SIDEWAYS else (width, height)


def _size_and_orientation(item: Stored | NDArray[Any], reading: Reading) -> tuple[tuple[int, int], int]:
    if isinstance(item, np.ndarray):
        return (item.shape[1], item.shape[0]), 1
    with opened(item) as (file, header):
        if is_dicom(header):
            data, _ = dicom_data(file, header_only=True)
            return (int(data.Columns), int(data.Rows)), 1
        if is_tiff(header):
            tiff = tiff_header_of(file)
            return tiff.size, tiff.orientation
        image = by_pillow(file, header)
        if image is not None:
            refuse_larger(image.size, reading)
            return image.size, orientation_of(image)
    content, orientation = read(item, None, reading)
    assert isinstance(content, Values)
    return (content.array.shape[1], content.array.shape[0]), orientation


def _loaded(
    image: Image.Image,
    file: IO[bytes],
    header: bytes,
    tiff: TiffHeader | None,
    has_alpha: bool,
    shorter_side: int | None,
    page: Page,
) -> tuple[Image.Image | Values, int]:
    try:
        if shorter_side is not None:
            image.draft(None, (2 * shorter_side, 2 * shorter_side))
        with _one_large_image if image.width * image.height > LARGE else nullcontext():
            content: Image.Image | Values | None = None
            if png_depth(header) == 16:
                content = png_values(file, header)
            elif image.format == "PPM":
                content = ppm_values(file)
            scale_key(image, png_depth(header))
            if content is None:
                content = _page_of(image, tiff, has_alpha, page)
            image.load()
    except DAMAGED as error:
        raise UnreadableImageError(reason_of(error)) from error
    return content, orientation_of(image)


def _page_of(
    image: Image.Image, tiff: TiffHeader | None, has_alpha: bool, page: Page
) -> Image.Image | Values:
    """The page that stands for all of a file."""
    pages = pages_of(image, tiff)
    if page == "first" or len(pages) == 1:
        return _frame(image, tiff, has_alpha)
    frames: list[Image.Image | Values] = []
    for place in pages if page == "max" else [one_of(pages, page)]:
        image.seek(place)
        frame = _frame(image, tiff, has_alpha)
        frames.append(frame if frame is not image else frame.copy())  # the next page takes its place
    values = [frame for frame in frames if isinstance(frame, Values)]
    if len(values) == len(frames):
        return replace(values[0], array=brightest([frame.array for frame in values], values[0].kind))
    plain = [frame for frame in frames if isinstance(frame, Image.Image)]
    colours = "L" if all(frame.mode == "L" for frame in plain) else "RGB"
    return reduce(ImageChops.lighter, [frame.convert(colours) for frame in plain])


def pages_of(image: Image.Image, tiff: TiffHeader | None) -> Sequence[int]:
    """Which frames of an image that Pillow has opened are its pages."""
    if tiff is not None:
        return tiff.pages
    return range(getattr(image, "n_frames", 1)) if image.format in PAGED else range(1)


def _frame(image: Image.Image, tiff: TiffHeader | None, has_alpha: bool) -> Image.Image | Values:
    """What Pillow holds now, as values where it is of more than 8 bits or signed.

    `has_alpha`: a further band is transparency, as the header states where its format has others too.
    """
    image.load()
    mode = image.mode
    if tiff is not None and tiff.is_deep:
        array = np.array(image)
        if tiff.sample_format == SIGNED and tiff.stored_bits[0] == 8:
            array = array.view(np.int8)
        elif tiff.sample_format == UNSIGNED and tiff.stored_bits[0] == 32:
            array = array.view(np.uint32)  # Pillow hands them over as signed
        return Values(array, tiff.kind, None, tiff.nodata)
    if mode.startswith("I;16") or mode == "I":  # Pillow scales what Netpbm and JPEG 2000 hold to 16 bits
        return Values(np.array(image), "uint16")
    if mode == "F":
        return Values(np.array(image), "float")
    if not has_alpha and mode in ("LA", "RGBA"):  # a fourth band, whatever it is
        return image.convert(mode[:-1])
    try:
        return _without_transparency(image)
    except DAMAGED as error:
        raise UnreadableImageError(f"not supported: colour mode {mode}") from error


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the EXIF block is corrupt."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except DAMAGED:
        return 1


def _without_transparency(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if (
        image.format in ("BMP", "DIB")
        and image.mode == "RGBA"
        and image.getchannel("A").getextrema() == (0, 0)
    ):
        return image.convert("RGB")  # a byte that its writer left empty, as bitmaps of Windows are
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_row(pixels: NDArray[Any]) -> Image.Image | Values:
    """One array row: "L" or "RGB", or its values where they are of 16 bits."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype == np.uint16:
        alpha = 3 if pixels.ndim == 3 and pixels.shape[2] == 4 else None
        return picture_of(pixels, "uint16", alpha, 65535)
    if pixels.dtype == np.bool_:
        pixels = pixels * np.uint8(255)
    elif np.issubdtype(pixels.dtype, np.floating):
        pixels = np.rint(np.asarray(pixels, dtype=np.float64) * 255)
    return _without_transparency(Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8)))


def _range_of(values: Values, reading: Reading) -> Range:
    """The run's for values of this kind; of kinds it doesn't know that of the format, or of this image alone."""
    known = reading.value_range or {}
    if values.kind in known:
        return known[values.kind]
    own = ends_of(values)
    alone = reading.value_range is None or not has_format(values.kind)
    return common_range(values.kind, [own] if own is not None and alone else [])
