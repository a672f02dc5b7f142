"""Which images a person is asked about: drawn by chance, evenly over confidence and clusters.

All images are put in order of confidence and divided into strata of like size. Within a stratum, images are drawn with
equal probability, evenly over its clusters. So the share of right answers says something about all images, and no
stratum of them, nor any large cluster, is left out by chance.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_STRATA: Final = 5
ANSWERS_PER_STRATUM: Final = 5  # fewer say nothing of how much the answers differ within one


def strata(confidence: NDArray[np.floating], n_answers: int) -> NDArray[np.int64]:
    """The stratum of each image, (n,): groups of like size in order of confidence, 0 the least confident.

    Parameters
    ----------
    confidence
        (n,) by which images are told apart before anybody has looked.
    n_answers
        How many images are looked at: with few there are fewer strata than five.
    """
    n_images = len(confidence)
    n_strata = max(1, min(MOST_STRATA, n_answers // ANSWERS_PER_STRATUM))
    ranks = np.empty(n_images, np.int64)
    ranks[np.argsort(confidence, kind="stable")] = np.arange(n_images)
    return np.asarray(ranks * n_strata // max(n_images, 1), np.int64)


def draw(
    stratum: NDArray[np.int64],
    cluster: NDArray[np.int64],
    is_open: NDArray[np.bool_],
    n_drawn: int,
    seed: int,
) -> NDArray[np.int64]:
    """Draw images to ask about, and return their rows in order of cluster.

    Parameters
    ----------
    stratum, cluster
        (n,) of every image.
    is_open
        (n,) bool: may be asked about; others were already.
    n_drawn
        How many, at most as many as are open. Strata get numbers that differ by one at most, as long as they have
        enough.
    """
    random = np.random.default_rng(seed)
    sizes = np.bincount(stratum[is_open], minlength=int(stratum.max(initial=0)) + 1)
    drawn = []
    for one, n_here in enumerate(_shared_out(sizes, n_drawn, random)):
        rows = np.flatnonzero(is_open & (stratum == one))
        rows = random.permutation(rows)
        rows = rows[np.argsort(cluster[rows], kind="stable")]
        # Every n-th of them from a random place on: each image has the same chance.
        places = (random.random() + np.arange(n_here)) * len(rows) / max(n_here, 1)
        drawn.append(rows[np.minimum(places.astype(np.int64), len(rows) - 1)] if n_here else rows[:0])
    rows = np.concatenate(drawn)
    return np.asarray(rows[np.lexsort((rows, cluster[rows]))], np.int64)


def _shared_out(sizes: NDArray[np.int64], n_drawn: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How many to draw of each stratum: alike, no more than it has."""
    shares = np.zeros(len(sizes), np.int64)
    left = min(n_drawn, int(sizes.sum()))
    while left:
        able = random.permutation(np.flatnonzero(shares < sizes))
        more = max(1, left // len(able))
        for one in able:
            added = min(more, int(sizes[one] - shares[one]), left)
            shares[one] += added
            left -= added
    return shares
