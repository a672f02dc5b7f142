"""How accurate a clustering can be expected to be, judged without labels: by three questions.

Are its clusters found again from other features? Real classes leave their mark on many features, so clusterings of
halves of the features find the same groups; what merely cuts a cloud into pieces is found again by nothing. Is there a
rival, another clustering that fits the neighbour graph as well, and from how much of it does it differ? And do the
neighbours of each sample share its label?
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.cluster.spectral import spectral
from ruc.errors import InputError
from ruc.neighbors.modularity import modularity
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime

MOST_SAMPLES, MOST_IN_PARTS = 5000, 2000
MOST_CLUSTERS = 60  # beyond, the clusterings that it takes would cost more than refining
N_SPLITS = 6  # of the features, into two halves
N_RIVALS = 8  # of random halves of the samples
N_RESTARTS = 3
ALIKE = 0.003  # share of the modularity by which one clustering fits the graph as well as another
MOST_COMPONENTS = 128
N_EDGES = 15  # of each sample in the neighbour graph
LEAST_FEATURES = 4  # two for each half; so many samples have no more

# Measured with the truth of digits, mnist5k, cifar10_5k and blobs (experiments/LOG.md): beyond chance, halves of the
# features agree with so many labels when nothing is real, and when everything is.
NOTHING_REAL, ALL_REAL = 0.2, 0.57
# Clusters of features that hardly know the classes are right about so often: K ** -2/3, on 2 to 10 classes of photos.
RIGHT_ANYWAY = -2 / 3
MOST_EXPECTED = 0.98  # nothing found against it doesn't mean that all is right


@dataclass(frozen=True)
class Expectation:
    """What can be expected of a clustering, as shares of the samples in (0, 1).

    Attributes
    ----------
    accuracy
        How many are in the right cluster.
    shared
        How many share the label of most of their neighbours: the rest lie between clusters, whatever these are worth.
    """

    accuracy: float
    shared: float


def expect(
    labels: NDArray[np.int64], features: NDArray[np.float32], n_clusters: int, runtime: Runtime
) -> Expectation:
    """How accurate a clustering can be expected to be.

    Parameters
    ----------
    labels
        (n_samples,) the cluster of each sample.
    features
        (n_samples, n_features) the features that were clustered. At most 5,000 samples, drawn by chance, are looked
        at.
    n_clusters
        Number of clusters.
    runtime
        The seed, and where to compute.
    """
    random = np.random.default_rng(runtime.numpy_seed("replicate"))
    rows = np.sort(random.permutation(len(labels))[:MOST_SAMPLES])
    labels, features = labels[rows], features[rows]
    neighbors = nearest_neighbors(features, min(N_EDGES, len(features) - 1), runtime)
    real = _share_real(_found_again(labels, features, n_clusters, random, runtime), n_clusters)
    shared = _shared(labels, neighbors, n_clusters)
    unrivalled = _unrivalled(labels, features, neighbors, n_clusters, real, random, runtime)
    accuracy = real * min(unrivalled, shared) + (1 - real) * math.pow(n_clusters, RIGHT_ANYWAY)
    return Expectation(min(accuracy, MOST_EXPECTED), shared)


def principal_halves(features: NDArray[np.float32], n_splits: int, seed: int) -> list[NDArray[np.float32]]:
    """Two sets of features for each split, which share none, each with about half of the variance.

    Of the first two principal components, of the next two and so on, one goes into each half by chance. Empty when
    there are too few features.
    """
    from sklearn.decomposition import PCA  # slow to import: not before the first progress bar

    n_components = min(MOST_COMPONENTS, *features.shape)
    model = PCA(n_components, random_state=seed).fit(features)
    kept = int((model.explained_variance_ > 1e-6 * model.explained_variance_[0]).sum())
    n_pairs = kept // 2
    if 2 * n_pairs < LEAST_FEATURES:
        return []
    components = model.transform(features).astype(np.float32)
    random = np.random.default_rng(seed)
    halves = []
    for _ in range(n_splits):
        chosen = 2 * np.arange(n_pairs) + random.integers(2, size=n_pairs)
        others = 4 * np.arange(n_pairs) + 1 - chosen
        halves += [components[:, chosen], components[:, others]]
    return halves


def confirmed(labels: NDArray[np.int64], others: NDArray[np.int64], n_clusters: int) -> NDArray[np.bool_]:
    """Which samples are in clusters that are each other's best counterpart in the two clusterings."""
    both = np.zeros((n_clusters, n_clusters), np.int64)
    np.add.at(both, (labels, others), 1)
    counterpart, back = both.argmax(axis=1), both.argmax(axis=0)
    mutual = back[counterpart] == np.arange(n_clusters)
    agree: NDArray[np.bool_] = mutual[labels] & (counterpart[labels] == others)
    return agree


