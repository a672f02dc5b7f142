"""Which values of a run are black and which are white: one rule for all its files of one kind.

Measured values come in any unit, and a pixel that is hot, dead or without data says nothing of it. So the ends are
found from what most pixels of all files say, and are those of the format wherever the values fill it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruc.images.reading import Range
from ruc.images.values import WHITE_IS_ZERO, Values

FEW = 0.005  # share of the pixels at either end that may be anything: hot and dead ones
FENCE = 0.25  # values so far beyond the others, as a share of their span, still belong to them
FULL = 0.5  # values that span so much of what the format holds are shown as the format has them
MOST_PIXELS = 1 << 16  # of an image, evenly spread, for the shares
DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits that sensors have
FLOAT_TOPS = (1.0, 255.0, 65535.0)  # what floats reach that were made of pixels
# Numbers that stand for "no data" in files that don't say so, as ESRI's and GDAL's grids, 16-bit rasters and netCDF
# have them, each with how far it has to be from all other values, in their spans: 65535 may also be a pixel as bright
# as can be.
NO_DATA = {
    -999: 1, -9999: 1, -99999: 1, -32767: 1, -32768: 1, -2147483647: 1, -2147483648: 1, 65535: 10, 2147483647: 10,
}  # fmt: skip
ABSURD = 1e30
BYTES = tuple(f"uint{bits}" for bits in range(1, 9))  # as all other readers show them


class Ends(NamedTuple):
    """Of one image: where nearly all of its values lie, and all of those that can be meant: no hot or dead pixel."""

    low: float
    high: float
    least: float
    greatest: float


def ends_of(values: Values) -> Ends | None:
    """Where the values of one image lie; None where there is none."""
    known = values.is_known
    if values.alpha is not None:
        visible = values.alpha > 0
        known &= visible if known.ndim == 2 else visible[:, :, None]
    found = values.array[known]
    if found.dtype.kind == "f":
        found = found[np.isfinite(found)]
        found = found[np.abs(found.astype(np.float64)) < ABSURD]
    found = _without_no_data(found)
    if found.size == 0:
        return None
    low, high = np.quantile(_spread(found), (FEW, 1 - FEW))
    reach = FENCE * (high - low)
    meant = found[(found >= low - reach) & (found <= high + reach)]
    return Ends(float(low), float(high), float(meant.min()), float(meant.max()))


def common_range(kind: str, images: Sequence[Ends]) -> Range:
    """Which value is black and which is white for images of this kind.

    Parameters
    ----------
    kind
        See `Values`.
    images
        Of a sample of them; none: the ends are those of the format.
    """
    kind = kind.removesuffix(WHITE_IS_ZERO)
    full = _formats_of(kind)
    if not images:
        return full[0] if kind == "float" else full[-1]
    lows, highs, leasts, greatests = (np.array(each) for each in zip(*images, strict=True))
    low, high = _lowest(lows), -_lowest(-highs)
    if len(full) == 1 and kind in BYTES:
        return full[0]
    for bottom, top in full:
        if bottom <= low and high <= top and high - low >= FULL * (top - bottom):
            return bottom, top
    if high <= low:  # each image is of one and the same value
        return next(((bottom, top) for bottom, top in full if bottom <= low <= top), (low, low + 1))
    reach = FENCE * (high - low)
    return max(float(leasts.min()), low - reach), min(float(greatests.max()), high + reach)


def has_format(kind: str) -> bool:
    """Whether values of a kind have ends of their own, that need no files to be known."""
    return bool(_formats_of(kind.removesuffix(WHITE_IS_ZERO)))


def _lowest(values: NDArray[Any]) -> float:
    """The lowest of up to a hundred; of more, what one in a hundred is below: one file may be anything."""
    return float(np.quantile(values, 0.01 if len(values) > 100 else 0, method="lower"))


def _formats_of(kind: str) -> list[Range]:
    """What values of a kind can fill, narrowest first; of 8 bits and less there is no choice."""
    if kind == "float":
        return [(0.0, top) for top in FLOAT_TOPS]
    if kind == "rescaled":  # Hounsfield units, or any other
        return []
    bits = int(kind.lstrip("uint"))
    if kind.startswith("int"):
        return [*_unsigned(bits - 1), (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)]
    return _unsigned(bits)


def _unsigned(bits: int) -> list[Range]:
    return [(0.0, 2.0**depth - 1) for depth in (*(depth for depth in DEPTHS if depth < bits), bits)]


def _without_no_data(found: NDArray[Any]) -> NDArray[Any]:
    """Without a number known to stand for "no data" that is farther from the others than they span."""
    for is_least in (True, False):
        if found.size == 0:
            break
        end = float(found.min() if is_least else found.max())
        if end not in NO_DATA:
            continue
        others: NDArray[Any] = found[found != end]
        if others.size == 0:
            return others
        low, high = np.quantile(_spread(others), (FEW, 1 - FEW))
        if (low - end if is_least else end - high) > NO_DATA[int(end)] * (high - low):
            found = others
    return np.asarray(found)


def _spread(found: NDArray[Any]) -> NDArray[Any]:
    """At most `MOST_PIXELS` of them, evenly spread."""
    few: NDArray[np.float64] = found[:: -(-found.size // MOST_PIXELS)].astype(np.float64)
    return few
