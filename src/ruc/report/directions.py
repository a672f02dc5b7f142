"""The features in few directions and one byte each: what the page needs to see where an image seems to belong."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits.nearest import leading_directions

MOST_DIRECTIONS: Final = 32  # experiments/LOG.md: with 64, and with all, the review needs as many keys
FEWEST_DIRECTIONS: Final = 8
BUDGET: Final = 1_600_000  # bytes; with fewer than eight directions for each image there are none
FINEST: Final = 127


def in_few_directions(features: NDArray[np.floating[Any]]) -> NDArray[np.int8]:
    """Features along their directions of largest variance around zero, in steps of a 127th of the largest.

    Cosines are kept up to a common factor. (n_samples, up to 32); fewer where there are more than 50,000 samples, none
    where there are more than 200,000.
    """
    n_samples = len(features)
    n_directions = min(MOST_DIRECTIONS, BUDGET // max(1, n_samples))
    if n_samples == 0 or n_directions < FEWEST_DIRECTIONS:
        return np.zeros((n_samples, 0), np.int8)
    features = np.asarray(features, np.float32)
    if features.shape[1] > n_directions:
        features = leading_directions(features, n_directions)
    largest = max(float(np.abs(features).max(initial=0)), 1e-12)
    return np.asarray(np.rint(features / largest * FINEST), np.int8)
