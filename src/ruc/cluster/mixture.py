"""A Gaussian mixture in the leading principal components."""

import numpy as np
from numpy.typing import NDArray

from ruc.cluster.inputs import unit_features
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

REGULARISATION = 1e-3  # of the covariances, where the mean variance of a component is 1


def mixture(
    features: NDArray[np.floating],
    n_clusters: int,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    n_components: int = 32,
    n_restarts: int = 3,
) -> Clustering:
    """Cluster by a mixture of Gaussians with a covariance each; the likeliest restart wins.

    With posterior probabilities.

    Parameters
    ----------
    features
        (n_samples, n_features).
    neighbors
        Not looked at.
    n_components
        Principal components kept, fewer where clusters have too few samples for a covariance of that size: a
        full covariance of 512 features has 131,328 entries.
    n_restarts
        How many starts from k-means.
    """
    from sklearn.decomposition import PCA  # slow to import: not before the first progress bar
    from sklearn.mixture import GaussianMixture

    unit = unit_features(features, n_clusters)
    affordable = max(2, len(unit) // (2 * n_clusters))
    n_components = min(n_components, affordable, *unit.shape)
    components = PCA(n_components, random_state=runtime.numpy_seed("mixture components")).fit_transform(unit)
    components = (components / max(float(components.std()), 1e-12)).astype(np.float64)
    model = GaussianMixture(
        n_clusters,
        n_init=n_restarts,
        reg_covar=REGULARISATION,
        max_iter=200,
        random_state=runtime.numpy_seed("mixture"),
    ).fit(components)
    probabilities = model.predict_proba(components).astype(np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "mixture", "features")
