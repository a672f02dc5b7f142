"""Pairs of images that show the same picture: looked for in sketches, made sure of in detail."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.copies.changes import (
    ANGLE,
    DOWN,
    RIGHT,
    SCALE,
    crops,
    details,
    local_agreement,
    look,
    name_of,
    sketches,
    turns,
)
from ruc.copies.pictures import Pictures
from ruc.progress import progress
from ruc.runtime import Runtime

# Set on stl10, aerial7 and waste6, see experiments/copies.py: made copies lie above, pairs of different images below.
MAY_BE = 0.7  # correlation of sketches from which a pair is looked at
LOOKS_LIKE = 0.75  # correlation of details from which the window is fitted
IS_COPY = 0.95  # correlation of details, fitted
IS_COPY_LOCALLY = 0.9  # mean correlation of blocks
BLOCK = 1024  # pictures compared at once
FIT_STEPS = (0.05, 0.025, 0.0125)  # of the picture's side, and radians
FITTED = (SCALE, RIGHT, DOWN, ANGLE)


@dataclass(frozen=True)
class Pairs:
    """Pairs of copies.

    Attributes
    ----------
    first, second
        (n_pairs,) int64 rows of the pictures, `first` < `second` where both are of one source.
    similarity
        (n_pairs,) float32 in (0, 1]: correlation of what they show; 1 for equal bytes.
    change
        n_pairs texts: "same file", "same picture", "turned 90°", "mirrored", "cropped", …
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]
    change: tuple[str, ...]


def find_pairs(pictures: Pictures, others: Pictures | None, runtime: Runtime) -> Pairs:
    """Pairs of copies within one set of pictures, or between two.

    The cost grows with the square of the number of images: 23 products of 256 values a pair.

    `pictures`: from `read_pictures`. `others`: those to compare with; None: the same ones.
    """
    mine = torch.from_numpy(pictures.grey).float() / 255
    theirs = mine if others is None else torch.from_numpy(others.grey).float() / 255
    found: dict[tuple[int, int], tuple[float, str]] = {}
    for first, second, windows in _candidates(mine, theirs, others is None, runtime):
        similarity, windows = _fitted(mine[first], theirs[second], windows)
        for row in torch.nonzero(similarity >= IS_COPY).flatten().tolist():
            pair = int(first[row]), int(second[row])
            pair = (min(pair), max(pair)) if others is None else pair
            if float(similarity[row]) > found.get(pair, (0.0, ""))[0]:
                found[pair] = (float(similarity[row]), name_of(windows[row]))
    for pair in _equal_bytes(pictures, others):
        found[pair] = (1.0, "same file")
    order = sorted(found)
    return Pairs(
        np.asarray([a for a, _ in order], np.int64),
        np.asarray([b for _, b in order], np.int64),
        np.asarray([found[pair][0] for pair in order], np.float32),
        tuple(found[pair][1] for pair in order),
    )


def _candidates(
    mine: Tensor, theirs: Tensor, same: bool, runtime: Runtime
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of pairs whose sketches are alike, the second seen through a window: of each pair the best window."""
    if len(mine) == 0 or len(theirs) == 0:
        return
    windows = torch.cat([turns(), crops()])
    seen = [sketches(look(theirs, window[None])) for window in windows]
    plain = sketches(mine)
    with progress("comparing", len(mine), "images", runtime.verbose and len(mine) > BLOCK) as advance:
        for start in range(0, len(mine), BLOCK):
            block = plain[start : start + BLOCK]
            best = block @ seen[0].T
            which = torch.zeros(best.shape, dtype=torch.uint8)
            for number, sketched in enumerate(seen[1:], start=1):
                alike = block @ sketched.T
                which[alike > best] = number
                torch.maximum(best, alike, out=best)
            if same:
                own = torch.arange(len(block))
                best[own, own + start] = -1.0
            rows, columns = torch.nonzero(best >= MAY_BE, as_tuple=True)
            for first in range(0, len(rows), BLOCK):
                some, others = rows[first : first + BLOCK], columns[first : first + BLOCK]
                yield some + start, others, windows[which[some, others].long()]
            advance(len(block))


def _fitted(still: Tensor, moved: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation of details of each pair through the window that fits best near the given one, and that window.

    0 where the blocks of the two don't agree.
    """
    target, windows = details(still), windows.clone()
    similarity = (details(look(moved, windows)) * target).sum(dim=1)
    for step in FIT_STEPS:
        for column in FITTED:
            for change in (-step, step):
                rows = torch.nonzero((similarity >= LOOKS_LIKE) & (similarity < IS_COPY)).flatten()
                if len(rows) == 0:
                    continue
                tried = windows[rows].clone()
                tried[:, column] += change
                fits = (details(look(moved[rows], tried)) * target[rows]).sum(dim=1)
                better = fits > similarity[rows]
                similarity[rows[better]], windows[rows[better]] = fits[better], tried[better]
    likely = torch.nonzero(similarity >= IS_COPY).flatten()
    if len(likely) == 0:
        return similarity, windows
    locally = local_agreement(look(moved[likely], windows[likely]), still[likely])
    similarity[likely[locally < IS_COPY_LOCALLY]] = 0.0
    return similarity.clamp(max=1.0), windows


def _equal_bytes(pictures: Pictures, others: Pictures | None) -> list[tuple[int, int]]:
    """Pairs of files with the same bytes; of many in one set each with the first."""
    rows_of: dict[str, list[int]] = {}
    for row, digest in enumerate(pictures.hashes):
        rows_of.setdefault(digest, []).append(row)
    if others is None:
        return [(rows[0], row) for rows in rows_of.values() for row in rows[1:]]
    return [(a, b) for b, digest in enumerate(others.hashes) for a in rows_of.get(digest, [])]
