"""What features that explain the labels badly still say of them: votes of neighbours and a linear classifier.

Both judge a sample without its own label. How far each counts, and how many labels are wrong, is what makes the given
labels likeliest, under the model that every wrong label is as likely as any other: among such features a class that is
often confused with another and one that looks like it can't be told apart.
"""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.cluster.clustering import UNKNOWN, Clustering
from ruc.embed.neighbors import Neighbors

__all__ = ["MOST_NEIGHBORS", "PRIOR_STRENGTH", "weigh_opinions"]

SCALES = (3, 10, 30, 100)  # how many neighbours vote; the fit weighs the scales
MOST_NEIGHBORS = SCALES[-1]
N_FOLDS = 5
MOST_FITTED = 20_000  # samples that a linear classifier is fitted to
PENALTY = 0.1  # `C` of scikit-learn, for features of unit variance
LEAST_SHARE = 1e-5
PRIOR_STRENGTH = 5.0  # so many observations speak for every label being right
SHARPEST = 5.0
N_STEPS = 60


def weigh_opinions(
    base: Clustering, neighbors: Neighbors, features: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each sample's probable label without its own, and how reliable the labels are.

    Parameters
    ----------
    base
        The labels; -1 says nothing.
    neighbors
        Nearest neighbours of every sample.
    features
        (n_samples, n_features); without them the neighbours alone are asked.

    Returns
    -------
    opinion
        (n_samples, n_clusters) float32 probabilities of the true label.
    reliability
        (n_clusters, n_clusters) float32: row y is how samples of cluster y are labelled.
    """
    known = base.labels != UNKNOWN
    opinions = [_vote_shares(base, neighbors, at_most) for at_most in _scales(base, neighbors)]
    if features is not None:
        opinions.append(_held_out_predictions(base, features))
    return _fit(torch.from_numpy(np.log(np.stack(opinions))), known, torch.as_tensor(base.labels[known]))


def _scales(base: Clustering, neighbors: Neighbors) -> list[int]:
    most = max(1, len(base.labels) // (2 * base.n_clusters))
    return sorted({min(scale, most, neighbors.indices.shape[1]) for scale in SCALES})


def _vote_shares(base: Clustering, neighbors: Neighbors, n_voters: int) -> NDArray[np.float32]:
    """(n_samples, n_clusters) shares of the nearest neighbours with each label; one more votes as all samples do."""
    known = base.labels[base.labels != UNKNOWN]
    prior = (np.bincount(known, minlength=base.n_clusters) + 1) / (len(known) + base.n_clusters)
    voters = base.labels[neighbors.indices[:, :n_voters]]
    counts = np.tile(prior.astype(np.float32), (len(base.labels), 1))
    rows, columns = np.nonzero(voters != UNKNOWN)
    np.add.at(counts, (rows, voters[rows, columns]), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)


def _held_out_predictions(base: Clustering, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n_samples, n_clusters) probabilities by logistic regression on the labels of the other folds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    fold_of = random.permutation(np.arange(len(features)) % N_FOLDS)
    some = features[:: -(-len(features) // MOST_FITTED)]
    spread = float((some - some.mean(axis=0)).std()) or 1.0
    shares = np.full((len(features), base.n_clusters), LEAST_SHARE, np.float32)
    for fold in range(N_FOLDS):
        seen = np.flatnonzero((base.labels != UNKNOWN) & (fold_of != fold))
        seen = np.sort(random.permutation(seen)[:MOST_FITTED])
        labels = base.labels[seen]
        if len(np.unique(labels)) < 2:
            continue
        asked = np.flatnonzero(fold_of == fold)
        with warnings.catch_warnings():
            # A fit cut short predicts a little worse, and counts so much less.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=PENALTY, max_iter=N_STEPS).fit(features[seen] / spread, labels)
        shares[np.ix_(asked, model.classes_)] += model.predict_proba(features[asked] / spread)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _fit(
    opinions: Tensor, known: NDArray[np.bool_], labels: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The likeliest product of the opinions (n_opinions, n_samples, n_clusters, logarithms), and reliability."""
    n_clusters = opinions.shape[2]
    weights = torch.full((len(opinions),), np.log(0.3).item(), requires_grad=True)
    wrong_logit = torch.tensor([-3.0], requires_grad=True)
    mine = torch.arange(len(labels))
    right = torch.eye(n_clusters)

    def reliability() -> Tensor:
        wrong = wrong_logit.sigmoid()
        return ((1 - wrong) * right + wrong * (1 - right) / max(n_clusters - 1, 1)).clamp_min(1e-6)

    def product(opinions: Tensor) -> Tensor:
        return torch.einsum("s,snk->nk", weights.exp().clamp_max(SHARPEST), opinions).softmax(dim=1)

    seen = opinions[:, torch.as_tensor(known)]
    optimizer = torch.optim.LBFGS([weights, wrong_logit], max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        believed = reliability()
        expected = (product(seen) @ believed)[mine, labels]
        prior_loss = -PRIOR_STRENGTH / len(labels) * believed.diagonal().log().sum()
        loss = prior_loss - expected.clamp_min(1e-9).log().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return product(opinions).numpy(), reliability().numpy()
