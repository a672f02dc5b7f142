"""Everything that can be said of a clustering once the truth is known: before and after, with intervals."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.evaluation.bootstrap import Estimate, estimate_numbers
from ruc.evaluation.calibration import Reliability, coverage_curve, reliability_curve
from ruc.evaluation.clean_sets import PrecisionRecall, clean_by_epoch, clean_set_scores
from ruc.evaluation.labelling import Labelling
from ruc.evaluation.metrics import ClusterScore, as_clusters, confusion_matrix, per_cluster_scores
from ruc.evaluation.truth import Truth, encode_truth
from ruc.labels.clustering import UNKNOWN
from ruc.run_folder import plain


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
    """What refining did to the labels.

    Attributes
    ----------
    n_changed
        Known labels that are others now; of these it …
    n_mended, n_broken, n_still_wrong
        … mended, broke, or left wrong so many.
    n_placed, n_placed_right
        Images that had no label and have a cluster now, and how many of these are right.
    """

    n_changed: int
    n_mended: int
    n_broken: int
    n_still_wrong: int
    n_placed: int
    n_placed_right: int


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
        content: dict[str, Any] = plain(dataclasses.asdict(self))
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
        (n_samples,) cluster numbers, -1 for none; or, without probabilities, names.
    truth
        (n_samples,) true labels, numbers or text; -1, "", None or NaN where unknown: those images are left out.
    probabilities
        (n_samples, n_clusters), rows summing to 1, column k that of cluster k; calibration is measured when given.
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
    if not 0 < level < 1:
        raise InputError(f"level={level!r} given; expected a share between 0 and 1, such as 0.95")
    numbers = as_clusters(clusters, are_columns=probabilities is not None)
    base_numbers = None
    if initial_clusters is not None:
        base_numbers = as_clusters(initial_clusters, are_columns=initial_probabilities is not None)
        if probabilities is None and initial_probabilities is None:  # a name is the same cluster in both
            together = as_clusters(np.concatenate([np.asarray(clusters), np.asarray(initial_clusters)]))
            numbers, base_numbers = together[: len(numbers)], together[len(numbers) :]
    sets = {name: np.asarray(mask, dtype=np.bool_) for name, mask in (clean_sets or {}).items()}
    since = None if clean_since is None else np.asarray(clean_since, dtype=np.int64)
    _check_lengths(
        len(encoded.codes), clusters=numbers, probabilities=probabilities, confidence=confidence,
        initial_clusters=base_numbers, initial_probabilities=initial_probabilities, clean_since=since, **sets,
    )  # fmt: skip

    known = encoded.is_known
    refined = Labelling.of(numbers, encoded, probabilities, confidence)
    base = None if base_numbers is None else Labelling.of(base_numbers, encoded, initial_probabilities, None)
    refined_numbers, base_estimates, difference = estimate_numbers(refined, base, n_resamples, level, seed)
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
        clean_by_epoch=() if since is None else clean_by_epoch(since, n_epochs, trusted, numbers, encoded),
        level=level,
    )


def _scores(
    estimates: dict[str, Estimate], labelling: Labelling, numbers: NDArray[np.int64], truth: Truth
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


def _changes(base: Labelling, refined: Labelling) -> Changes:
    moved, had_none = base.clusters != refined.clusters, base.clusters == UNKNOWN
    changed, placed = moved & ~had_none, moved & had_none
    return Changes(
        n_changed=int(changed.sum()),
        n_mended=int((changed & ~base.right & refined.right).sum()),
        n_broken=int((changed & base.right & ~refined.right).sum()),
        n_still_wrong=int((changed & ~base.right & ~refined.right).sum()),
        n_placed=int(placed.sum()),
        n_placed_right=int((placed & refined.right).sum()),
    )


def _check_lengths(n_samples: int, **arrays: ArrayLike | None) -> None:
    for name, array in arrays.items():
        if array is not None and len(np.asarray(array)) != n_samples:
            raise InputError(
                f"{name} has {len(np.asarray(array))} rows for {n_samples} true labels; expected one per image"
            )
