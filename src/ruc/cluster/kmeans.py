"""k-means on the unit sphere."""

import warnings

import numpy as np
from numpy.typing import NDArray

from ruc.cluster.inputs import check_clusterable, too_few_different, unit_features
from ruc.labels.clustering import Clustering
from ruc.neighbors.centres import find_centres, nearest_centres, settle_on_all
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

MOST_WITH_RESTARTS = 5_000_000  # samples times clusters
ROWS_PER_CLUSTER = 256  # of more samples, as many as faiss takes
MOST_STEPS = 60  # on these; 20 lose accuracy (experiments/LOG.md)


def kmeans(
    features: NDArray[np.floating],
    n_clusters: int,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    n_restarts: int = 10,
) -> Clustering:
    """Cluster by k-means on unit-length features; the restart with the lowest inertia wins.

    Where samples times clusters are more than five million the centres are found on a part of the samples, from as many
    starts as are cheap, and then settle on all of them in a few steps (`ruc.neighbors.centres`).

    Without probabilities: distances to centres say nothing about certainty.

    Parameters
    ----------
    features
        (n_samples, n_features).
    neighbors
        Not looked at.
    n_restarts
        How many k-means++ starts.
    """
    if len(features) * n_clusters > MOST_WITH_RESTARTS:
        check_clusterable(features, n_clusters)
        with runtime.rounded_products():
            centres = find_centres(
                features, n_clusters, runtime, "kmeans", ROWS_PER_CLUSTER, n_restarts, MOST_STEPS
            )
            centres = settle_on_all(features, centres)
        labels, _ = nearest_centres(features, centres)
        return Clustering(labels, None, n_clusters, "kmeans", "features")
    unit = unit_features(features, n_clusters)
    labels = kmeans_labels(unit, n_clusters, runtime.numpy_seed("kmeans"), n_restarts)
    return Clustering(labels, None, n_clusters, "kmeans", "features")


def kmeans_labels(
    rows: NDArray[np.floating],
    n_clusters: int,
    seed: int,
    n_restarts: int = 10,
    weights: NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Labels of k-means on the rows as they are; `weights`: how many samples each stands for.

    Raises
    ------
    InputError
        Fewer different rows than clusters.
    """
    from sklearn.cluster import KMeans  # slow to import: not before the first progress bar
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said below, with a remedy
        model = KMeans(n_clusters, n_init=n_restarts, random_state=seed).fit(rows, sample_weight=weights)
    labels: NDArray[np.int64] = model.labels_.astype(np.int64)
    n_found = len(np.unique(labels))
    if n_found < n_clusters:
        raise too_few_different(n_found, n_clusters)
    return labels
