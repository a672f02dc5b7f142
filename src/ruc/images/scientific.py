"""What Pillow can't read, or not rightly, by the libraries of the extra `ruc[scientific]`."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ruc.errors import UnreadableImageError
from ruc.images.bands import picture_of
from ruc.images.damage import DAMAGED, reason_of
from ruc.images.reading import Page
from ruc.images.tiff_header import (
    FLOAT,
    INKS,
    PALETTE,
    RGB,
    SEPARATE_PLANES,
    SIGNED,
    UNSIGNED,
    YCBCR,
    ZERO_IS_BLACK,
    ZERO_IS_WHITE,
    TiffHeader,
)
from ruc.images.values import WHITE_IS_ZERO, Values

T = TypeVar("T")

SHOWN = (ZERO_IS_WHITE, ZERO_IS_BLACK, RGB, PALETTE, INKS, YCBCR)


def imported(name: str, extra: str, what: str) -> Any:
    """A library of an extra; where it isn't installed, an `UnreadableImageError` says what it is needed for."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UnreadableImageError(f"{_install(extra)}: {what}") from error


def _install(extra: str) -> str:
    return f"not readable without ruc[{extra}] (pip install 'ruc[{extra}]')"


def one_of(pages: Sequence[T], page: Page) -> T:
    """The first of them, or the one in the middle."""
    return pages[len(pages) // 2 if page == "middle" else 0]


def brightest(pages: Sequence[NDArray[Any]], kind: str) -> NDArray[Any]:
    """The brightest value of each pixel; NaN is none."""
    result: NDArray[Any] = (np.fmin if kind.endswith(WHITE_IS_ZERO) else np.fmax).reduce(pages)
    return result


def tiff_values(file: IO[bytes], header: TiffHeader, page: Page) -> Values:
    """A TIFF's values by tifffile.

    Raises
    ------
    UnreadableImageError
        It holds no picture that could be shown (complex numbers, sensor mosaics), or tifffile isn't there.
    """
    if header.photometric not in SHOWN or header.sample_format not in (UNSIGNED, SIGNED, FLOAT):
        raise UnreadableImageError(
            f"not supported: {header}, photometric interpretation {header.photometric}"
        )
    if header.photometric == INKS and header.n_bands < 4:
        raise UnreadableImageError(f"not supported: {header}, inks other than CMYK")
    if header.is_subsampled and header.compression == 1:
        raise UnreadableImageError(f"not supported: {header}")
    tifffile = imported("tifffile", "scientific", str(header))
    file.seek(0)
    with _codecs(str(header)), tifffile.TiffFile(file) as tiff:
        wanted = header.pages if page == "max" else [one_of(header.pages, page)]
        arrays = [_channels_last(tiff.pages[place].asarray(), header) for place in wanted]
        colormap = tiff.pages[0].colormap if header.photometric == PALETTE else None
    bands = brightest(arrays, header.kind)
    if header.photometric == INKS:
        return _from_inks(bands)
    largest = 1.0 if bands.dtype.kind == "f" else float(2**header.bits - 1)
    shown = picture_of(bands, header.kind, header.alpha_band, largest, header.nodata, header.is_associated)
    if colormap is None:
        return shown
    colours = np.moveaxis(colormap, 0, -1)[shown.array.astype(np.int64)] >> (
        0 if header.has_small_colours else 8
    )
    return Values(colours.astype(np.uint8), "uint8", shown.alpha)


def _channels_last(array: NDArray[Any], header: TiffHeader) -> NDArray[Any]:
    if array.ndim == 3 and header.planar == SEPARATE_PLANES and array.shape[0] == header.n_bands:
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3):
        raise UnreadableImageError(f"not supported: {header}, of shape {array.shape}")
    return array


def _from_inks(bands: NDArray[Any]) -> Values:
    """Cyan, magenta, yellow and black as red, green and blue, as Pillow turns them."""
    largest = float(np.iinfo(bands.dtype).max) if bands.dtype.kind == "u" else 1.0
    inks = bands[:, :, :4].astype(np.float64) / largest
    light = (1 - inks[:, :, :3]) * (1 - inks[:, :, 3:])
    return Values(np.rint(light * 255).astype(np.uint8), "uint8")


