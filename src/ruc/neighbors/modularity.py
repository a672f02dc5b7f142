"""How clearly features fall into groups, without labels: modularity and coverage of their neighbour graph."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from ruc.neighbors.graphs import plain_graph
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

MOST_SAMPLES = 5000  # eigenvectors of more take minutes


def neighbor_modularity(
    features: NDArray[np.float32], n_groups: int, runtime: Runtime, n_neighbors: int = 15
) -> float:
    """Modularity of a spectral clustering of the features' neighbour graph, in [-1, 1]; higher is clearer.

    It compares embeddings of the *same* images at the same `n_groups` and `n_neighbors`; the numbers of
    different sets of images are not comparable. At most 5,000 images, drawn by chance, are looked at.

    `features`: (n_samples, n_features). `n_neighbors`: edges of each image; fewer where there are fewer images.
    """
    if len(features) > MOST_SAMPLES:
        drawn = np.random.default_rng(runtime.numpy_seed("modularity/sample"))
        features = features[drawn.permutation(len(features))[:MOST_SAMPLES]]
    n_samples = len(features)
    n_groups = max(2, min(n_groups, n_samples // 4))
    indices = nearest_neighbors(features, min(n_neighbors, n_samples - 1), runtime).indices
    graph = plain_graph(indices)
    return modularity(graph, _spectral_groups(graph, n_groups, runtime))


def modularity(graph: sp.csr_array, groups: NDArray[np.int64]) -> float:
    """Share of the edges within groups, less what chance would put there (Newman 2006).

    `graph`: (n, n) symmetric adjacency matrix. `groups`: (n,) group of each node, from 0.
    """
    between = _edges_between(graph, groups)
    return float(np.trace(between) - (between.sum(axis=1) ** 2).sum())


def coverage(graph: sp.csr_array, groups: NDArray[np.int64]) -> float:
    """Share of the edges within groups (Fortunato 2010, section III.C.2): unlike modularity, groups may differ in size.

    `graph`, `groups`: as in `modularity`.
    """
    return float(np.trace(_edges_between(graph, groups)))


def _edges_between(graph: sp.csr_array, groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_groups, n_groups) shares of the edges."""
    n_samples = len(groups)
    members = sp.csr_array((np.ones(n_samples), (np.arange(n_samples), groups)))
    between: NDArray[np.float64] = (members.T @ graph @ members).toarray()
    between /= between.sum()
    return between


def _spectral_groups(graph: sp.csr_array, n_groups: int, runtime: Runtime) -> NDArray[np.int64]:
    """Normalised spectral clustering (Ng, Jordan and Weiss 2001)."""
    from sklearn.cluster import KMeans  # slow to import: not before the first progress bar

    scale = sp.diags_array(1.0 / np.sqrt(graph.sum(axis=1)))
    start = np.ones(graph.shape[0])  # else the solver draws its own, unseeded
    _, vectors = eigsh(scale @ graph @ scale, k=n_groups, which="LA", v0=start)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    seed = runtime.numpy_seed("modularity/groups")
    groups: NDArray[np.int64] = (
        KMeans(n_groups, n_init=5, random_state=seed).fit_predict(vectors).astype(np.int64)
    )
    return groups
