"""Everything that can be said of a clustering once the truth is known: before and after, with intervals."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.cluster.clustering import UNKNOWN
from ruc.errors import InputError
from ruc.evaluate.calibration import (
    Reliability,
    brier_scores,
    coverage_curve,
    equal_mass_bins,
    equal_width_bins,
    match_probabilities,
    mean_among_ties,
    negative_log_likelihoods,
    reliability_curve,
)
from ruc.evaluate.metrics import (
    ClusterScore,
    PrecisionRecall,
    Truth,
    ari_of_counts,
    as_clusters,
    clean_set_scores,
    confusion_matrix,
    contingency,
    correct_under,
    encode_truth,
    match_clusters,
    nmi_of_counts,
    per_cluster_scores,
)

__all__ = ["Changes", "Estimate", "Evaluation", "Scores", "evaluate"]

SMALLEST = {"ari": -1.0}
LARGEST = {"brier": 2.0, "nll": math.inf}


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval over images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """How well one labelling agrees with the truth.

    Attributes
    ----------
    numbers
        Name to estimate: accuracy, purity, nmi, ari; and where there are probabilities mean_confidence, ece,
        ece_equal_mass, brier, nll.
    clusters
        Precision and recall of each cluster.
    confusion, confusion_clusters
        (n_classes, n_columns) counts, and the cluster of each column; see `metrics.confusion_matrix`.
    reliability
        Accuracy against confidence, or None without probabilities.
    coverage
        Shares of images kept, most confident first, and their accuracy; or None without probabilities.
    """

    numbers: dict[str, Estimate]
    clusters: tuple[ClusterScore, ...]
    confusion: NDArray[np.int64]
    confusion_clusters: NDArray[np.int64]
    reliability: Reliability | None
    coverage: tuple[NDArray[np.float64], NDArray[np.float64]] | None


@dataclass(frozen=True)
class Changes:
    """What refining did to the labels: of n changed ones, how many it mended, broke, or left wrong."""

    n_changed: int
    n_mended: int
    n_broken: int
    n_still_wrong: int


@dataclass(frozen=True)
class Evaluation:
    """A clustering against the truth; base and refined side by side where both are known.

    Attributes
    ----------
    n_images, n_with_truth
        Images in all, and those with a known truth, on which everything here is measured.
    n_clusters
        Number of clusters, counting empty ones.
    classes
        Names of the true classes.
    refined, base
        Scores of the clusters, and of the initial clustering if it was given.
    difference
        Refined minus base for each number both have; the interval is of the paired difference.
    changes
        What became of the changed labels, or None without a base.
    clean_sets
        Precision, recall and F1 of each clean set, by name.
    clean_by_epoch
        The same after each epoch, epoch 0 being the start; empty when it isn't known.
    level
        Of the intervals, e.g. 0.95.
    """

    n_images: int
    n_with_truth: int
    n_clusters: int
    classes: tuple[str, ...]
    refined: Scores
    base: Scores | None
    difference: dict[str, Estimate]
    changes: Changes | None
    clean_sets: dict[str, PrecisionRecall]
    clean_by_epoch: tuple[PrecisionRecall, ...]
    level: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for metrics.json; NaN becomes None."""
        content = _jsonable(dataclasses.asdict(self))
        assert isinstance(content, dict)
        return content


