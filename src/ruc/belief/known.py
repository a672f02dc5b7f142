"""New samples among those that are known: as sure as these around are, and how new they are to them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.neighbors.top import top_unordered

N_AROUND: Final = 15  # as many as are joined in the neighbour graph; no experiment behind it
N_NEAR: Final = 5  # how far away a sample is: the mean distance to so many
SAME: Final = 2e-6  # of a cosine: nearer ones are the same sample
MOST_KNOWN: Final = 100_000  # of more, a random part stands for all
N_COMPARED: Final = 2000  # known samples whose own distances new ones are compared with
VALUES: Final = 16 * 1024 * 1024  # similarities held at once, for the memory


@dataclass(frozen=True)
class Around:
    """What is known around new samples.

    Attributes
    ----------
    confidence
        (n_samples,) float32: the mean confidence of those of the 15 nearest known samples that are in its cluster, and
        of the known sample itself where it's one of them; the least of all where none is.
    novelty
        (n_samples,) float32 in [0, 1]: the share of the known samples that lie nearer to the others than this one does.
        Of samples of the same kind one in a hundred is above 0.99.
    """

    confidence: NDArray[np.float32]
    novelty: NDArray[np.float32]


class Known:
    """The samples of a run: where they lie, in which cluster, and how sure that is.

    `features`: (n_known, n_features). `cluster`, `confidence`: (n_known,) of each.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        cluster: NDArray[np.int64],
        confidence: NDArray[np.floating],
    ) -> None:
        random = np.random.default_rng(0)
        rows = np.sort(random.permutation(len(features))[:MOST_KNOWN])
        self._features = _unit(features[rows])
        self._cluster, self._confidence = cluster[rows], np.asarray(confidence, np.float32)[rows]
        self._compared = np.sort(random.permutation(len(rows))[:N_COMPARED])
        self._usual: NDArray[np.float32] | None = None

    @property
    def most_novel(self) -> float:
        """The novelty of what is farther off than any known sample is from the others: of few known ones below 0.99."""
        return len(self._compared) / (len(self._compared) + 1)

    def look_around(self, features: NDArray[np.floating], cluster: NDArray[np.int64]) -> Around:
        """What is known around new samples.

        `features`: (n_samples, n_features). `cluster`: (n_samples,) where each was put.
        """
        similarities, indices = self._nearest(_unit(features), N_AROUND)
        counts = self._cluster[indices] == cluster[:, None]
        same = counts & (similarities >= 1 - SAME)
        counts = np.where(same.any(axis=1, keepdims=True), same, counts)
        total = (self._confidence[indices] * counts).sum(axis=1)
        least = self._confidence.min(initial=1.0)
        sure = np.where(counts.any(axis=1), total / np.maximum(counts.sum(axis=1), 1), least)
        return Around(sure.astype(np.float32), self._novelty(_distance(similarities)))

    def _novelty(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._usual is None:
            similarities, indices = self._nearest(self._features[self._compared], N_NEAR + 1)
            own = indices == self._compared[:, None]
            own[~own.any(axis=1), -1] = True  # a copy stood in its place
            others = similarities[~own].reshape(len(own), -1)
            self._usual = np.sort(_distance(others))
        nearer = np.searchsorted(self._usual, distances, side="left")
        return np.asarray(nearer / (len(self._usual) + 1), np.float32)

    def _nearest(self, features: torch.Tensor, n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        n = min(n, len(self._features))
        similarities, indices = (
            np.empty((len(features), n), np.float32),
            np.empty((len(features), n), np.int64),
        )
        step = max(1, VALUES // len(self._features))
        for start in range(0, len(features), step):
            similar = features[start : start + step] @ self._features.T
            columns = top_unordered(similar, n)
            values, order = similar.gather(1, columns).sort(dim=1, descending=True, stable=True)
            similarities[start : start + step] = values.numpy()
            indices[start : start + step] = columns.gather(1, order).numpy()
        return similarities, indices


def _unit(features: NDArray[np.floating]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(np.array(features, np.float32)), dim=1)


def _distance(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    if similarities.shape[1] == 0:
        return np.zeros(len(similarities), np.float32)
    return np.asarray((1 - similarities[:, :N_NEAR]).mean(axis=1), np.float32)
