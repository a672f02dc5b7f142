"""Which images show what a cluster is: the medoids of its parts first, so that no part of it stays hidden."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.mapped import let_go

MOST_PARTS: Final = 8
IMAGES_PER_PART: Final = 8
LEAST_SHARE: Final = 0.05  # of the cluster; the medoid of a smaller part isn't typical of anything
N_STEPS: Final = 30
ROWS_PER_PART: Final = 256


def typical_ranks(
    cluster: NDArray[np.integer[Any]], features: NDArray[np.floating[Any]] | None, seed: int = 0
) -> NDArray[np.float32]:
    """How typical each image is of its cluster: (n,) in [0, 1), the most typical lowest.

    A cluster is divided in up to eight parts by k-means. First come the parts' medoids, the largest part's first; then
    the parts by turns, each from its middle outwards, in proportion to their sizes. Without features all are equal.
    """
    ranks = np.zeros(len(cluster), np.float32)
    if features is None:
        return ranks
    for one in np.unique(cluster[cluster >= 0]):
        members = np.flatnonzero(cluster == one)
        order = np.argsort(_keys(np.asarray(features[members], np.float32), seed), kind="stable")
        ranks[members[order]] = np.arange(len(members)) / len(members)
        let_go(features)
    return ranks


def _keys(features: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Sorted by these the images of one cluster cover it."""
    from ruc.neighbors.centres import find_centres, nearest_centres
    from ruc.runtime import Runtime

    n_images = len(features)
    n_parts = max(1, min(MOST_PARTS, n_images // IMAGES_PER_PART))
    centres = find_centres(features, n_parts, Runtime("cpu", seed), "prototypes", ROWS_PER_PART, 1, N_STEPS)
    parts, _ = nearest_centres(features, centres)
    keys = np.empty(n_images)
    for part in np.unique(parts):
        rows = np.flatnonzero(parts == part)
        # of unit vectors the one nearest to their mean has the highest similarity to all: the medoid
        own = features[rows]
        # not a product by BLAS, which was seen to flag finite numbers as invalid
        inwards = np.einsum("ij,j->i", own, own.mean(axis=0))
        outwards = rows[np.argsort(-inwards, kind="stable")]
        keys[outwards] = (np.arange(len(rows)) + 0.5) / len(rows)
        if len(rows) >= LEAST_SHARE * n_images:
            keys[outwards[0]] = -len(rows)
    return keys
