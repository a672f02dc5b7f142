"""Small images for the report: which ones, how large, and as text."""

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.errors import UnreadableImageError
from ruc.report.data import OpenThumbnail

MOST_SHOWN: Final = 10_000
BUDGET: Final = 12_000_000  # characters of base64; the rest of the report stays far below the 20 MB aimed at
SIDES: Final = (240, 192, 160, 128, 96, 80, 64, 48, 32)
LONGEST: Final = 1.6  # longer side per shorter side; beyond, the ends are cropped
QUALITY: Final = 75
N_PROBES: Final = 48
N_THREADS: Final = 8


@dataclass(frozen=True)
class Thumbnails:
    """Thumbnails of some of the rows.

    Attributes
    ----------
    rows
        (n_shown,) int64, the rows that have a thumbnail.
    images
        Their WebP files as base64, in the same order.
    side
        Pixels of the shorter side, unless the image itself is smaller.
    """

    rows: NDArray[np.int64]
    images: tuple[str, ...]
    side: int


def choose_shown(
    cluster: NDArray[np.integer[Any]],
    typicality: NDArray[np.floating[Any]],
    confidence: NDArray[np.floating[Any]],
    doubt: NDArray[np.floating[Any]],
    joined: NDArray[np.bool_],
    n_shown: int = MOST_SHOWN,
) -> NDArray[np.int64]:
    """Choose the rows that get a thumbnail: all, or a fair sample of every cluster.

    Each cluster has the same share; a quarter of it each goes to its most typical, its most
    doubtful, its newly joined (most confident first), and evenly spaced images. What a small cluster
    does not need goes to the most doubtful images of the rest.

    Returns them ascending, at most `n_shown`.
    """
    n_samples = len(cluster)
    if n_samples <= n_shown:
        return np.arange(n_samples)
    clusters = np.unique(cluster)
    share = n_shown // len(clusters)
    is_shown = np.zeros(n_samples, dtype=bool)
    for one in clusters:
        members = np.flatnonzero(cluster == one)
        if len(members) <= share:
            is_shown[members] = True
            continue
        new = members[joined[members]]
        orders = (
            members[np.argsort(-typicality[members], kind="stable")],
            members[np.argsort(-doubt[members], kind="stable")],
            new[np.argsort(-confidence[new], kind="stable")],
            members[np.linspace(0, len(members) - 1, share // 4).astype(np.int64)],
        )
        for order in orders:
            is_shown[order[: share // 4]] = True
    doubtful = np.argsort(-doubt, kind="stable")
    rest = doubtful[~is_shown[doubtful]][: n_shown - int(is_shown.sum())]
    is_shown[rest] = True
    return np.flatnonzero(is_shown)


def make_thumbnails(
    open_thumbnail: OpenThumbnail,
    rows: Sequence[int] | NDArray[np.int64],
    budget: int = BUDGET,
    largest_side: int = SIDES[0],
) -> Thumbnails:
    """Encode the thumbnails of `rows`, as large as the budget allows.

    An image that can no longer be opened (moved or deleted since the run) has no thumbnail.

    Parameters
    ----------
    open_thumbnail
        Opens the image of a row; called from several threads.
    budget
        Most characters that all of them may take together.
    largest_side
        Most pixels of the shorter side.
    """
    rows = np.asarray(rows, dtype=np.int64)
    probes = rows[np.linspace(0, len(rows) - 1, min(N_PROBES, len(rows))).astype(np.int64)]
    sides = [side for side in SIDES if side <= largest_side] or [SIDES[-1]]
    side = sides[0]
    with ThreadPoolExecutor(N_THREADS) as pool:
        opened = pool.map(lambda row: _open(open_thumbnail, row, round(sides[0] * LONGEST)), probes)
        largest = [image for image in opened if image]
        for candidate in sides:
            side = candidate
            sizes = [len(encode(image, side)) for image in largest]
            # a tenth is kept back: the probes are a sample
            if not sizes or np.mean(sizes) * len(rows) <= 0.9 * budget:
                break

        def make(row: int) -> str | None:
            image = _open(open_thumbnail, row, round(side * LONGEST))
            return None if image is None else encode(image, side)

        made = list(pool.map(make, rows))
    kept = [i for i, text in enumerate(made) if text is not None]
    return Thumbnails(rows[kept], tuple(text for text in made if text is not None), side)


def encode(image: Image.Image, side: int) -> str:
    """WebP as base64, the shorter side `side` pixels (never enlarged), very long images cropped."""
    width, height = image.size
    longest = round(min(width, height) * LONGEST)
    if max(width, height) > longest:
        left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
        image = image.crop((left, top, min(width, left + longest), min(height, top + longest)))
        width, height = image.size
    scale = side / min(width, height)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.convert("RGB").save(file, "WEBP", quality=QUALITY, method=2)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _open(open_thumbnail: OpenThumbnail, row: int, size: int) -> Image.Image | None:
    try:
        return open_thumbnail(int(row), size)
    except (OSError, UnreadableImageError):
        return None
