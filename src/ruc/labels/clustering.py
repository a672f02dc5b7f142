"""What every base clustering returns."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1

MadeOf = Literal["elsewhere", "features", "graph", "layouts", "network"]


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
    made_of
        What the method looked at, and so what it can know: the "features"; their neighbour "graph"; "layouts" of that
        graph; a trained "network", which may have seen more; or "elsewhere", as with labels that were given.
    cluster_names
        What messages call the clusters; None: their numbers.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None
    n_clusters: int
    name: str
    made_of: MadeOf = "elsewhere"
    cluster_names: tuple[str, ...] | None = None
