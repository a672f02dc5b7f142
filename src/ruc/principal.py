"""The principal components of features, found once for all that looks along them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

MOST_DIRECTIONS: Final = 256


@dataclass(frozen=True)
class Principal:
    """Where features differ most; found when it is first asked for.

    Attributes
    ----------
    features
        (n_samples, n_features).
    """

    features: Tensor

    @cached_property
    def directions(self) -> Tensor:
        """(n_features, at most 256), see `leading_directions`."""
        return leading_directions(self.features, MOST_DIRECTIONS)

    def components(self, n_most: int) -> Tensor:
        """The features along the first of the directions, from their mean: (n_samples, at most n_most)."""
        seen: Tensor = self.features @ self.directions[:, :n_most]
        return seen - seen.mean(dim=0)


def leading_directions(features: Tensor, n_directions: int) -> Tensor:
    """Orthonormal columns, the directions of largest variance, the largest first.

    (n_features, n_directions), or as many columns as there are samples where these are fewer.
    """
    spread = features - features.mean(dim=0)
    if len(spread) >= spread.shape[1]:
        return _leading_eigenvectors(spread.T @ spread, n_directions)
    across = _leading_eigenvectors(spread @ spread.T, n_directions)
    directions: Tensor = torch.linalg.qr(spread.T @ across).Q
    return directions


def _leading_eigenvectors(matrix: Tensor, n_vectors: int) -> Tensor:
    vectors: Tensor = torch.linalg.eigh(matrix).eigenvectors
    return vectors[:, -n_vectors:].flip(1).contiguous()
