"""What features that explain the labels badly still say of them: votes of neighbours and a linear classifier.

Both judge a sample without its own label. How far each counts, and how many labels are wrong, is what makes the given
labels likeliest, under the model that every wrong label is as likely as any other: among such features a class that is
often confused with another and one that looks like it can't be told apart.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

SCALES = (3, 10, 30, 100)  # how many neighbours vote; the fit weighs the scales
MOST_NEIGHBORS = SCALES[-1]
N_FOLDS = 5
MOST_FITTED = 20_000  # samples that a classifier, and the weights, are fitted to
PENALTY = 0.1  # `C` of scikit-learn, for features of unit variance
LEAST_SHARE = 1e-5
LEAST_WRONG = 1e-6
NOTHING = 1e-30  # a share whose logarithm is finite
BLOCK_ROWS = 50_000
PRIOR_STRENGTH = 5.0  # so many observations speak for every label being right
SHARPEST = 5.0
N_STEPS = 60


def weigh_opinions(
    base: Clustering, neighbors: Neighbors, runtime: Runtime, features: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each sample's probable label without its own, and how reliable the labels are.

    Parameters
    ----------
    base
        The labels; -1 says nothing.
    neighbors
        Nearest neighbours of every sample.
    runtime
        The seed.
    features
        (n_samples, n_features); without them the neighbours alone are asked.

    Returns
    -------
    opinion
        (n_samples, n_clusters) float32 probabilities of the true label.
    reliability
        (n_clusters, n_clusters) float32: row y is how samples of cluster y are labelled.
    """
    shares = [_vote_shares(base, neighbors, n_voters) for n_voters in _scales(base, neighbors)]
    if features is not None:
        shares.append(_held_out_predictions(base, features, runtime))
    opinions = _Opinions(np.log(np.stack(shares)), base.labels, np.zeros((1, 1), np.float32))
    return _weigh(opinions, base, runtime)


