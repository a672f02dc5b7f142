"""k-means on the unit sphere."""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from ruc.cluster.clustering import Clustering
from ruc.cluster.inputs import unit_features
from ruc.runtime import Runtime

__all__ = ["kmeans"]


def kmeans(
    features: NDArray[np.floating], n_clusters: int, runtime: Runtime, n_restarts: int = 10
) -> Clustering:
    """Cluster by k-means on unit-length features; the restart with the lowest inertia wins.

    Parameters
    ----------
    features
        (n_samples, n_features).
    n_clusters
        Number of clusters.
    runtime
        The seed.
    n_restarts
        How many k-means++ starts.

    Returns
    -------
    Clustering
        Without probabilities: distances to centres say nothing about certainty.
    """
    unit = unit_features(features, n_clusters)
    model = KMeans(n_clusters, n_init=n_restarts, random_state=runtime.numpy_seed("kmeans"))
    labels = model.fit_predict(unit).astype(np.int64)
    return Clustering(labels, None, n_clusters, "kmeans")
