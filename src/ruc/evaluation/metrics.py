"""How well clusters agree with the truth: accuracy, purity, NMI, ARI, and the scores of each cluster.

Every function takes plain arrays and leaves the images with unknown truth out. An image without a
cluster (-1) is counted, and counted as wrong.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ruc.errors import InputError
from ruc.evaluation.truth import Truth, encode_truth
from ruc.labels.clustering import UNKNOWN
from ruc.labels.tables import WHOLE


@dataclass(frozen=True)
class ClusterScore:
    """How well one cluster agrees with the class it was matched to.

    Attributes
    ----------
    cluster
        Its number.
    matched_class
        Name of the class it stands for, or None when there are more clusters than classes.
    size
        Number of its images with known truth.
    precision
        Share of the cluster's images that are of the matched class; NaN for an empty or unmatched cluster.
    recall
        Share of the class's images that are in the cluster; NaN for an unmatched cluster.
    majority_class
        Name of the class most of its images belong to (None when it is empty) …
    majority_share
        … and their share; NaN for an empty cluster.
    """

    cluster: int
    matched_class: str | None
    size: int
    precision: float
    recall: float
    majority_class: str | None
    majority_share: float


def contingency(clusters: ArrayLike, truth: ArrayLike | Truth) -> NDArray[np.int64]:
    """Count the images of each cluster and class.

    Returns (n_clusters + 1, n_classes) int64; the last row holds the images without a cluster.

    Raises
    ------
    InputError
        When the lengths differ, or no image has a known truth.
    """
    encoded, known = _known(clusters, truth)
    n_clusters, n_classes = int(known.max(initial=UNKNOWN)) + 1, len(encoded.classes)
    rows = np.where(known == UNKNOWN, n_clusters, known)
    cells = rows * n_classes + encoded.codes
    return np.bincount(cells, minlength=(n_clusters + 1) * n_classes).reshape(n_clusters + 1, n_classes)


def match_clusters(counts: NDArray[np.int64], many_to_one: bool = False) -> NDArray[np.int64]:
    """Find the class each cluster stands for.

    Returns (n_clusters,) int64 class codes, -1 for a cluster that stands for nothing.

    Parameters
    ----------
    counts
        (n_clusters + 1, n_classes), from `contingency`.
    many_to_one
        False: the one-to-one assignment with the most images right (Hungarian matching); with more clusters
        than classes the rest stand for nothing. True: each cluster stands for its most frequent class.
    """
    table = counts[:-1]
    matching = np.full(len(table), UNKNOWN, dtype=np.int64)
    if many_to_one:
        filled = table.sum(axis=1) > 0
        matching[filled] = table[filled].argmax(axis=1)
        return matching
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    matching[rows] = columns
    return matching


def correct_under(
    matching: NDArray[np.int64], clusters: NDArray[np.int64], codes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(n_samples,) whether each image's cluster stands for its true class; False without either.

    Clusters beyond the `matching`, all of whose images have an unknown truth, stand for nothing.
    """
    is_matched = (clusters != UNKNOWN) & (clusters < len(matching))
    stands_for = np.full(len(clusters), UNKNOWN)
    stands_for[is_matched] = matching[clusters[is_matched]]
    right: NDArray[np.bool_] = (stands_for == codes) & (codes != UNKNOWN)
    return right


def accuracy(clusters: ArrayLike, truth: ArrayLike | Truth) -> float:
    """Share of the images that are right under the best one-to-one matching of clusters and classes."""
    return _share_right(contingency(clusters, truth), many_to_one=False)


def purity(clusters: ArrayLike, truth: ArrayLike | Truth) -> float:
    """Share of the images that are right when each cluster stands for its most frequent class.

    It can only grow with the number of clusters: compare it at equal numbers alone.
    """
    return _share_right(contingency(clusters, truth), many_to_one=True)


def normalized_mutual_information(clusters: ArrayLike, truth: ArrayLike | Truth) -> float:
    """Mutual information over the arithmetic mean of the two entropies, in [0, 1].

    The images without a cluster are a group of their own. Two partitions of one group each agree: 1.
    """
    return nmi_of_counts(contingency(clusters, truth))


