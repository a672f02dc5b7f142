"""What images that a person placed say of others alike: a linear classifier that starts at what the run says.

The log-probabilities of the run are the offset of a multinomial logistic regression on the features; its weights have a
normal prior around 0. So without placed images nothing changes, and each one moves those that look like it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.check.folds import folds

# Standard deviation of the weights. Among 2, 3, 4 and 6 chosen by the likelihood of fifty answers that weren't learned
# from: best on three of aerial7, blood8, stl10 and waste6, 4 on the other (experiments/LOG.md).
SPREAD: Final = 6.0
LEAST: Final = 1e-4  # of a probability, so that its logarithm exists; 0 says it can't be
N_STEPS: Final = 200
ROWS: Final = 16_384


@dataclass(frozen=True)
class Lesson:
    """What was learned, of any features.

    Attributes
    ----------
    mean
        (n_features,) of the images that a person placed: features are seen from there, at unit length.
    weights
        (n_features, n_clusters) added to the log-probabilities.
    """

    mean: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __call__(
        self, probabilities: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]]
    ) -> NDArray[np.float32]:
        """(n, n_clusters) probabilities as they are after the lesson, of those before; 0 stays 0."""
        out = np.empty(probabilities.shape, np.float32)
        for start in range(0, len(out), ROWS):
            part = slice(start, start + ROWS)
            said = np.asarray(probabilities[part], np.float64)
            odds = _logs(said) + _seen_from(self.mean, features[part]) @ self.weights
            raised = np.exp(odds - odds.max(axis=1, keepdims=True)) * (said > 0)
            total = raised.sum(axis=1, keepdims=True)
            out[part] = np.where(total > 0, raised / np.where(total > 0, total, 1), said)
        return out


def learn(
    probabilities: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    right: NDArray[np.int64],
) -> Lesson:
    """The likeliest weights for images that a person placed.

    Parameters
    ----------
    probabilities
        (n_placed, n_clusters) as they were before somebody placed these images.
    features
        (n_placed, n_features) of them.
    right
        (n_placed,) the cluster of each.
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    mean = np.asarray(features, np.float64).mean(axis=0).astype(np.float32)
    # The likeliest weights lie in the span of the images they were learned from: as many directions are enough.
    directions, lengths = np.linalg.qr(_seen_from(mean, features).T)
    offset, seen = _logs(probabilities), lengths.T
    rows, shape = np.arange(len(right)), (seen.shape[1], offset.shape[1])

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        odds = offset + SPREAD * (seen @ weights)
        logs = odds - logsumexp(odds, axis=1, keepdims=True)
        off = np.exp(logs)
        off[rows, right] -= 1
        value = float(-logs[rows, right].sum() + (flat @ flat) / 2)
        return value, (SPREAD * (seen.T @ off) + weights).ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": N_STEPS})
    return Lesson(mean, (SPREAD * (directions @ found.x.reshape(shape))).astype(np.float32))


def held_out(
    probabilities: NDArray[np.floating[Any]],
    features: NDArray[np.floating[Any]],
    right: NDArray[np.int64],
    unseen: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.float32]:
    """(n_placed, n_clusters) what a lesson of the others says of each image; parameters as of `learn`.

    `unseen`: (n_placed, n_clusters) what is said of each by earlier lessons that hadn't seen it, where there were some.
    """
    unseen = probabilities if unseen is None else unseen
    said = np.array(unseen, np.float32)
    for asked in folds(len(right)):
        lesson = learn(probabilities[~asked], features[~asked], right[~asked])
        said[asked] = lesson(unseen[asked], features[asked])
    return said


def _logs(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(probabilities, LEAST)), np.float64)


def _seen_from(mean: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    seen = np.asarray(features, np.float64) - mean
    length = np.linalg.norm(seen, axis=1, keepdims=True)
    return np.asarray(seen / np.where(length > 0, length, 1))
