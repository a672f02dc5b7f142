"""What every base clustering returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["UNKNOWN", "Clustering"]

UNKNOWN = -1


@dataclass(frozen=True)
class Clustering:
    """A clustering of n samples into clusters 0 … n_clusters-1.

    Attributes
    ----------
    labels
        (n_samples,) int64; -1 where the method does not know (HDBSCAN's noise, a missing label).
    probabilities
        (n_samples, n_clusters) float32, rows summing to 1, or None where the method has none.
    n_clusters
        Number of clusters.
    name
        The method, for reports and logs.
    cluster_names
        What messages call the clusters; None: their numbers.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None
    n_clusters: int
    name: str
    cluster_names: tuple[str, ...] | None = None