def _found_again(
    labels: NDArray[np.int64],
    features: NDArray[np.float32],
    n_clusters: int,
    random: np.random.Generator,
    runtime: Runtime,
) -> float:
    """Share of the labels that clusterings of halves of the features confirm.

    With too few features to tell all are; with too few samples as many as by chance.
    """
    rows = np.sort(random.permutation(len(labels))[:MOST_IN_PARTS])
    halves = principal_halves(features[rows], N_SPLITS, runtime.numpy_seed("replicate/halves"))
    shares = [_agreement(labels[rows], half, n_clusters, runtime) for half in halves]
    # Neighbours and rivals still tell something of a few features, but nothing of a few samples.
    if not shares:
        return 1.0 if len(labels) > LEAST_FEATURES else 1 / n_clusters
    return float(np.mean(shares))


def _share_real(agreement: float, n_clusters: int) -> float:
    beyond_chance = (agreement - 1 / n_clusters) / (1 - 1 / n_clusters)
    between = min(max((beyond_chance - NOTHING_REAL) / (ALL_REAL - NOTHING_REAL), 0.0), 1.0)
    return between * between * (3 - 2 * between)


def _unrivalled(
    labels: NDArray[np.int64],
    features: NDArray[np.float32],
    neighbors: Neighbors,
    n_clusters: int,
    real: float,
    random: np.random.Generator,
    runtime: Runtime,
) -> float:
    """Share of the labels that spectral clusterings of halves of the samples confirm.

    Among real clusters that counts only where a spectral clustering of all samples fits the neighbour graph as well as
    the labels do: else it is no rival. Where nothing is real, a better fit to the graph says nothing.
    """
    weight = 1.0 if _is_rivalled(labels, features, neighbors, n_clusters, runtime) else 1 - real
    if weight == 0:
        return 1.0
    shares = []
    for _ in range(N_RIVALS):
        rows = np.sort(random.permutation(len(labels))[: len(labels) // 2])
        shares.append(_agreement(labels[rows], features[rows], n_clusters, runtime))
    return 1 - weight * (1 - float(np.mean(shares)))


def _is_rivalled(
    labels: NDArray[np.int64],
    features: NDArray[np.float32],
    neighbors: Neighbors,
    n_clusters: int,
    runtime: Runtime,
) -> bool:
    """Whether a spectral clustering fits the neighbour graph as well as the labels do."""
    graph = _graph(neighbors)
    try:
        other = spectral(features, n_clusters, runtime, neighbors).labels
    except InputError:  # the graph doesn't tell so many clusters apart: there is no rival
        return False
    return modularity(graph, other) >= (1 - ALIKE) * modularity(graph, labels)


def _shared(labels: NDArray[np.int64], neighbors: Neighbors, n_clusters: int) -> float:
    """Share of the labels that most of the neighbours have."""
    votes = np.zeros((len(labels), n_clusters), np.int64)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels[neighbors.indices]), 1)
    return float((votes.argmax(axis=1) == labels).mean())


def _agreement(
    labels: NDArray[np.int64], features: NDArray[np.float32], n_clusters: int, runtime: Runtime
) -> float:
    """Share of the labels that a spectral clustering of these features confirms."""
    try:
        others = spectral(features, n_clusters, runtime, n_restarts=N_RESTARTS).labels
    except InputError:  # fewer different samples than clusters: too little to find anything again
        return 0.0
    return float(confirmed(labels, others, n_clusters).mean())


def _graph(neighbors: Neighbors) -> sp.csr_array:
    indices = neighbors.indices
    rows = np.repeat(np.arange(len(indices)), indices.shape[1])
    directed = sp.csr_array((np.ones(indices.size), (rows, indices.ravel())), shape=(len(indices),) * 2)
    return directed.maximum(directed.T).tocsr()
