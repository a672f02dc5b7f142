"""Clusters as dense regions (HDBSCAN); what lies between them is noise."""

import logging

import numpy as np
from numpy.typing import NDArray

from ruc.cluster.inputs import unit_features
from ruc.errors import InputError
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.copies import find_copies
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.layout import graph_layout
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

N_DIMENSIONS = 4  # of the layout: densities say little in more; no experiment behind it
# Of the samples, tried one by one.
SMALLEST_SHARES = (0.05, 0.03, 0.02, 0.015, 0.01, 0.007, 0.005, 0.003, 0.002)
MIN_SAMPLES = 5  # scikit-learn's default for HDBSCAN


def density(
    features: NDArray[np.floating],
    n_clusters: int | None,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    smallest_share: float = 0.01,
) -> Clustering:
    """Cluster by HDBSCAN in a layout of the neighbour graph, where density means something.

    Noise is -1; without probabilities. The number of clusters is the one that was found.

    Parameters
    ----------
    features
        (n_samples, n_features).
    n_clusters
        None: as many clusters as there are dense regions. A number: the size of the smallest region is chosen
        so that as many are found; it's said when that cannot be had.
    runtime
        The seed, and where to compute.
    neighbors
        Neighbours that were found already, at least 15 of each sample; found here otherwise.
    smallest_share
        Size of the smallest cluster, as a share of the samples, where `n_clusters` is None.

    Raises
    ------
    InputError
        Fewer than two dense regions.
    """
    unit = unit_features(features, 2 if n_clusters is None else n_clusters)
    positions = graph_layout(neighbor_graph(unit, runtime, neighbors), N_DIMENSIONS, runtime)
    if n_clusters is None:
        labels = _dense_regions(positions, smallest_share)
    else:
        every = [_dense_regions(positions, share) for share in SMALLEST_SHARES]
        labels = min(
            every, key=lambda each: (abs(int(each.max()) + 1 - n_clusters), int((each == UNKNOWN).sum()))
        )
    copies = find_copies(features)
    if copies is not None:  # their places in the layout differ a little
        labels = np.unique(labels[copies.firsts][copies.groups], return_inverse=True)[1] - int(
            (labels[copies.firsts] == UNKNOWN).any()
        )
    n_found = int(labels.max()) + 1
    if n_found < 2:
        raise InputError(
            f"HDBSCAN found {n_found} dense regions among {len(unit)} samples; expected two or more; take the base "
            "'graph' with a number of clusters"
        )
    if n_clusters is not None and n_found != n_clusters:
        logger.warning(
            "HDBSCAN finds %d clusters where %d were asked for: it goes on with %d",
            n_found,
            n_clusters,
            n_found,
        )
    return Clustering(labels, None, n_found, "density", "layouts")


def _dense_regions(positions: NDArray[np.float32], smallest_share: float) -> NDArray[np.int64]:
    from sklearn.cluster import HDBSCAN  # slow to import: not before the first progress bar

    size = max(MIN_SAMPLES, round(smallest_share * len(positions)))
    model = HDBSCAN(min_cluster_size=size, min_samples=min(MIN_SAMPLES, len(positions) - 1), copy=True)
    labels: NDArray[np.int64] = model.fit_predict(positions.astype(np.float64)).astype(np.int64)
    return labels
