"""What every base clustering asks of its features."""

import numpy as np
from numpy.typing import NDArray

from ruc.embed.neighbors import check_features
from ruc.errors import InputError

__all__ = ["check_clusterable", "unit_features"]


def unit_features(features: NDArray[np.floating], n_clusters: int) -> NDArray[np.float32]:
    """Return the features as float32 rows of unit length, after checking that they can be clustered.

    Raises
    ------
    InputError
        See `check_clusterable`.
    """
    check_clusterable(features, n_clusters)
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return unit


def check_clusterable(features: NDArray[np.floating], n_clusters: int) -> None:
    """Raise `InputError` unless there is a finite matrix of as many samples as clusters, and of these two or more."""
    check_features(features)
    if n_clusters < 2:
        raise InputError(f"n_clusters is {n_clusters}; expected 2 or more")
    if len(features) < n_clusters:
        raise InputError(
            f"{len(features)} samples for {n_clusters} clusters; lower n_clusters or give more samples"
        )