def evaluate(
    clusters: ArrayLike,
    truth: ArrayLike | Truth,
    *,
    probabilities: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    initial_clusters: ArrayLike | None = None,
    initial_probabilities: ArrayLike | None = None,
    clean_sets: Mapping[str, ArrayLike] | None = None,
    clean_since: ArrayLike | None = None,
    n_epochs: int | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Measure clusters against the truth.

    Parameters
    ----------
    clusters
        (n_samples,) cluster numbers, -1 for none; or names.
    truth
        (n_samples,) true labels, numbers or text; -1, "", None or NaN where unknown: those images are left out.
    probabilities
        (n_samples, n_clusters), rows summing to 1; calibration is measured when given.
    confidence
        (n_samples,) the stated probability that each image is in the right cluster; the largest probability
        when not given.
    initial_clusters, initial_probabilities
        The same of the base clustering, to compare with.
    clean_sets
        Name to (n_samples,) bool: which initial labels a selection trusts. A set called "end" is measured on
        `clusters`, any other on `initial_clusters` (on `clusters` without these).
    clean_since
        (n_samples,) int: the epoch after which each image was trusted, 0 for the start, -1 for never.
    n_epochs
        How many epochs there were; by default none after the last in which an image became trusted.
    n_resamples
        Bootstrap samples for the intervals.
    level
        Of the intervals.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        No known truth, or arrays that don't fit together.
    """
    encoded = truth if isinstance(truth, Truth) else encode_truth(truth)
    numbers = as_clusters(clusters)
    base_numbers = None if initial_clusters is None else as_clusters(initial_clusters)
    sets = {name: np.asarray(mask, dtype=np.bool_) for name, mask in (clean_sets or {}).items()}
    since = None if clean_since is None else np.asarray(clean_since, dtype=np.int64)
    _check_lengths(
        len(encoded.codes), clusters=numbers, probabilities=probabilities, confidence=confidence,
        initial_clusters=base_numbers, initial_probabilities=initial_probabilities, clean_since=since, **sets,
    )  # fmt: skip

    known = encoded.is_known
    refined = _Labelling.of(numbers, encoded, probabilities, confidence)
    base = None if base_numbers is None else _Labelling.of(base_numbers, encoded, initial_probabilities, None)
    refined_numbers, base_estimates, difference = _estimates(refined, base, n_resamples, level, seed)
    trusted = numbers if base_numbers is None else base_numbers
    return Evaluation(
        n_images=len(known),
        n_with_truth=int(known.sum()),
        n_clusters=refined.n_clusters,
        classes=encoded.classes,
        refined=_scores(refined_numbers, refined, numbers, encoded),
        base=None
        if base is None or base_numbers is None
        else _scores(base_estimates, base, base_numbers, encoded),
        difference=difference,
        changes=None if base is None else _changes(base, refined),
        clean_sets={
            name: clean_set_scores(mask, numbers if name == "end" else trusted, encoded)
            for name, mask in sets.items()
        },
        clean_by_epoch=() if since is None else _clean_by_epoch(since, n_epochs, trusted, numbers, encoded),
        level=level,
    )


@dataclass(frozen=True)
class _Labelling:
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
    ) -> "_Labelling":
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


def _estimates(
    refined: _Labelling, base: _Labelling | None, n_resamples: int, level: float, seed: int
) -> tuple[dict[str, Estimate], dict[str, Estimate], dict[str, Estimate]]:
    """Estimates of refined, of base, and of their paired difference, from the same bootstrap samples."""

    def all_numbers(times: NDArray[np.float64]) -> dict[str, float]:
        after = refined.numbers(times)
        before = {} if base is None else base.numbers(times)
        return (
            {f"refined {name}": value for name, value in after.items()}
            | {f"base {name}": value for name, value in before.items()}
            | {f"difference {name}": after[name] - before[name] for name in after if name in before}
        )

    n_samples = len(refined.cells)
    values = all_numbers(np.ones(n_samples))
    samples = [all_numbers(times) for times in _resamples(n_samples, n_resamples, seed)]
    found: dict[str, dict[str, Estimate]] = {"refined": {}, "base": {}, "difference": {}}
    for key, value in values.items():
        of, name = key.split(" ")
        span = (SMALLEST.get(name, 0.0), LARGEST.get(name, 1.0))
        if of == "difference":
            span = (-math.inf, math.inf)
        found[of][name] = _estimate(value, np.array([sample[key] for sample in samples]), level, span)
    return found["refined"], found["base"], found["difference"]


def _resamples(n_samples: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How many times each image is drawn, for each bootstrap sample."""
    random = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.bincount(random.integers(n_samples, size=n_samples), minlength=n_samples).astype(np.float64)


def _estimate(
    value: float, samples: NDArray[np.float64], level: float, span: tuple[float, float]
) -> Estimate:
    """Percentile interval, moved by the bootstrap's own bias: NMI and ECE of resampled images are too high."""
    if len(samples) == 0:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]) + (value - samples.mean())
    return Estimate(value, float(np.clip(low, *span)), float(np.clip(high, *span)))


def _scores(
    estimates: dict[str, Estimate], labelling: _Labelling, numbers: NDArray[np.int64], truth: Truth
) -> Scores:
    confusion, columns = confusion_matrix(numbers, truth)
    confidence = labelling.confidence
    return Scores(
        numbers=estimates,
        clusters=per_cluster_scores(numbers, truth),
        confusion=confusion,
        confusion_clusters=columns,
        reliability=None if confidence is None else reliability_curve(confidence, labelling.right),
        coverage=None if confidence is None else coverage_curve(confidence, labelling.right),
    )


def _changes(base: _Labelling, refined: _Labelling) -> Changes:
    changed = base.clusters != refined.clusters
    return Changes(
        n_changed=int(changed.sum()),
        n_mended=int((changed & ~base.right & refined.right).sum()),
        n_broken=int((changed & base.right & ~refined.right).sum()),
        n_still_wrong=int((changed & ~base.right & ~refined.right).sum()),
    )


def _clean_by_epoch(
    since: NDArray[np.int64],
    n_epochs: int | None,
    initial: NDArray[np.int64],
    final: NDArray[np.int64],
    truth: Truth,
) -> tuple[PrecisionRecall, ...]:
    """Scores after each epoch; what was trusted at the start counts with its initial label, the rest with its last."""
    last = int(since.max(initial=0))
    if n_epochs is not None and n_epochs < last:
        raise InputError(
            f"clean_since says that an image was trusted after epoch {last}, but n_epochs={n_epochs} was given; "
            "expected at least as many"
        )
    labels = np.where(since == 0, initial, final)
    return tuple(
        clean_set_scores((since >= 0) & (since <= epoch), labels, truth)
        for epoch in range((last if n_epochs is None else n_epochs) + 1)
    )


def _check_lengths(n_samples: int, **arrays: ArrayLike | None) -> None:
    for name, array in arrays.items():
        if array is not None and len(np.asarray(array)) != n_samples:
            raise InputError(
                f"{name} has {len(np.asarray(array))} rows for {n_samples} true labels; expected one per image"
            )


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


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
