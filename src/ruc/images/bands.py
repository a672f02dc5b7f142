"""Which of an image's bands are its picture, and which is its transparency."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.images.values import Values


def picture_of(
    bands: NDArray[Any],
    kind: str,
    alpha_band: int | None = None,
    largest_alpha: float = 1.0,
    nodata: float | None = None,
    is_associated: bool = False,
) -> Values:
    """The values that are looked at: the first band, or, of three and more, the first three as red, green and blue.

    Parameters
    ----------
    bands
        (height, width) or (height, width, n_bands).
    kind, nodata
        See `Values`.
    alpha_band
        The band that is alpha; None: none is, whatever there is beyond the third.
    largest_alpha
        Its value where the image is opaque.
    is_associated
        Whether the colours are multiplied by it already.
    """
    if bands.ndim == 2:
        return Values(bands, kind, None, nodata)
    alpha = None
    if alpha_band is not None:
        alpha = np.clip(bands[:, :, alpha_band].astype(np.float32) / np.float32(largest_alpha), 0, 1)
        bands = np.delete(bands, alpha_band, axis=2)
        if is_associated:
            bands = _divided(bands, alpha[:, :, None])
    shown = bands[:, :, :3] if bands.shape[2] >= 3 else bands[:, :, 0]
    return Values(shown, kind, alpha, nodata)


def _divided(colours: NDArray[Any], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours as they were before alpha multiplied them; black where nothing is left of them."""
    with np.errstate(divide="ignore", invalid="ignore"):
        divided = np.where(alpha > 0, colours / alpha, 0).astype(np.float32)
    if colours.dtype.kind == "u":  # rounded numbers may lead beyond the largest one
        divided = np.minimum(divided, np.float32(np.iinfo(colours.dtype).max))
    return divided