def weigh_votes_among(
    base: Clustering, neighbors: Neighbors, runtime: Runtime, columns: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """As `weigh_opinions` by neighbours, where a number for each sample and cluster would be too many.

    Parameters
    ----------
    base, neighbors, runtime
        As there.
    columns
        (n_samples, m) the clusters that each sample could be of, its own label first; -1: none.

    Returns
    -------
    opinion
        (n_samples, m) float32 probabilities of these; what is missing from 1 is all other clusters'.
    reliability
        As there.
    """
    shares = np.stack([_vote_shares_among(base, neighbors, n, columns) for n in _scales(base, neighbors)])
    n_others = np.maximum(base.n_clusters - (columns != UNKNOWN).sum(axis=1), 1)
    others = np.maximum(1 - shares.sum(axis=2), LEAST_SHARE) / n_others
    shares = np.where(columns == UNKNOWN, NOTHING, shares)
    crowd = np.zeros((len(columns), columns.shape[1] + 1), np.float32)
    crowd[:, -1] = np.log(n_others)
    logs = np.log(np.concatenate([shares, others[:, :, None]], axis=2))
    own = np.where(base.labels == UNKNOWN, UNKNOWN, 0)
    opinion, reliability = _weigh(_Opinions(logs.astype(np.float32), own, crowd), base, runtime)
    return opinion[:, :-1], reliability


@dataclass(frozen=True)
class _Opinions:
    """What several judges say of each sample, none of whom saw its own label.

    Attributes
    ----------
    logs
        (n_opinions, n_samples, n_columns) logarithms of the probability of one cluster of each column.
    own
        (n_samples,) the column of the sample's own label, -1 where it's unknown.
    crowd
        (n_samples or 1, n_columns or 1) logarithm of how many clusters a column stands for.
    """

    logs: NDArray[np.float32]
    own: NDArray[np.int64]
    crowd: NDArray[np.float32]


def _scales(base: Clustering, neighbors: Neighbors) -> list[int]:
    most = max(1, len(base.labels) // (2 * base.n_clusters))
    return sorted({min(scale, most, neighbors.indices.shape[1]) for scale in SCALES})


def _sizes(base: Clustering) -> NDArray[np.float32]:
    """(n_clusters,) the share of each label, none of them zero."""
    known = base.labels[base.labels != UNKNOWN]
    shares = (np.bincount(known, minlength=base.n_clusters) + 1) / (len(known) + base.n_clusters)
    return shares.astype(np.float32)


def _vote_shares(base: Clustering, neighbors: Neighbors, n_voters: int) -> NDArray[np.float32]:
    """(n_samples, n_clusters) shares of the nearest neighbours with each label; one more votes as all samples do."""
    prior = _sizes(base)
    voters = base.labels[neighbors.indices[:, :n_voters]]
    counts = np.tile(prior, (len(base.labels), 1))
    rows, columns = np.nonzero(voters != UNKNOWN)
    np.add.at(counts, (rows, voters[rows, columns]), 1.0)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float32)


def _vote_shares_among(
    base: Clustering, neighbors: Neighbors, n_voters: int, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n_samples, m) `_vote_shares` of these clusters alone."""
    prior = _sizes(base)
    shares = np.empty(columns.shape, np.float32)
    for start in range(0, len(columns), BLOCK_ROWS):
        here = columns[start : start + BLOCK_ROWS]
        voters = base.labels[neighbors.indices[start : start + BLOCK_ROWS, :n_voters]]
        counts = np.stack([(voters == column[:, None]).sum(axis=1) for column in here.T], axis=1)
        n_votes = (voters != UNKNOWN).sum(axis=1, keepdims=True)
        shares[start : start + BLOCK_ROWS] = (counts + prior[here]) / (n_votes + 1)
    return np.where(columns == UNKNOWN, 0, shares)


def _held_out_predictions(
    base: Clustering, features: NDArray[np.floating], runtime: Runtime
) -> NDArray[np.float32]:
    """(n_samples, n_clusters) probabilities by logistic regression on the labels of the other folds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(runtime.numpy_seed("opinion/folds"))
    fold_of = random.permutation(np.arange(len(features)) % N_FOLDS)
    some = features[:: -(-len(features) // MOST_FITTED)]
    spread = float((some - some.mean(axis=0)).std()) or 1.0
    shares = np.full((len(features), base.n_clusters), LEAST_SHARE, np.float32)
    for fold in range(min(N_FOLDS, len(features))):
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


def _weigh(
    opinions: _Opinions, base: Clustering, runtime: Runtime
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The likeliest product of the opinions (n_samples, n_columns), and the reliability."""
    known = np.flatnonzero(opinions.own != UNKNOWN)
    random = np.random.default_rng(runtime.numpy_seed("opinion/sample"))
    rows = np.sort(random.permutation(known)[:MOST_FITTED])
    crowd = opinions.crowd[rows] if len(opinions.crowd) > 1 else opinions.crowd
    logs, own, crowds = map(torch.from_numpy, (opinions.logs[:, rows], opinions.own[rows], crowd))
    weights, wrong = _fit(logs, own, crowds, base.n_clusters)
    weighed = np.einsum("s,snk->nk", weights, opinions.logs) + opinions.crowd
    weighed = np.exp(weighed - weighed.max(axis=1, keepdims=True))
    weighed /= weighed.sum(axis=1, keepdims=True)
    reliability = np.full((base.n_clusters, base.n_clusters), wrong / max(base.n_clusters - 1, 1), np.float32)
    np.fill_diagonal(reliability, 1 - wrong)
    return weighed.astype(np.float32), np.maximum(reliability, LEAST_WRONG)


def _fit(logs: Tensor, own: Tensor, crowd: Tensor, n_clusters: int) -> tuple[NDArray[np.float32], float]:
    """How far each opinion counts, and the share of wrong labels, that make the given labels likeliest."""
    log_weights = torch.full((len(logs),), np.log(0.3).item(), requires_grad=True)
    wrong_logit = torch.tensor([-3.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_weights, wrong_logit], max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def weights() -> Tensor:
        return log_weights.exp().clamp_max(SHARPEST)

    def objective() -> Tensor:
        optimizer.zero_grad()
        wrong = wrong_logit.sigmoid()
        believed = (torch.einsum("s,snk->nk", weights(), logs) + crowd).softmax(dim=1)
        mine = believed.gather(1, own[:, None])[:, 0]
        expected = mine * (1 - wrong) + (1 - mine) * wrong / max(n_clusters - 1, 1)
        prior_loss = -PRIOR_STRENGTH * n_clusters / len(own) * (1 - wrong).log()
        loss = prior_loss.sum() - expected.clamp_min(1e-9).log().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return weights().numpy(), float(wrong_logit.sigmoid())
