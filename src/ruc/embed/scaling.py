"""Rows of any scale as an embedding: unit length, and alike where the rows are near each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scaling", "fit_scaling"]

ROWS = 65_536  # at a time in double precision
REACH = 2.0  # median distances: half as far bends what is far away, twice as far heeds outliers (experiments/LOG.md)


@dataclass(frozen=True)
class Scaling:
    """Rows of unit length whose cosine similarity follows the distances between the rows they are made from.

    Rows are centred and lifted by a constant coordinate before they are scaled to unit length: what is far from the
    centre is then told from what is merely in the same direction. Embeddings are only scaled to unit length.

    Attributes
    ----------
    center
        (n_features,) the median of the rows fitted to; None where these are embeddings already.
    spread
        Twice the median of their distances from it: the height to which rows are lifted.
    magnitude
        What all values are divided by first, center and spread too, so that no square overflows or vanishes.
    """

    center: NDArray[np.float64] | None = None
    spread: float = 1.0
    magnitude: float = 1.0

    def __call__(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n_samples, n_features) as unit rows, one coordinate wider where they aren't embeddings."""
        wider = 0 if self.center is None else 1
        features = np.empty((len(values), values.shape[1] + wider), np.float32)
        for start in range(0, len(values), ROWS):
            rows = values[start : start + ROWS].astype(np.float64) / self.magnitude
            if self.center is not None:
                rows = np.column_stack([(rows - self.center) / self.spread, np.ones(len(rows))])
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            features[start : start + ROWS] = rows / np.maximum(lengths, np.finfo(np.float64).tiny)
        return features


def fit_scaling(values: NDArray[np.floating]) -> Scaling:
    """The scaling that suits (n_samples, n_features); rows of unit length are taken for embeddings as they are.

    Medians, so that a few rows far away don't make all the others look the same; of at most 65,536 rows, evenly spread.
    """
    largest = max(float(values.max()), -float(values.min()))
    if largest < 2 and np.allclose(np.linalg.norm(values, axis=1), 1, atol=1e-3):
        return Scaling()
    magnitude = 2.0 ** (np.frexp(largest)[1] - 1) if largest > 0 else 1.0  # a power of two rounds nothing
    some = values[:: -(-len(values) // ROWS)].astype(np.float64) / magnitude
    center = np.median(some, axis=0)
    away = np.linalg.norm(some - center, axis=1)
    away = away[away > 0]
    return Scaling(center, REACH * float(np.median(away)) if len(away) else 1.0, magnitude)
