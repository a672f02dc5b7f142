"""Images of more than 8 bits a channel: their values as the file holds them, and as the 8 bits that are looked at."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.errors import UnreadableImageError
from ruc.images.reading import Range

WHITE_IS_ZERO = ", 0 is white"


@dataclass(frozen=True)
class Values:
    """One image before its values become brightness.

    Attributes
    ----------
    array
        (height, width), or (height, width, 3) of red, green and blue; of any numeric type.
    kind
        "uint16", "int16", "float", …: what the numbers are, with the bits that are used where the header states them
        ("uint12"). Images of one kind share one range. Where small values are bright it ends in ", 0 is white".
    alpha
        (height, width) in [0, 1], or None: opaque.
    nodata
        What stands for "no value here", where the header states it. NaN does always.
    """

    array: NDArray[Any]
    kind: str
    alpha: NDArray[np.float32] | None = None
    nodata: float | None = None

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Where there is a value, in the shape of `array`."""
        known = np.ones(self.array.shape, bool)
        if self.array.dtype.kind == "f":
            known &= ~np.isnan(self.array)
        if self.nodata is not None and not np.isnan(self.nodata):
            # as the file's own type: -3.4e38 of the header is another double than the float32 of the pixels
            with np.errstate(over="ignore"):
                known &= self.array != np.asarray(self.nodata).astype(self.array.dtype)
        return known


def as_image(values: Values, ends: Range) -> Image.Image:
    """As "L" or "RGB": `ends[0]` and below black, `ends[1]` and above white; over white where transparent.

    Raises
    ------
    UnreadableImageError
        There is no value at all.
    """
    known = values.is_known
    if not known.any():
        raise UnreadableImageError("no values: every pixel is NaN or no data")
    low, high = ends
    scale = 255 / max(high - low, 1e-38)
    exact = np.float32 if values.array.dtype.itemsize <= 2 else np.float64
    levels: NDArray[Any] = values.array.astype(exact)
    with np.errstate(invalid="ignore", over="ignore"):
        levels = np.clip((levels - low) * scale, 0, 255)
    if values.kind.endswith(WHITE_IS_ZERO):
        levels = 255 - levels
    if not known.all():
        levels[~known] = 0
    if values.alpha is not None:
        alpha = values.alpha if levels.ndim == 2 else values.alpha[:, :, None]
        levels = levels * alpha + 255 * (1 - alpha)
    return Image.fromarray(np.rint(levels).astype(np.uint8))