def jpeg_values(content: bytes, precision: int) -> Values:
    """A JPEG of 12 or 16 bits."""
    codecs = imported("imagecodecs", "scientific", f"a JPEG of {precision} bits")
    with _codecs(f"a JPEG of {precision} bits"):
        return picture_of(codecs.jpeg_decode(content), f"uint{precision}")


def jpeg2000_values(content: bytes, depths: tuple[int, ...], alpha: int | None) -> Values:
    """JPEG 2000 in colours of more than 8 bits, of which Pillow keeps 8."""
    codecs = imported("imagecodecs", "scientific", f"JPEG 2000 of {max(depths)} bits a colour")
    with _codecs("JPEG 2000"):
        bands = codecs.jpeg2k_decode(content)
    return picture_of(bands, f"uint{max(depths)}", alpha, float(2 ** max(depths) - 1))


def dicom_values(file: IO[bytes], page: Page) -> Values:
    """A DICOM image in the units that its rescale slope and intercept lead to, upright as stored.

    MONOCHROME1 is 0 is white; the padding value is no data; frames are pages.
    """
    data, pydicom = dicom_data(file, header_only=False)
    try:
        bands = np.asarray(data.pixel_array)
    except DAMAGED as error:
        raise UnreadableImageError(
            f"not supported: DICOM that pydicom doesn't decode ({' '.join(str(error).split())})"
        ) from error
    n_frames = int(data.get("NumberOfFrames") or 1)
    n_bands = int(data.get("SamplesPerPixel", 1))
    frames = list(bands) if n_frames > 1 else [bands]
    bands = brightest(frames, dicom_kind(data)) if page == "max" else one_of(frames, page)
    if n_bands == 3:
        if str(data.PhotometricInterpretation).startswith("YBR"):
            bands = pydicom.pixels.convert_color_space(bands, str(data.PhotometricInterpretation), "RGB")
        return Values(bands, dicom_kind(data))
    if str(data.PhotometricInterpretation) == "PALETTE COLOR":
        coloured = pydicom.pixels.apply_color_lut(bands, data)
        return Values(coloured, f"uint{8 * coloured.dtype.itemsize}")
    padding = data.get("PixelPaddingValue")
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    nodata = None if padding is None else float(padding) * slope + intercept
    if (slope, intercept) != (1.0, 0.0):
        bands = bands * slope + intercept
    return Values(bands, dicom_kind(data), None, nodata)


def dicom_kind(data: Any) -> str:
    """The kind of values of a DICOM file (see `Values`)."""
    is_rescaled = (float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))) != (1.0, 0.0)
    sign = "int" if data.get("PixelRepresentation", 0) else "uint"
    kind = "rescaled" if is_rescaled else f"{sign}{data.get('BitsStored', 8)}"
    return kind + (WHITE_IS_ZERO if str(data.PhotometricInterpretation) == "MONOCHROME1" else "")


def dicom_data(file: IO[bytes], header_only: bool) -> tuple[Any, Any]:
    """An open DICOM file as pydicom has it, and pydicom."""
    pydicom = imported("pydicom", "scientific", "DICOM")
    file.seek(0)
    try:
        data = pydicom.dcmread(file, stop_before_pixels=header_only, force=True)  # without preamble too
    except (pydicom.errors.InvalidDicomError, *DAMAGED) as error:
        raise UnreadableImageError(reason_of(error)) from error
    if "PhotometricInterpretation" not in data or "Rows" not in data:
        raise UnreadableImageError("DICOM without an image")
    return data, pydicom


@contextmanager
def _codecs(what: str) -> Iterator[None]:
    """What the decoders complain of, as reasons."""
    try:
        yield
    except DAMAGED as error:
        text = " ".join(str(error).split())
        if "imagecodecs" in text:
            raise UnreadableImageError(f"{_install('scientific')}: {what}") from error
        raise UnreadableImageError(reason_of(error)) from error
