"""Sets of clusters that hold the right one as often as promised: split conformal prediction.

A cluster is possible for an image where its probability reaches a threshold: the one that the right clusters of so
many answered images reach (Sadinle, Lei and Wasserman 2019, *Least ambiguous set-valued classifiers*). It holds for
images drawn like those that were asked about, whatever the probabilities are worth; poor ones make large sets.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def least_probability(of_right: NDArray[np.floating], coverage: float) -> float:
    """The probability from which a cluster is possible.

    Returns 0 where the answers are too few, or too many of them don't name the right cluster: then all are possible.

    Parameters
    ----------
    of_right
        (n_answers,) the probability of the right cluster of each image that was looked at; 0 where it's only known that
        its cluster is wrong.
    coverage
        In (0, 1): how often the right cluster shall be among the possible ones, at least.
    """
    n_inside = math.ceil((len(of_right) + 1) * coverage)
    if n_inside > len(of_right):
        return 0.0
    return float(np.sort(of_right)[::-1][n_inside - 1])


def possible_clusters(
    probabilities: NDArray[np.floating], least: float, names: Sequence[str]
) -> NDArray[np.str_]:
    """(n_samples,) the names of the clusters that are possible for each, likeliest first, with " | " between them."""
    texts = []
    for row in probabilities:
        order = np.argsort(-row, kind="stable")
        n_possible = max(1, int((row >= least).sum()))
        texts.append(" | ".join(names[one] for one in order[:n_possible]))
    return np.asarray(texts, dtype=np.str_)
