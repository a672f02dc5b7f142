"""Confidence before anybody has looked: how far what can be asked without labels agrees with an image's cluster.

How right a clustering is can't be known from features alone: so this ranks the images, and is low rather than high.
"""

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.belief.stability import find_stability, principal_components
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.principal import Principal
from ruc.runtime import Runtime

LEAST: Final = 1e-3  # an agreement; so that one that is missing doesn't make all others the same
N_FOLDS: Final = 5  # as everywhere; no experiment behind it
PENALTY: Final = 0.1  # `C` of scikit-learn, for components of unit variance
# 15 and 50 rank alike (experiments/LOG.md, "confidence that claims only what is known").
MOST_NEIGHBORS: Final = 50
MOST_FITTED: Final = 20_000  # samples
MOST_JUDGED: Final = 100  # clusters; a classifier for more costs more than refining
N_STEPS: Final = 60  # of the classifier; one cut short is a little less sure
ROWS: Final = 16_384  # at a time, for the memory


@dataclass(frozen=True)
class Confidence:
    """What is known of each sample before there are answers.

    Attributes
    ----------
    confidence
        (n_samples,) float32 in [0, 1]: how far the base clustering, a classifier that didn't see the sample and its
        nearest neighbours agree on its cluster (their geometric mean), times the share of the clustering that is found
        again when it is made again. It ranks; it's no probability of being right.
    stability
        (n_samples,) float32 in [0, 1]: how many samples stay together, see `find_stability`.
    """

    confidence: NDArray[np.float32]
    stability: NDArray[np.float32]


def find_confidence(
    labels: NDArray[np.int64],
    base: Clustering,
    features: NDArray[np.floating],
    neighbors: Neighbors,
    n_clusters: int,
    runtime: Runtime,
    principal: Principal | None = None,
) -> Confidence:
    """How sure one can be of each sample's cluster, by what can be asked without labels.

    Which agreements are asked for was chosen by how well they rank right before wrong on aerial7, blood8, cifar10_5k,
    mnist5k, stl10 and waste6 (experiments/LOG.md). No number was fitted.

    Parameters
    ----------
    labels
        (n_samples,) the cluster of each sample.
    base
        The clustering that was refined; its probabilities are asked where it has some.
    features
        (n_samples, n_features) that it was made from.
    neighbors
        The nearest neighbours in these; 50 are asked, or half the mean cluster size.
    principal
        Of the features, where it was found already.
    """
    components = principal_components(features, runtime, principal)
    asked = (find_stability, held_out_probability) if n_clusters <= MOST_JUDGED else (find_stability,)
    with warnings.catch_warnings(), runtime.side_by_side(len(asked)) as run:
        # A fit cut short predicts a little worse, and counts so much less; classes of few samples are meant; of copies
        # fewer centres are found.
        warnings.simplefilter("ignore", UserWarning)
        stability, *held_out = run(lambda ask: ask(labels, components, n_clusters, runtime), asked)
    agreements = [neighbor_share(labels, neighbors, n_clusters)]
    if base.probabilities is not None:
        agreements.append(np.take_along_axis(base.probabilities, labels[:, None], axis=1)[:, 0])
    agreements += held_out
    logs = [np.log(np.maximum(agreement.astype(np.float64), LEAST)) for agreement in agreements]
    # Stability is of pairs, and a pair stays together where both of it stay: the root is a single sample's.
    confidence = np.exp(np.mean(logs, axis=0)) * np.sqrt(stability.mean())
    return Confidence(confidence.astype(np.float32), stability)


def neighbor_share(labels: NDArray[np.int64], neighbors: Neighbors, n_clusters: int) -> NDArray[np.float32]:
    """(n_samples,) how many of each sample's nearest neighbours are in its cluster."""
    used = min(MOST_NEIGHBORS, max(1, len(labels) // (2 * n_clusters)), neighbors.indices.shape[1])
    share = np.empty(len(labels), np.float32)
    for start in range(0, len(labels), ROWS):
        part = slice(start, start + ROWS)
        share[part] = (labels[neighbors.indices[part, :used]] == labels[part, None]).mean(axis=1)
    return share


def held_out_probability(
    labels: NDArray[np.int64], components: NDArray[np.float32], n_clusters: int, runtime: Runtime
) -> NDArray[np.float32]:
    """(n_samples,) the probability of each sample's label, by logistic regression on the labels of the other folds."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(runtime.numpy_seed("confidence/folds"))
    fold_of = random.permutation(np.arange(len(labels)) % N_FOLDS)
    spread = float(components.std()) or 1.0
    own = np.full(len(labels), 1 / n_clusters, np.float32)
    for fold in range(min(N_FOLDS, len(labels))):
        seen = np.sort(random.permutation(np.flatnonzero(fold_of != fold))[:MOST_FITTED])
        classes = np.unique(labels[seen])
        if len(classes) < 2:
            continue
        model = LogisticRegression(C=PENALTY, max_iter=N_STEPS).fit(components[seen] / spread, labels[seen])
        asked = np.flatnonzero(fold_of == fold)
        said = model.predict_proba(components[asked] / spread)
        place = np.searchsorted(classes, labels[asked])
        known = classes[np.minimum(place, len(classes) - 1)] == labels[asked]
        own[asked] = np.where(known, said[np.arange(len(asked)), np.minimum(place, len(classes) - 1)], LEAST)
    return own
