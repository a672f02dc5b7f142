"""Images in one array, a row each: read from a file, and whether it is such an array."""

import logging
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError, NothingToClusterError
from ruc.images.formats import HEADER_BYTES, has_image_signature
from ruc.tables.arrays import read_array
from ruc.tables.kinds import kind_of

logger = logging.getLogger(__name__)

ARRAYS = ("npy", "npz", "safetensors", "MATLAB")
LARGE_STACK = 256 * 1024 * 1024  # bytes of images that are mapped rather than read


def read_stack(path: Path) -> NDArray[Any]:
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


def checked_stack(array: NDArray[Any]) -> NDArray[Any]:
    """An array of images, a row each, if it is one: (n, H, W) or (n, H, W, C) with C in 1, 3, 4.

    Raises
    ------
    InputError
        Its shape, its type or its values are another's; with what to do.
    NothingToClusterError
        It holds no image.
    """
    expected = "expected (n, H, W) or (n, H, W, C) with C in 1, 3, 4"
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3, 4)):
        remedy = ""
        if array.ndim == 4 and array.shape[1] in (1, 3, 4):
            remedy = "; channels come last: array.transpose(0, 2, 3, 1)"
        elif array.ndim == 4 and array.shape[2] in (1, 3, 4):  # as MATLAB has them
            remedy = "; images come first: array.transpose(3, 0, 1, 2)"
        raise InputError(f"an array of images has the shape {array.shape}; {expected}{remedy}")
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        raise InputError(
            f"an array of the shape {array.shape} looks like a single image; {expected}: array[None]"
        )
    if len(array) == 0 or 0 in array.shape:
        raise NothingToClusterError(f"an array of the shape {array.shape} holds no image; {expected}")
    n, height, width = array.shape[:3]
    if array.ndim == 3 and n == height != width:  # as MATLAB has images of equal sides
        logger.warning(
            "%d images of %d × %d pixels are read; if these are %d of %d × %d, images come first: "
            "array.transpose(2, 0, 1)",
            n,
            width,
            height,
            width,
            height,
            n,
        )
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also when there is a NaN
            raise InputError(f"an array of float images spans [{low:g}, {high:g}]; expected values in [0, 1]")
    elif array.dtype.kind == "u" and array.dtype.itemsize == 2:
        # Of this machine's byte order: FITS, IDX and HDF5 have the other.
        array = array.astype(np.uint16, copy=False)
    elif array.dtype not in (np.uint8, np.bool_):
        raise InputError(
            f"an array of images has the type {array.dtype}; expected uint8, uint16, bool or float in [0, 1]: "
            f"{_remedy(array)}"
        )
    return array


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
