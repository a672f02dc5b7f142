"""What a person should look at: doubtful images, outliers, copies and near-copies. Nothing is dropped."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.neighbors.search import Neighbors

N_NEAREST = 10
OUTLIER_FENCE = 3.0
NEAR_COPY = 0.05


@dataclass(frozen=True)
class Marks:
    """Further columns of the table, each (n_samples,).

    Attributes
    ----------
    doubt
        float32 in [0, 1]: how likely the cluster is wrong, for ranking; 1 - confidence, raised where the
        nearest neighbours are in other clusters.
    is_outlier
        bool: unlike all other images, whatever its cluster.
    copy_of
        Text: the first image with the same bytes, or "".
    near_copy_of
        Text: an earlier image that is almost the same in the embedding, or "".
    """

    doubt: NDArray[np.float32]
    is_outlier: NDArray[np.bool_]
    copy_of: NDArray[np.str_]
    near_copy_of: NDArray[np.str_]


def find_marks(
    labels: NDArray[np.int64],
    confidence: NDArray[np.float32],
    neighbors: Neighbors,
    file_names: tuple[str, ...],
    hashes: list[str] | None,
) -> Marks:
    """Mark samples from their neighbours in the embedding and from the bytes of their files.

    `labels`, `confidence`: (n_samples,) the refined clusters and how sure they are. `hashes`: of each file's bytes, or
    None where there are no files.
    """
    indices = neighbors.indices[:, :N_NEAREST]
    similarity = neighbors.similarities[:, :N_NEAREST]
    return Marks(
        doubt=doubt_of(labels, confidence, indices),
        is_outlier=_outliers(similarity.mean(axis=1)),
        copy_of=_exact_copies(file_names, hashes),
        near_copy_of=_near_copies(file_names, neighbors),
    )


def doubt_of(
    labels: NDArray[np.int64], confidence: NDArray[np.float32], nearest: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How likely each cluster is wrong, for ranking: what confidence leaves open, more where neighbours are elsewhere.

    Parameters
    ----------
    labels, confidence
        (n_samples,).
    nearest
        (n_samples, m) the nearest samples of each, nearest first; the first ten count.
    """
    indices = nearest[:, :N_NEAREST]
    if indices.shape[1] == 0:
        return 1 - confidence
    agreement = (labels[indices] == labels[:, None]).mean(axis=1)
    return np.asarray(1.0 - confidence * (0.5 + 0.5 * agreement), np.float32)


def for_review(
    doubt: NDArray[np.float32], share: float, decided: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Rows most worth a look, most doubtful first: the given share of all, rounded up, none that is decided."""
    n = int(np.ceil(share * len(doubt)))
    order = np.argsort(-doubt, kind="stable")
    return (order if decided is None else order[~decided[order]])[:n].astype(np.int64)


def review_rows(
    share: float,
    doubt: NDArray[np.float32],
    file_names: Sequence[str],
    cluster: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    decided: NDArray[np.bool_] | None = None,
    closed: Collection[int] = (),
) -> tuple[tuple[Any, ...], ...]:
    """The rows of `review.csv`: name, cluster, confidence, doubt, and the cluster that comes second ("": none does).

    What a person has decided already is left out, and no `closed` cluster (merged away, or junk) comes second.
    """
    chosen = for_review(doubt, share, decided)
    others = probabilities[chosen].copy()
    others[:, sorted(closed)] = -0.5
    others[np.arange(len(chosen)), cluster[chosen]] = -1.0
    return tuple(
        (
            file_names[row],
            int(cluster[row]),
            float(probabilities[row, cluster[row]]),
            float(doubt[row]),
            int(second) if others[place, second] >= 0 else "",
        )
        for place, (row, second) in enumerate(zip(chosen, others.argmax(axis=1), strict=True))
    )


def _outliers(similarity: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Beyond Tukey's outer fence of the distance to the nearest neighbours, in logarithms: distances are skewed.

    Equal distances count once, or where most samples are copies of one all others would be outliers.
    """
    distance = np.log(np.sqrt(np.maximum(2.0 - 2.0 * similarity, 1e-12)))
    low, high = np.percentile(np.unique(distance), (25, 75))
    return np.asarray(distance > high + OUTLIER_FENCE * (high - low))


def _exact_copies(file_names: tuple[str, ...], hashes: list[str] | None) -> NDArray[np.str_]:
    first: dict[str, str] = {}
    copies = []
    for name, digest in zip(file_names, hashes or [""] * len(file_names), strict=True):
        original = first.setdefault(digest, name) if digest else name
        copies.append("" if original == name else original)
    return np.asarray(copies, dtype=np.str_)


def _near_copies(file_names: tuple[str, ...], neighbors: Neighbors) -> NDArray[np.str_]:
    """Pairs much closer than neighbours usually are: a twentieth of the median distance to the nearest one.

    Copies aside, or half of the samples being copies would leave no distance to be closer than.
    """
    distances = np.sqrt(np.maximum(2.0 - 2.0 * neighbors.similarities, 0.0))
    usual = np.median(np.where(distances > 0, distances, np.inf).min(axis=1))
    nearest = neighbors.indices[:, 0]
    rows = np.arange(len(nearest))
    is_copy = (distances[:, 0] < NEAR_COPY * usual) & (nearest < rows)
    return np.asarray(
        [file_names[n] if c else "" for n, c in zip(nearest, is_copy, strict=True)], dtype=np.str_
    )
