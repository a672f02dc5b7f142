"""Confidence set to what a person answered: a curve from confidence before to the share that is right.

Platt's (1999) curve is logistic in the log-odds of the confidence. Here its level and slope have a prior, and each
cluster may lie above or below the curve: with few answers clusters stay on it and the curve where the prior has it,
with many the answers alone count.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.check.folds import folds

# How far levels, slopes and clusters differ between sets of images, as standard deviations of log-odds.
LEVEL_SPREAD: Final = 1.5
SLOPE_SPREAD: Final = 0.5
CLUSTER_SPREAD: Final = 0.7
LEAST: Final = 1e-3  # confidences nearer to 0 or 1 count as that near
N_STEPS: Final = 50


@dataclass(frozen=True)
class AnswerCalibration:
    """The curve: `sigmoid(level + slope * log-odds of the confidence + shift of the cluster)`.

    Attributes
    ----------
    level, slope
        Of the curve; 0 and 1 leave the confidence as it is.
    shifts
        (n_clusters,) how far each cluster lies above it.
    """

    level: float
    slope: float
    shifts: tuple[float, ...]

    def __call__(
        self, confidence: NDArray[np.floating[Any]], cluster: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(n,) the estimated probability that each image is right, from its confidence (n,) before and cluster (n,)."""
        shifts = np.asarray(self.shifts)[cluster]
        return np.asarray(_sigmoid(self.level + self.slope * _log_odds(confidence) + shifts), np.float32)

    def to_json(self) -> dict[str, Any]:
        """For the run's notes."""
        return {"level": self.level, "slope": self.slope, "shifts": list(self.shifts)}


def fit_answers(
    confidence: NDArray[np.floating[Any]],
    cluster: NDArray[np.int64],
    is_right: NDArray[np.bool_],
    weights: NDArray[np.floating[Any]],
    n_clusters: int,
) -> AnswerCalibration:
    """The likeliest curve for these answers, under the priors above.

    Parameters
    ----------
    confidence, cluster, is_right
        (n_answers,) of the images that were looked at.
    weights
        (n_answers,) how many images each stands for; scaled to a mean of 1.
    """
    odds = _log_odds(confidence)
    design = np.zeros((len(odds), 2 + n_clusters))
    design[:, 0], design[:, 1] = 1, odds
    design[np.arange(len(odds)), 2 + cluster] = 1
    weights = np.asarray(weights, np.float64) / np.mean(weights)
    spread = np.concatenate([[LEVEL_SPREAD, SLOPE_SPREAD], np.full(n_clusters, CLUSTER_SPREAD)])
    prior = np.concatenate([[0.0, 1.0], np.zeros(n_clusters)])
    values = prior.copy()
    for _ in range(N_STEPS):  # Newton's method on a convex function
        said = _sigmoid(design @ values)
        slope = design.T @ (weights * (said - is_right)) + (values - prior) / spread**2
        curvature = (design.T * (weights * said * (1 - said))) @ design + np.diag(1 / spread**2)
        step = np.linalg.solve(curvature, slope)
        values = values - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return AnswerCalibration(float(values[0]), float(values[1]), tuple(values[2:].tolist()))


def without_its_answer(
    confidence: NDArray[np.floating[Any]],
    cluster: NDArray[np.int64],
    is_right: NDArray[np.bool_],
    weights: NDArray[np.floating[Any]],
    n_clusters: int,
) -> NDArray[np.float32]:
    """(n_answers,) the confidence of each image by a curve fitted to others; parameters as of `fit_answers`."""
    said = np.array(confidence, np.float32)
    for asked in folds(len(is_right)):
        curve = fit_answers(
            confidence[~asked], cluster[~asked], is_right[~asked], weights[~asked], n_clusters
        )
        said[asked] = curve(confidence[asked], cluster[asked])
    return said


def _log_odds(confidence: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    inside = np.clip(np.asarray(confidence, np.float64), LEAST, 1 - LEAST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-odds)))
