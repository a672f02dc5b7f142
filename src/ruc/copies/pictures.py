"""Small grey pictures of whole images, and how large and how sharp the images are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.errors import InputError, shortened
from ruc.images.load import Skipped, content_hashes, stream_batches
from ruc.images.source import ImageSource
from ruc.progress import progress
from ruc.runtime import Runtime

SIDE = 64  # pixels of a small picture: enough to tell pictures apart, see experiments/copies.py
SHARPNESS_SIDE = 256  # pixels: sharpness is measured at this size, or as it is where an image is smaller
BATCH = 256


@dataclass(frozen=True)
class Pictures:
    """What copies are told by; n is the number of images that could be read.

    Attributes
    ----------
    file_names
        n names in the order of the source.
    grey
        (n, 64, 64) uint8: the whole image but for a frame of one grey, squeezed into a square.
    hashes
        Of each file's bytes.
    sharpness
        (n,) float32: mean square of the Laplacian of grey in [0, 1], at a longer side of 256 pixels at most.
    width, height
        (n,) int64 pixels of the upright image.
    skipped
        The images that could not be read.
    """

    file_names: tuple[str, ...]
    grey: NDArray[np.uint8]
    hashes: tuple[str, ...]
    sharpness: NDArray[np.float32]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    skipped: tuple[Skipped, ...]


def read_pictures(source: ImageSource, runtime: Runtime) -> Pictures:
    """Read all images once, decoding in parallel; raises `InputError` where none can be read."""
    rows: list[NDArray[np.float64]] = []
    indices: list[int] = []
    skipped: list[Skipped] = []
    with progress("reading", len(source), "images", runtime.verbose) as advance:
        for batch in stream_batches(source, _measured, BATCH):
            rows += list(batch.images)
            indices += batch.indices.tolist()
            skipped += batch.skipped
            advance(len(batch.indices) + len(batch.skipped))
    if not rows:
        name, reason = skipped[0]
        raise InputError(
            f"none of {len(source)} images can be read ({shortened(name)}: {reason}); expected some that can: convert "
            "them, or give another folder"
        )
    table = np.asarray(rows)
    hashes = content_hashes(source)
    sizes = table[:, -2:].astype(np.int64).reshape(-1, 2)
    return Pictures(
        tuple(source.file_names[index] for index in indices),
        table[:, :-3].astype(np.uint8).reshape(-1, SIDE, SIDE),
        tuple(hashes[index] for index in indices),
        table[:, -3].astype(np.float32),
        sizes[:, 0],
        sizes[:, 1],
        tuple(skipped),
    )


def _measured(image: Image.Image) -> NDArray[np.float64]:
    """The small picture, the sharpness, and the size, in one row."""
    grey = _without_frame(image.convert("L"))
    small = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    grey.thumbnail((SHARPNESS_SIDE, SHARPNESS_SIDE))
    return np.concatenate([np.asarray(small).ravel(), [sharpness_of(np.asarray(grey)), *image.size]])


def _without_frame(grey: Image.Image) -> Image.Image:
    """What is left when rows and columns of one value are taken from the edges; the whole where nothing is.

    A frame is no part of a picture, and frames make different pictures alike.
    """
    light = np.asarray(grey)
    across, down = np.flatnonzero(np.ptp(light, axis=0)), np.flatnonzero(np.ptp(light, axis=1))
    if len(across) == 0 or len(down) == 0:
        return grey
    return grey.crop((int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1))


def sharpness_of(grey: NDArray[np.uint8]) -> float:
    """Mean square of the discrete Laplacian of (height, width) grey, in units of white; 0 of less than 3 × 3."""
    if min(grey.shape) < 3:
        return 0.0
    light = grey.astype(np.float32) / 255
    inner = light[1:-1, 1:-1]
    around = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:]
    return float(np.square(around - 4 * inner).mean())
