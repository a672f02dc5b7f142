"""A labelling beside the truth, so that every number of it can be had for any sample of the images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.evaluation.calibration import (
    brier_scores,
    equal_mass_bins,
    equal_width_bins,
    match_probabilities,
    mean_among_ties,
    negative_log_likelihoods,
)
from ruc.evaluation.metrics import ari_of_counts, contingency, correct_under, match_clusters, nmi_of_counts
from ruc.evaluation.truth import Truth
from ruc.labels.clustering import UNKNOWN


@dataclass(frozen=True)
class Labelling:
    """One labelling of the images with known truth, under the matching that suits it best.

    Every number is a function of how often each image is counted, so that a bootstrap sample is a vector of
    counts. The matching and the bins stay as they are on all images.
    """

    n_clusters: int
    n_classes: int
    clusters: NDArray[np.int64]
    cells: NDArray[np.int64]
    right: NDArray[np.bool_]
    right_many_to_one: NDArray[np.bool_]
    confidence: NDArray[np.float64] | None
    terms: dict[str, NDArray[np.float64]]
    bins: dict[str, NDArray[np.int64]]
    outcomes: dict[str, NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        numbers: NDArray[np.int64],
        truth: Truth,
        probabilities: ArrayLike | None,
        confidence: ArrayLike | None,
    ) -> "Labelling":
        """Match clusters (n_samples,) with the truth, and keep what the numbers are made of.

        Probabilities are (n_samples, n_clusters), confidence (n_samples,); without confidence the largest
        probability stands for it, and without both calibration isn't measured.
        """
        counts = contingency(numbers, truth)
        known = truth.is_known
        clusters, codes = numbers[known], truth.codes[known]
        n_filled, n_classes = len(counts) - 1, len(truth.classes)
        matching = match_clusters(counts)
        right = correct_under(matching, clusters, codes)
        terms: dict[str, NDArray[np.float64]] = {}
        n_clusters = n_filled
        stated = None if confidence is None else np.asarray(confidence, dtype=np.float64)[known]
        if probabilities is not None:
            of_clusters = np.asarray(probabilities, dtype=np.float64)[known]
            _check_probabilities(of_clusters)
            of_classes = match_probabilities(of_clusters, matching, n_classes)
            terms = {
                "brier": brier_scores(of_classes, codes),
                "nll": negative_log_likelihoods(of_classes, codes),
            }
            n_clusters = of_clusters.shape[1]
            stated = of_clusters.max(axis=1) if stated is None else stated
        bins: dict[str, NDArray[np.int64]] = {}
        outcomes: dict[str, NDArray[np.float64]] = {}
        if stated is not None:
            outcome = right.astype(np.float64)
            bins = {"ece": equal_width_bins(stated), "ece_equal_mass": equal_mass_bins(stated)}
            outcomes = {"ece": outcome, "ece_equal_mass": mean_among_ties(outcome, stated)}
        return cls(
            n_clusters=n_clusters,
            n_classes=n_classes,
            clusters=clusters,
            cells=np.where(clusters == UNKNOWN, n_filled, clusters) * n_classes + codes,
            right=right,
            right_many_to_one=correct_under(match_clusters(counts, many_to_one=True), clusters, codes),
            confidence=stated,
            terms=terms,
            bins=bins,
            outcomes=outcomes,
        )

    def numbers(self, times: NDArray[np.float64]) -> dict[str, float]:
        """Every number, each image counted so many times."""
        total = times.sum()
        counts = np.bincount(self.cells, weights=times).round()
        table = np.pad(counts, (0, -len(counts) % self.n_classes)).reshape(-1, self.n_classes)
        numbers = {
            "accuracy": float(times @ self.right / total),
            "purity": float(times @ self.right_many_to_one / total),
            "nmi": nmi_of_counts(table),
            "ari": ari_of_counts(table),
        }
        if self.confidence is not None:
            numbers["mean_confidence"] = float(times @ self.confidence / total)
            for name, bins in self.bins.items():
                overconfidence = times * (self.confidence - self.outcomes[name])
                numbers[name] = float(np.abs(np.bincount(bins, weights=overconfidence)).sum() / total)
        for name, terms in self.terms.items():
            numbers[name] = float(times @ terms / total)
        return numbers


def _check_probabilities(probabilities: NDArray[np.float64]) -> None:
    if probabilities.ndim != 2:
        raise InputError(
            f"probabilities have the shape {probabilities.shape}; expected a row per image and a column per cluster"
        )
    wrong = np.flatnonzero(~(np.abs(probabilities.sum(axis=1) - 1) < 1e-3) | (probabilities < 0).any(axis=1))
    if len(wrong):
        raise InputError(
            f"the probabilities of image {wrong[0]} (counting those with known truth from 0) sum to "
            f"{probabilities[wrong[0]].sum():.4g}; expected rows of non-negative numbers that sum to 1"
        )
