"""What features that explain the labels badly still say of them: votes of neighbours and a linear classifier.

Both judge a sample without its own label. How far each counts, and how many labels are wrong, is what makes the given
labels likeliest, under the model that every wrong label is as likely as any other: among such features a class that is
often confused with another and one that looks like it can't be told apart.
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

SCALES = (3, 10, 30, 100)  # how many neighbours vote; the fit weighs the scales
MOST_NEIGHBORS = SCALES[-1]
N_FOLDS = 5  # as everywhere; no experiment behind it
MOST_FITTED = 20_000  # samples that a classifier, and the weights, are fitted to
# `C` of scikit-learn, for features of unit variance (experiments/LOG.md, "labels that the features explain badly").
PENALTY = 0.1
LEAST_SHARE = 1e-5  # of a cluster that a fold has never seen
LEAST_WRONG = 1e-6  # so that no label excludes a cluster
NOTHING = 1e-30  # a share whose logarithm is finite
VOTES_AT_ONCE = 16 * 1024 * 1024  # samples times clusters
PRIOR_STRENGTH = 5.0  # so many observations speak for every label being right
SHARPEST = 5.0  # how far one opinion can count; the fit is stopped from running away where all agree
N_STEPS = 60  # of both fits; one cut short predicts a little worse, and counts so much less


class Opinion(NamedTuple):
    """What the others say of each sample, none of whom saw its own label.

    Attributes
    ----------
    probabilities
        (n_samples, m) float32: of the true label, for the clusters that were asked about; what is missing from 1 is all
        other clusters'.
    reliability
        (n_clusters, n_clusters) float32: row y is how samples of cluster y are labelled.
    """

    probabilities: NDArray[np.float32]
    reliability: NDArray[np.float32]


def weigh_opinions(
    base: Clustering,
    neighbors: Neighbors,
    runtime: Runtime,
    columns: NDArray[np.int64],
    features: NDArray[np.floating] | None = None,
) -> Opinion:
    """Each sample's probable label without its own, and how reliable the labels are.

    Parameters
    ----------
    base
        The labels; -1 says nothing.
    columns
        (n_samples, m) the clusters that each sample could be of, its own label among them; -1: none.
    features
        (n_samples, n_features); without them the neighbours alone are asked.
    """
    shares = [_vote_shares(base, neighbors, n_voters, columns) for n_voters in _scales(base, neighbors)]
    if features is not None:
        shares.append(_held_out_predictions(base, features, runtime, columns))
    n_others = base.n_clusters - (columns != UNKNOWN).sum(axis=1)
    logs = np.stack([_logarithms(share, columns, n_others) for share in shares])
    crowd = np.zeros(logs.shape[1:], np.float32)  # logarithm of how many clusters a column stands for
    if logs.shape[2] > columns.shape[1]:
        crowd[:, -1] = np.log(np.maximum(n_others, 1))
    is_own = columns == base.labels[:, None]
    own = np.where(is_own.any(axis=1) & (base.labels != UNKNOWN), is_own.argmax(axis=1), UNKNOWN)
    weighed, wrong = _weigh(logs, own, crowd, base.n_clusters, runtime)
    reliability = np.full((base.n_clusters, base.n_clusters), wrong / max(base.n_clusters - 1, 1), np.float32)
    np.fill_diagonal(reliability, 1 - wrong)
    return Opinion(weighed[:, : columns.shape[1]], np.maximum(reliability, LEAST_WRONG))


def _scales(base: Clustering, neighbors: Neighbors) -> list[int]:
    most = max(1, len(base.labels) // (2 * base.n_clusters))
    return sorted({min(scale, most, neighbors.indices.shape[1]) for scale in SCALES})


def _sizes(base: Clustering) -> NDArray[np.float32]:
    """(n_clusters,) the share of each label, none of them zero."""
    known = base.labels[base.labels != UNKNOWN]
    shares = (np.bincount(known, minlength=base.n_clusters) + 1) / (len(known) + base.n_clusters)
    return shares.astype(np.float32)


def _vote_shares(
    base: Clustering, neighbors: Neighbors, n_voters: int, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n_samples, m) shares of the nearest neighbours with each label; one more votes as all samples do."""
    prior, shares = _sizes(base), np.empty(columns.shape, np.float32)
    step = max(1, VOTES_AT_ONCE // base.n_clusters)
    for start in range(0, len(shares), step):
        part = slice(start, start + step)
        voters = base.labels[neighbors.indices[part, :n_voters]]
        counts = np.tile(prior, (len(voters), 1))
        rows, places = np.nonzero(voters != UNKNOWN)
        np.add.at(counts, (rows, voters[rows, places]), 1.0)
        counts /= counts.sum(axis=1, keepdims=True)
        shares[part] = np.take_along_axis(counts, np.maximum(columns[part], 0), axis=1)
    return shares


def _logarithms(
    shares: NDArray[np.float32], columns: NDArray[np.int64], n_others: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Of the shares of these clusters and, where these aren't all, of one of the others, which share the rest alike."""
    shares = np.where(columns == UNKNOWN, NOTHING, shares)
    if n_others.any():
        others = np.maximum(1 - shares.sum(axis=1), LEAST_SHARE) / np.maximum(n_others, 1)
        shares = np.column_stack([shares, others])
    return np.log(shares).astype(np.float32)


def _held_out_predictions(
    base: Clustering, features: NDArray[np.floating], runtime: Runtime, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(n_samples, m) probabilities of these clusters, by logistic regression on the labels of the other folds."""
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(runtime.numpy_seed("opinion/folds"))
    fold_of = random.permutation(np.arange(len(features)) % N_FOLDS)
    some = features[:: -(-len(features) // MOST_FITTED)]
    spread = float((some - some.mean(axis=0)).std()) or 1.0
    found = np.empty(columns.shape, np.float32)
    for fold in range(min(N_FOLDS, len(features))):
        seen = np.flatnonzero((base.labels != UNKNOWN) & (fold_of != fold))
        seen = np.sort(random.permutation(seen)[:MOST_FITTED])
        asked, labels = np.flatnonzero(fold_of == fold), base.labels[seen]
        if len(np.unique(labels)) < 2:
            found[asked] = 1 / base.n_clusters
            continue
        with warnings.catch_warnings():
            # A fit cut short predicts a little worse, and counts so much less; classes of few samples are meant.
            warnings.simplefilter("ignore", UserWarning)
            model = LogisticRegression(C=PENALTY, max_iter=N_STEPS).fit(features[seen] / spread, labels)
        for rows in np.array_split(asked, 1 + asked.size * base.n_clusters // VOTES_AT_ONCE):
            shares = np.full((len(rows), base.n_clusters), LEAST_SHARE, np.float32)
            shares[:, model.classes_] += model.predict_proba(features[rows] / spread)
            shares /= shares.sum(axis=1, keepdims=True)
            found[rows] = np.take_along_axis(shares, np.maximum(columns[rows], 0), axis=1)
    return found


def _weigh(
    logs: NDArray[np.float32],
    own: NDArray[np.int64],
    crowd: NDArray[np.float32],
    n_clusters: int,
    runtime: Runtime,
) -> tuple[NDArray[np.float32], float]:
    """The likeliest product of the opinions, and the share of wrong labels.

    Parameters
    ----------
    logs
        (n_opinions, n_samples, n_columns) logarithms of the probability of one cluster of each column.
    own
        (n_samples,) the column of the sample's own label, -1 where it's unknown.
    crowd
        (n_samples, n_columns) logarithm of how many clusters a column stands for.
    """
    known = np.flatnonzero(own != UNKNOWN)
    random = np.random.default_rng(runtime.numpy_seed("opinion/sample"))
    rows = np.sort(random.permutation(known)[:MOST_FITTED])
    chosen = torch.from_numpy(logs[:, rows]), torch.from_numpy(own[rows]), torch.from_numpy(crowd[rows])
    weights, wrong = _fit(*chosen, n_clusters)
    weighed = np.einsum("s,snk->nk", weights, logs) + crowd
    weighed = np.exp(weighed - weighed.max(axis=1, keepdims=True))
    weighed /= weighed.sum(axis=1, keepdims=True)
    return weighed.astype(np.float32), wrong


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
