"""How well the trusted labels are chosen: whether they are right, and how many of the right ones they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.evaluation.metrics import as_clusters, contingency, correct_under, match_clusters, ratio
from ruc.evaluation.truth import Truth, encode_truth


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision, recall and their harmonic mean, each in [0, 1]; NaN where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float


def clean_set_scores(is_clean: ArrayLike, labels: ArrayLike, truth: ArrayLike | Truth) -> PrecisionRecall:
    """How well the clean set finds the images whose label is right.

    Parameters
    ----------
    is_clean
        (n_samples,) bool: the images that are trusted.
    labels
        (n_samples,) the cluster labels that are trusted; matched to the classes over all images, one-to-one.
    truth
        (n_samples,) true labels.

    Returns
    -------
    Precision: share of the trusted images whose label is right. Recall: share of the right that are trusted.
    """
    encoded = truth if isinstance(truth, Truth) else encode_truth(truth)
    clean = np.asarray(is_clean, dtype=np.bool_)
    clusters = as_clusters(labels)
    if not len(clean) == len(clusters) == len(encoded.codes):
        raise InputError(
            f"is_clean has {len(clean)} rows, labels {len(clusters)} and truth {len(encoded.codes)}; "
            "expected one each per image"
        )
    right = correct_under(match_clusters(contingency(clusters, encoded)), clusters, encoded.codes)
    hits = int((clean & right).sum())
    precision, recall = ratio(hits, int((clean & encoded.is_known).sum())), ratio(hits, int(right.sum()))
    f1 = 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
    return PrecisionRecall(precision, recall, f1)


def clean_by_epoch(
    since: NDArray[np.int64],
    n_epochs: int | None,
    initial: NDArray[np.int64],
    final: NDArray[np.int64],
    truth: Truth,
) -> tuple[PrecisionRecall, ...]:
    """Scores after each epoch; what was trusted at the start counts with its initial label, the rest with its last.

    Returns one more than there were epochs, the first of the start.

    Parameters
    ----------
    since
        (n_samples,) the epoch after which each image was trusted, 0 for the start, -1 for never.
    n_epochs
        How many there were; None: none after the last in `since`.
    initial, final
        (n_samples,) clusters at the start and at the end.
    """
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
