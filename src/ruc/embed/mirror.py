"""Whether mirror images belong to the same world as the images: a two-sample test without labels.

Photographs mirrored are photographs that could have been taken. Digits and letters mirrored are not digits and
letters any more, and a network that is told they are the same learns to confuse b with d, and 2 with 5.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.embed.pixels import fit_pixels
from ruc.runtime import Runtime

MOST_SAMPLES = 3000


def mirrored_share(pixels: NDArray[np.uint8], runtime: Runtime, n_features: int = 32) -> float:
    """Share of the images that lie farther from the other images when mirrored.

    Near 0.5 where mirroring changes nothing about how likely an image is, as with photographs; near 1 where
    mirrored images are strangers. The standard error is at most 0.5 / sqrt(n).

    Parameters
    ----------
    pixels
        (n, channels, size, size) uint8, at least 2 images; at most 3,000, drawn by chance, are looked at.
    n_features
        Distances are cosines in this many principal components.
    """
    if len(pixels) > MOST_SAMPLES:
        drawn = np.random.default_rng(runtime.numpy_seed("mirror/sample"))
        pixels = pixels[np.sort(drawn.permutation(len(pixels))[:MOST_SAMPLES])]
    embedder = fit_pixels(pixels, n_features)
    plain = torch.from_numpy(embedder.transform(pixels, runtime))
    mirrored = torch.from_numpy(embedder.transform(np.ascontiguousarray(pixels[..., ::-1]), runtime))
    nearest, nearest_mirrored = _nearest_other(plain, plain), _nearest_other(mirrored, plain)
    farther = (nearest_mirrored < nearest).float() + 0.5 * (nearest_mirrored == nearest).float()
    return float(farther.mean())


def _nearest_other(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(n,) highest cosine of each row to the others, its own image left out."""
    similarity = rows @ others.T
    return similarity.fill_diagonal_(-torch.inf).amax(dim=1)
