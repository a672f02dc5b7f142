"""What the true labels are, taken as a hidden Markov random field on the neighbour graph.

Neighbours mostly share their true label; what was given is that label, confused as a reliability matrix says. Both
are estimated together by expectation and maximisation with a mean field (Zhang, Brady and Smith 2001, *HMRF-EM*),
and each sample's opinion comes from labels that its own had no part in: the labels of one fold after another are
hidden, and a sample without a label hears of all. Votes of neighbours count the noise among them; a field first
cleans the neighbours, by their own neighbours and so on, which is what tells a class with 40% of its labels wrong
from a class that looks like another.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.belief.opinion import Opinion
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.graphs import averaging_graph
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

N_NEIGHBORS = 15  # 10 lose 5 points on digits (experiments/LOG.md, "given labels as a hidden field")
# Log odds for a label that all neighbours share (experiments/LOG.md, "given labels as a hidden field").
COUPLING = 8.0
N_FOLDS = 5  # 10 change nothing (experiments/LOG.md, "given labels as a hidden field")
N_ROUNDS, N_STEPS = 10, 2  # of reliability and of beliefs between two of these; no experiment behind it
PRIOR_STRENGTH = 5.0  # so many observations of each cluster speak for its labels being right
LEAST_CONFUSED = 1e-4  # so that no label excludes a cluster


def fit_field(base: Clustering, neighbors: Neighbors, runtime: Runtime) -> Opinion:
    """Estimate how reliable the labels are, and each sample's true label from its neighbourhood alone.

    `base`: the labels; -1 says nothing.
    """
    n_samples, n_clusters = len(base.labels), base.n_clusters
    graph = averaging_graph(neighbors, min(N_NEIGHBORS, max(1, n_samples // (2 * n_clusters))))
    known = base.labels != UNKNOWN
    fold_of = np.arange(n_samples) % N_FOLDS
    fold_of = np.random.default_rng(runtime.numpy_seed("field")).permutation(fold_of)
    opinion = np.empty((n_samples, n_clusters), np.float32)
    reliabilities = []
    for fold in range(N_FOLDS):
        hidden = fold_of == fold
        field, reliability = _fit_mean_field(graph, base, np.flatnonzero(known & ~hidden))
        opinion[hidden] = _softmax(field[hidden])
        reliabilities.append(reliability)
    if not known.all():
        field, _ = _fit_mean_field(graph, base, np.flatnonzero(known))
        opinion[~known] = _softmax(field[~known])
    return Opinion(opinion, np.mean(reliabilities, axis=0).astype(np.float32))


def _fit_mean_field(
    graph: sp.csr_array, base: Clustering, seen: NDArray[np.int64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """The neighbours' pull on every sample, and the reliability, from the labels of the samples seen."""
    n_samples, n_clusters = len(base.labels), base.n_clusters
    labels = base.labels[seen]
    reliability = 0.7 * np.eye(n_clusters) + 0.3 / n_clusters
    own = np.zeros((n_samples, n_clusters), np.float32)
    belief = np.full((n_samples, n_clusters), 1 / n_clusters, np.float32)
    for _ in range(N_ROUNDS):
        own[seen] = np.log(reliability.T[labels])
        for _ in range(N_STEPS):
            belief = _softmax(own + COUPLING * (graph @ belief))
        counts = np.full((n_clusters, n_clusters), 1e-2) + PRIOR_STRENGTH * np.eye(n_clusters)
        np.add.at(counts.T, labels, belief[seen])
        reliability = np.maximum(counts / counts.sum(axis=1, keepdims=True), LEAST_CONFUSED)
    return COUPLING * (graph @ belief), reliability


def _softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
