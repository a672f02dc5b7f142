"""Accuracy on images made worse: noise, blur, less contrast, JPEG, at five strengths.

The strengths are those of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261), with the blur in proportion
to the side of the image.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError

STRENGTHS: Final = (1, 2, 3, 4, 5)
NOISE: Final = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation, of pixels in [0, 1]
BLUR: Final = (0.4 / 32, 0.6 / 32, 0.7 / 32, 0.8 / 32, 1.0 / 32)  # standard deviation, of the side
CONTRAST: Final = (0.75, 0.5, 0.4, 0.3, 0.15)  # what is left of it
QUALITY: Final = (80, 65, 58, 50, 40)  # of JPEG


@dataclass(frozen=True)
class CorruptionResult:
    """Accuracy of each model, by name, on images corrupted in one way at one strength, in [0, 1]."""

    corruption: str
    strength: int
    accuracy: dict[str, float]


@dataclass(frozen=True)
class CorruptionTable:
    """Accuracy of each model on images as they are, and on corrupted ones.

    Attributes
    ----------
    n_images
        How many images were used.
    clean_accuracy
        Of each model, by name.
    results
        One for each corruption and strength.
    scale
        What the strengths mean.
    base
        What the model of the base is, in words.
    """

    n_images: int
    clean_accuracy: dict[str, float]
    results: tuple[CorruptionResult, ...]
    scale: str = "strengths 1 to 5 of CIFAR-10-C, blur in proportion to the image"
    base: str = ""

    def rows(self) -> list[tuple[str, ...]]:
        """Rows for a table, as text: a header, then one row for each corruption and model, in percent."""
        rows: list[tuple[str, ...]] = [("corruption", "", "none", *map(str, STRENGTHS), "mean")]
        for corruption in CORRUPTIONS:
            for name, clean in self.clean_accuracy.items():
                found = [one.accuracy[name] for one in self.results if one.corruption == corruption]
                shown = (f"{100 * share:.1f}" for share in (clean, *found, float(np.mean(found))))
                rows.append((corruption, name, *shown))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for metrics.json."""
        return asdict(self)


def corrupt(pixels: NDArray[np.uint8], corruption: str, strength: int, seed: int = 0) -> NDArray[np.uint8]:
    """Make images worse.

    Parameters
    ----------
    pixels
        (n, channels, height, width) uint8, with 1 or 3 channels.
    corruption
        "noise" (Gaussian), "blur" (Gaussian), "contrast" (towards the mean of the image) or "jpeg".
    strength
        1 to 5.

    Raises
    ------
    InputError
        Another corruption or strength, or pixels of another kind.
    """
    if corruption not in CORRUPTIONS or strength not in STRENGTHS:
        raise InputError(
            f"corruption {corruption!r} at strength {strength} given; expected one of {', '.join(CORRUPTIONS)} "
            "at 1 to 5"
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] not in (1, 3):
        raise InputError(
            f"pixels of type {pixels.dtype} and shape {pixels.shape}; expected uint8 (n, 1 or 3, height, width)"
        )
    return CORRUPTIONS[corruption](pixels, strength - 1, seed)


def corruption_table(
    predict: Mapping[str, Callable[[NDArray[np.uint8]], NDArray[np.int64]]],
    pixels: NDArray[np.uint8],
    clusters: Mapping[str, NDArray[np.int64]],
    seed: int = 0,
    advance: Callable[[int], None] | None = None,
) -> CorruptionTable:
    """Measure models on corrupted images.

    Parameters
    ----------
    predict
        Name, such as "base" and "refined", to a function from pixels to clusters.
    pixels
        (n, channels, height, width) uint8.
    clusters
        Name to (n,) int64: the cluster of that model that stands for each image's true class; -1 where none does.
    advance
        Told the number of images after each corruption, for progress.
    """
    if len(pixels) == 0:
        raise InputError("no image to corrupt; expected at least one with a known truth")

    def accuracies(changed: NDArray[np.uint8]) -> dict[str, float]:
        return {name: float((model(changed) == clusters[name]).mean()) for name, model in predict.items()}

    results = []
    for corruption in CORRUPTIONS:
        for strength in STRENGTHS:
            changed = corrupt(pixels, corruption, strength, seed)
            results.append(CorruptionResult(corruption, strength, accuracies(changed)))
            if advance is not None:
                advance(len(pixels))
    return CorruptionTable(len(pixels), accuracies(pixels), tuple(results))


def _noise(pixels: NDArray[np.uint8], level: int, seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    return _to_uint8(pixels + 255 * NOISE[level] * noise)


def _blur(pixels: NDArray[np.uint8], level: int, seed: int) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    sigma = BLUR[level] * min(pixels.shape[2:])
    blurred = gaussian_filter(pixels.astype(np.float32), (0, 0, sigma, sigma), mode="nearest", truncate=4.0)
    return _to_uint8(blurred)


def _contrast(pixels: NDArray[np.uint8], level: int, seed: int) -> NDArray[np.uint8]:
    mean = pixels.mean(axis=(2, 3), keepdims=True, dtype=np.float32)
    return _to_uint8((pixels - mean) * CONTRAST[level] + mean)


def _jpeg(pixels: NDArray[np.uint8], level: int, seed: int) -> NDArray[np.uint8]:
    from PIL import Image

    compressed = np.empty_like(pixels)
    for number, image in enumerate(pixels):
        grey = len(image) == 1
        file = BytesIO()
        Image.fromarray(image[0] if grey else image.transpose(1, 2, 0)).save(
            file, "JPEG", quality=QUALITY[level]
        )
        with Image.open(file) as opened:
            seen = np.asarray(opened)
        compressed[number] = seen[None] if grey else seen.transpose(2, 0, 1)
    return compressed


def _to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


CORRUPTIONS: Final[dict[str, Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]]]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
}
