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
    """
    if bands.ndim == 2:
        return Values(bands, kind, None, nodata)
    alpha = None
    if alpha_band is not None:
        alpha = np.clip(bands[:, :, alpha_band].astype(np.float32) / np.float32(largest_alpha), 0, 1)
        bands = np.delete(bands, alpha_band, axis=2)
    shown = bands[:, :, :3] if bands.shape[2] >= 3 else bands[:, :, 0]
    return Values(shown, kind, alpha, nodata)
