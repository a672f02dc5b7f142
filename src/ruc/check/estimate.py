"""How many of all images are right, from the answers about some of them, with an interval.

The share is Horvitz and Thompson's: each stratum counts as its size. The interval is Wilson's (1927), which holds for
shares near 0 and 1 too, with the number of answers that would say as much if they were drawn from all images alike:
strata that differ are worth more answers, and images that were looked at aren't uncertain any more (the finite
population's correction).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
Z: Final = 1.959964  # of the normal distribution, for that level
BORROWED: Final = (
    2.0  # answers by which the variance within a stratum leans on all strata: two or three alone lie
)


@dataclass(frozen=True)
class Share:
    """A share of images, estimated from answers about some of them.

    Attributes
    ----------
    value, low, high
        In [0, 1]: the estimate, and the interval that holds the true share of these images 95 times in 100.
    n_answers, n_images
        How many were looked at, of how many.
    """

    value: float
    low: float
    high: float
    n_answers: int
    n_images: int

    @property
    def further_to_halve(self) -> int:
        """How many further answers would make the interval half as wide."""
        if self.n_answers == 0:
            return 0
        rest = 1 / self.n_answers - 1 / self.n_images
        wanted = 1 / (rest / 4 + 1 / self.n_images)
        return max(0, min(math.ceil(wanted), self.n_images) - self.n_answers)


def estimate_share(
    is_right: NDArray[np.bool_], stratum: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Share:
    """The share of right ones among all images.

    Parameters
    ----------
    is_right
        (n_answers,) of the images looked at.
    stratum
        (n_answers,) the stratum of each, within which all images had the same chance to be drawn.
    sizes
        (n_strata,) how many images each stratum has. One without an answer is taken to be as all others.
    """
    asked = np.bincount(stratum, minlength=len(sizes))
    return share_with_known(is_right, stratum, np.ones(len(is_right)), sizes, asked, int(is_right.sum()))


def share_with_known(
    is_right: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    worth: NDArray[np.floating],
    sizes: NDArray[np.int64],
    known: NDArray[np.int64],
    n_known_right: int,
) -> Share:
    """The same where what is known of some images and what is judged of all others are two things.

    Parameters
    ----------
    is_right, stratum
        (n_answers,) judgements of what is said of images that nobody looked at.
    worth
        (n_answers,) in (0, 1]: each tells as much as so many answers about images drawn by chance.
    sizes, known
        (n_strata,) how many images each stratum has, and of how many of them it's known whether they are right.
    n_known_right
        How many of those are.
    """
    n_images, n_answers = int(sizes.sum()), len(is_right)
    if n_answers == 0:
        return Share(math.nan, 0.0, 1.0, 0, n_images)
    asked = np.bincount(stratum, weights=worth, minlength=len(sizes))
    right = np.bincount(stratum, weights=worth * is_right, minlength=len(sizes))
    seen = asked > 0
    asked, right, weights = asked[seen], right[seen], sizes[seen] / sizes[seen].sum()
    # Images that each stratum stands for: its own that aren't known, and a part of those of strata without an answer.
    rest = (sizes - known)[seen] + weights * (sizes - known)[~seen].sum()
    n_rest = float(rest.sum())
    if n_rest == 0:
        value = n_known_right / n_images
        return Share(value, value, value, n_answers, n_images)
    share = float(rest @ (right / asked)) / n_rest
    n_worth = float(asked.sum())
    # Never 0 or 1: a few answers don't exclude the other.
    pooled = (float(weights @ (right / asked)) * n_worth + 0.5) / (n_worth + 1)
    within = (right + BORROWED * pooled) / (asked + BORROWED)
    # Of the answers, and of the rest itself, which is finite.
    variance = float((within * (1 - within)) @ (rest**2 / asked + rest)) / n_rest**2
    overall = float(rest @ within) / n_rest
    bounds = (share, *_wilson(share, overall * (1 - overall) / variance))
    # Rounding leads out of [0, 1], on some processors.
    value, low, high = (min(max((n_known_right + n_rest * bound) / n_images, 0.0), 1.0) for bound in bounds)
    return Share(value, min(low, value), max(high, value), n_answers, n_images)


def _wilson(value: float, n_answers: float) -> tuple[float, float]:
    shrink = 1 + Z**2 / n_answers
    centre = (value + Z**2 / (2 * n_answers)) / shrink
    half = Z / shrink * math.sqrt(value * (1 - value) / n_answers + Z**2 / (4 * n_answers**2))
    return centre - half, centre + half
