"""Whether a confidence of 90% means right nine times in ten: ECE, Brier score, NLL, reliability curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError

N_BINS = 15
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Reliability:
    """Stated confidence against the share that is right, in bins of confidence.

    Attributes
    ----------
    lower, upper
        (n_bins,) the confidences each bin spans.
    count
        (n_bins,) number of images in each.
    confidence
        (n_bins,) mean confidence; NaN in an empty bin.
    accuracy
        (n_bins,) share of images that are right; NaN in an empty bin.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of confidence and accuracy over the images, in [0, 1]."""
        filled = self.count > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((self.count[filled] * gaps).sum() / self.count.sum())


def reliability_curve(
    confidence: ArrayLike, is_right: ArrayLike, n_bins: int = N_BINS, equal_mass: bool = False
) -> Reliability:
    """Compare confidence and accuracy bin by bin.

    Parameters
    ----------
    confidence
        (n_samples,) in [0, 1].
    is_right
        (n_samples,) bool.
    equal_mass
        False: bins of equal width, (lower, upper], as in Guo et al. (2017). True: bins of equally many
        images; images of equal confidence count with their mean accuracy, whatever their order.

    Raises
    ------
    InputError
        For no image, unequal lengths, or a confidence that is not in [0, 1].
    """
    confidences = np.asarray(confidence, dtype=np.float64)
    rights = np.asarray(is_right, dtype=np.float64)
    if confidences.ndim != 1 or confidences.shape != rights.shape or len(confidences) == 0:
        raise InputError(
            f"confidence has the shape {confidences.shape} and is_right {rights.shape}; "
            "expected one of each per image, and at least one image"
        )
    if not ((confidences >= 0) & (confidences <= 1 + 1e-6)).all():
        raise InputError(
            f"confidence spans {confidences.min():.4g} to {confidences.max():.4g}; "
            "expected probabilities in [0, 1]"
        )
    bins = equal_mass_bins(confidences, n_bins) if equal_mass else equal_width_bins(confidences, n_bins)
    if equal_mass:
        rights = mean_among_ties(rights, confidences)
    count = np.bincount(bins, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bins, weights=confidences, minlength=n_bins) / count
        accuracy = np.bincount(bins, weights=rights, minlength=n_bins) / count
    if equal_mass:
        lower, upper = np.full(n_bins, np.nan), np.full(n_bins, np.nan)
        for number in np.flatnonzero(count):
            inside = confidences[bins == number]
            lower[number], upper[number] = inside.min(), inside.max()
    else:
        lower, upper = _equal_widths(n_bins)[:-1], _equal_widths(n_bins)[1:]
    return Reliability(lower, upper, count, mean_confidence, accuracy)


def expected_calibration_error(
    confidence: ArrayLike, is_right: ArrayLike, n_bins: int = N_BINS, equal_mass: bool = False
) -> float:
    """Mean distance of confidence and accuracy over bins, in [0, 1]; see `reliability_curve`."""
    return reliability_curve(confidence, is_right, n_bins, equal_mass).expected_calibration_error


def equal_width_bins(confidence: NDArray[np.float64], n_bins: int = N_BINS) -> NDArray[np.int64]:
    """(n_samples,) the bin of each confidence among n_bins of equal width over [0, 1], (lower, upper]."""
    bins = np.searchsorted(_equal_widths(n_bins), confidence, side="left") - 1
    clipped: NDArray[np.int64] = np.clip(bins, 0, n_bins - 1)
    return clipped


def equal_mass_bins(confidence: NDArray[np.float64], n_bins: int = N_BINS) -> NDArray[np.int64]:
    """(n_samples,) the bin of each confidence among n_bins of equally many samples, in order of confidence."""
    bins = np.empty(len(confidence), dtype=np.int64)
    bins[np.argsort(confidence, kind="stable")] = np.arange(len(confidence)) * n_bins // len(confidence)
    return bins


def mean_among_ties(values: NDArray[np.float64], keys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each sample the mean value of all samples with the same key."""
    _, tie, size = np.unique(keys, return_inverse=True, return_counts=True)
    means: NDArray[np.float64] = (np.bincount(tie, weights=values) / size)[tie]
    return means


def coverage_curve(
    confidence: ArrayLike, is_right: ArrayLike, n_points: int = 100
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy of the most confident images, against the share of images that are kept.

    Images of equal confidence count with their mean accuracy, whatever their order.

    Returns up to n_points shares kept, in (0, 1] and rising to 1, and the accuracy among the images kept.
    """
    confidences = np.asarray(confidence, dtype=np.float64)
    rights = mean_among_ties(np.asarray(is_right, dtype=np.float64), confidences)
    n_samples = len(confidences)
    kept = np.unique(np.linspace(0, n_samples, min(n_points, n_samples) + 1).round().astype(np.int64))[1:]
    accuracy = rights[np.argsort(-confidences, kind="stable")].cumsum()[kept - 1] / kept
    return kept / n_samples, accuracy


def match_probabilities(
    probabilities: ArrayLike, matching: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Turn probabilities of clusters into probabilities of classes.

    Returns (n_samples, n_classes + 1). The last column is what lies on clusters that stand for nothing.

    Parameters
    ----------
    probabilities
        (n_samples, n_clusters), rows summing to 1.
    matching
        (n_clusters,) the class each cluster stands for, -1 for none; from `match_clusters`. Shorter than
        n_clusters when the last clusters are empty: those stand for nothing.
    """
    of_clusters = np.asarray(probabilities, dtype=np.float64)
    if of_clusters.ndim != 2 or of_clusters.shape[1] < len(matching):
        raise InputError(
            f"probabilities have the shape {of_clusters.shape} for {len(matching)} clusters; "
            "expected one row per image and one column per cluster"
        )
    of_classes = np.zeros((len(of_clusters), n_classes + 1))
    for cluster in range(of_clusters.shape[1]):
        stands_for = matching[cluster] if cluster < len(matching) else -1
        of_classes[:, stands_for] += of_clusters[:, cluster]
    return of_classes


def brier_score(class_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Mean squared distance of the probabilities from the one-hot truth, summed over classes, in [0, 2]."""
    return float(brier_scores(class_probabilities, codes).mean())


def negative_log_likelihood(class_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Mean of -log(probability of the true class), in nats; probabilities below 1.2e-7 count as that."""
    return float(negative_log_likelihoods(class_probabilities, codes).mean())


def brier_scores(class_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_samples,) the terms of `brier_score`."""
    of_truth = class_probabilities[np.arange(len(codes)), codes]
    scores: NDArray[np.float64] = np.square(class_probabilities).sum(axis=1) - 2 * of_truth + 1
    return scores


def negative_log_likelihoods(
    class_probabilities: NDArray[np.float64], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n_samples,) the terms of `negative_log_likelihood`."""
    of_truth = class_probabilities[np.arange(len(codes)), codes]
    losses: NDArray[np.float64] = -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY))
    return losses


def _equal_widths(n_bins: int) -> NDArray[np.float64]:
    return np.linspace(0.0, 1.0, n_bins + 1)