def nmi_of_counts(counts: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Normalized mutual information of the rows and columns of a contingency table."""
    joint = counts / counts.sum()
    of_clusters, of_classes = joint.sum(axis=1), joint.sum(axis=0)
    mean_entropy = (_entropy(of_clusters) + _entropy(of_classes)) / 2
    if mean_entropy == 0.0:
        return 1.0
    information = _entropy(of_clusters) + _entropy(of_classes) - _entropy(joint.ravel())
    return float(np.clip(information / mean_entropy, 0.0, 1.0))


def adjusted_rand_index(clusters: ArrayLike, truth: ArrayLike | Truth) -> float:
    """Rand index corrected for chance (Hubert and Arabie, 1985): 1 for equal partitions, 0 for random.

    The images without a cluster are a group of their own.
    """
    return ari_of_counts(contingency(clusters, truth))


def ari_of_counts(counts: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Adjusted Rand index of the rows and columns of a contingency table."""
    together = _pairs(counts)
    in_clusters, in_classes = _pairs(counts.sum(axis=1)), _pairs(counts.sum(axis=0))
    all_pairs = _pairs(np.array([counts.sum()]))
    expected = in_clusters * in_classes / all_pairs if all_pairs else 0.0
    largest = (in_clusters + in_classes) / 2
    return 1.0 if largest == expected else float((together - expected) / (largest - expected))


def share_by_chance(clusters: ArrayLike, truth: ArrayLike | Truth, n_shuffles: int = 99) -> float:
    """How often clusters agree as well with the truth shuffled: the p-value of a permutation test.

    By the pairs of images that are together in both, of which ARI is made. From 1 / (n_shuffles + 1) to 1.
    """
    known, numbers = _known(clusters, truth)
    random = np.random.default_rng(0)
    _, columns = np.unique(numbers, return_inverse=True)
    n_classes = len(known.classes)
    cells = columns * n_classes
    observed = _pairs(np.bincount(cells + known.codes))
    shuffled = [_pairs(np.bincount(cells + random.permutation(known.codes))) for _ in range(n_shuffles)]
    return (1 + sum(pairs >= observed for pairs in shuffled)) / (1 + n_shuffles)


def per_cluster_scores(clusters: ArrayLike, truth: ArrayLike | Truth) -> tuple[ClusterScore, ...]:
    """Precision and recall of each cluster against the class it is matched to, one-to-one."""
    encoded = truth if isinstance(truth, Truth) else encode_truth(truth)
    counts = contingency(clusters, encoded)
    class_sizes = counts.sum(axis=0)
    scores = []
    for cluster, (row, code) in enumerate(zip(counts[:-1], match_clusters(counts), strict=True)):
        size, matched = int(row.sum()), code != UNKNOWN
        hits = int(row[code]) if matched else 0
        scores.append(
            ClusterScore(
                cluster=cluster,
                matched_class=encoded.classes[code] if matched else None,
                size=size,
                precision=ratio(hits, size) if matched else float("nan"),
                recall=ratio(hits, int(class_sizes[code])) if matched else float("nan"),
                majority_class=encoded.classes[row.argmax()] if size else None,
                majority_share=ratio(int(row.max()), size),
            )
        )
    return tuple(scores)


def confusion_matrix(
    clusters: ArrayLike, truth: ArrayLike | Truth
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the images with classes as rows and clusters as columns, matched clusters on the diagonal.

    Returns (n_classes, n_columns) counts, and (n_columns,) the cluster of each column. The clusters come in the order
    of the classes they are matched to, then the unmatched ones; images without a cluster come last, as column -1, when
    there are any.
    """
    counts = contingency(clusters, truth)
    matching = match_clusters(counts)
    numbers = np.arange(len(matching))
    order = numbers[np.lexsort((numbers, np.where(matching == UNKNOWN, counts.shape[1], matching)))]
    if counts[-1].any():
        order = np.append(order, UNKNOWN)
    return counts[order].T, order


def as_clusters(clusters: ArrayLike, are_columns: bool = False) -> NDArray[np.int64]:
    """Cluster numbers as they are, whatever type they have; names numbered in order.

    Parameters
    ----------
    clusters
        (n_samples,) whole numbers, -1 and what is missing for none; or names.
    are_columns
        Whether each number says which column of probabilities is the cluster's, which no name can.
    """
    values = np.asarray(clusters)
    if values.ndim == 1 and values.dtype.kind in "iub":
        return np.maximum(values.astype(np.int64), UNKNOWN)
    encoded = encode_truth(clusters)
    names = [name for name in encoded.classes if not WHOLE.fullmatch(name)]
    if not names:
        numbers = np.array([*map(int, encoded.classes), UNKNOWN], dtype=np.int64)
        return np.maximum(numbers[encoded.codes], UNKNOWN)
    if are_columns:
        raise InputError(
            f"clusters with names such as {names[0]!r} given beside probabilities; expected the number of each one's "
            "column: 0, 1, 2, …, or -1 for none"
        )
    return encoded.codes


def _known(clusters: ArrayLike, truth: ArrayLike | Truth) -> tuple[Truth, NDArray[np.int64]]:
    """Keep the images whose truth is known."""
    encoded = truth if isinstance(truth, Truth) else encode_truth(truth)
    numbers = as_clusters(clusters)
    if len(numbers) != len(encoded.codes):
        raise InputError(
            f"{len(numbers)} clusters but {len(encoded.codes)} true labels; expected one of each per image"
        )
    known = encoded.is_known
    if not known.any():
        raise InputError(
            f"none of the {len(known)} images has a known truth; nothing can be measured: give at least one"
        )
    return Truth(encoded.codes[known], encoded.classes), numbers[known]


def _share_right(counts: NDArray[np.int64], many_to_one: bool) -> float:
    matching = match_clusters(counts, many_to_one)
    matched = np.flatnonzero(matching != UNKNOWN)
    return float(counts[matched, matching[matched]].sum() / counts.sum())


def _entropy(shares: NDArray[np.float64]) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def _pairs(sizes: NDArray[np.int64] | NDArray[np.float64]) -> float:
    numbers = sizes.astype(np.float64)
    return float((numbers * (numbers - 1) / 2).sum())


def ratio(part: int, whole: int) -> float:
    """The part's share of the whole; NaN of nothing."""
    return part / whole if whole else float("nan")
