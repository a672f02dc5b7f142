"""What can be measured of one image while it is decoded anyway: light, colour, sharpness, shape and size."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.errors import UnreadableImageError
from ruc.images.decode import size_of
from ruc.images.packed import Stored
from ruc.images.reading import Reading

SIDE: Final = (
    128  # pixels of the longer side at which it is measured: sharpness at one scale, whatever the size
)
SAME: Final = 8 / 255  # nearer values are one colour, and red, green and blue that are nearer are grey
MEASURES: Final = ("brightness", "contrast", "sharpness", "one_colour", "grey", "width", "height")


class Measured:
    """What was measured of the images that were decoded so far, by name; looks on from several threads.

    Attributes
    ----------
    rows
        Of each image the `MEASURES` in this order, float32.
    """

    def __init__(self) -> None:
        self.rows: dict[str, NDArray[np.float32]] = {}

    def look_at(
        self,
        name: str,
        item: Stored | NDArray[Any],
        image: Image.Image,
        drafted: int | None,
        reading: Reading,
    ) -> None:
        """Measure an image that was just decoded, if it wasn't yet.

        Parameters
        ----------
        name, item
            What it's called, and what it was decoded from.
        image
            Upright, in "L" or "RGB".
        drafted
            The shorter side that was asked for: a larger image may be smaller here than it is.
        reading
            The rules by which it was decoded.
        """
        if name in self.rows:
            return
        width, height = image.size
        if drafted is not None and min(width, height) >= 2 * drafted:
            try:
                stored = size_of(item, reading)
            except UnreadableImageError:
                stored = (width, height)
            width, height = stored if (stored[0] < stored[1]) == (width < height) else stored[::-1]
        self.rows[name] = np.array([*measured(image), width, height], np.float32)


def measured(image: Image.Image) -> tuple[float, float, float, float, float]:
    """The measures of an image in "L" or "RGB" but its size.

    Returns
    -------
    brightness, contrast
        Mean and standard deviation of grey, in units of white.
    sharpness
        Mean square of the discrete Laplacian of grey, in units of white, relative to its variance: how fine what is
        there is, however strong.
    one_colour
        The share of the pixels that are about the colour in the middle.
    grey
        The share of the pixels without colour.
    """
    small = (
        image.copy() if max(image.size) <= SIDE else image.resize(_within(image.size), Image.Resampling.BOX)
    )
    grey = np.asarray(small.convert("L"), np.float32) / 255
    contrast = float(grey.std())
    pixels = np.atleast_3d(np.asarray(small, np.float32)) / 255
    flat = pixels.reshape(-1, pixels.shape[2])
    one_colour = (np.abs(flat - np.median(flat, axis=0)).max(axis=1) <= SAME).mean()
    return (
        float(grey.mean()),
        contrast,
        _laplacian(grey) / max(contrast**2, 1e-6),
        float(one_colour),
        float((np.ptp(flat, axis=1) <= SAME).mean()),
    )


def _within(size: tuple[int, int]) -> tuple[int, int]:
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _laplacian(light: NDArray[np.floating[Any]]) -> float:
    """Mean square; 0 of less than 3 × 3 pixels."""
    if min(light.shape) < 3:
        return 0.0
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    return float(np.square(around - 4 * light[1:-1, 1:-1]).mean())
