"""Where the algorithm runs: a space supplies networks and views of the samples, nothing else."""

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.embed.neighbors import Neighbors
from ruc.runtime import Runtime

__all__ = ["FeatureSpace", "Head", "Space"]


class Space(Protocol):
    """What the algorithm asks of a space. Rows are indices on the space's device; views are on it as well."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Two networks that map views to logits, alike but for their freshly initialised heads."""

    def plain(self, rows: Tensor) -> Tensor:
        """The samples as they are."""

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A randomly and lightly changed view."""

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A randomly and heavily changed view."""


class Head(nn.Module):
    """One hidden layer on frozen features."""

    def __init__(self, n_features: int, n_clusters: int, width: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "kind": "head",
            "n_features": n_features,
            "n_clusters": n_clusters,
            "width": width,
        }
        self.layers = nn.Sequential(
            nn.Linear(n_features, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Linear(width, n_clusters),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, n_clusters) of features (n, n_features)."""
        logits: Tensor = self.layers(features)
        return logits


class FeatureSpace:
    """Frozen features; a view is made of features.

    A weak view is the sample moved a random part of the way to a random near neighbour, which is about what
    another photograph of the same thing would have given; or, where the embeddings of several augmentations
    were stored, one of these. A strong view moves further, and loses some of its features.

    Parameters
    ----------
    features
        (n_samples, n_features), unit-norm rows.
    neighbors
        Nearest neighbours of every sample.
    runtime
        The device.
    views
        (n_views, n_samples, n_features) embeddings of augmentations, if there are any.
    width
        Of the hidden layer.
    weak_step, strong_step
        The longest step towards a neighbour, as a share of the way.
    dropout
        The share of features that a strong view loses.
    n_steps_to
        To how many of the nearest neighbours a view may move.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        neighbors: Neighbors,
        runtime: Runtime,
        views: NDArray[np.floating] | None = None,
        width: int = 512,
        weak_step: float = 0.5,
        strong_step: float = 0.8,
        dropout: float = 0.2,
        n_steps_to: int = 10,
    ) -> None:
        self.features = torch.as_tensor(np.asarray(features, np.float32), device=runtime.device)
        self.nearest = torch.as_tensor(neighbors.indices[:, :n_steps_to], device=runtime.device)
        self.views = (
            None if views is None else torch.as_tensor(np.asarray(views, np.float32), device=runtime.device)
        )
        self.width, self.weak_step, self.strong_step, self.dropout = width, weak_step, strong_step, dropout

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.features)

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Two heads with different initial weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(runtime.numpy_seed("refine/networks"))
            heads = [Head(self.features.shape[1], n_clusters, self.width) for _ in range(2)]
        return heads[0].to(runtime.device), heads[1].to(runtime.device)

    def plain(self, rows: Tensor) -> Tensor:
        """The features as they are."""
        return self.features[rows]

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A step towards a near neighbour, or a stored augmentation."""
        if self.views is None:
            return self._step(rows, self.weak_step, generator)
        chosen = torch.randint(len(self.views), (len(rows),), generator=generator).to(rows.device)
        return self.views[chosen, rows]

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A longer step towards a near neighbour, and features dropped."""
        moved = self._step(rows, self.strong_step, generator)
        kept = torch.rand(moved.shape, generator=generator).to(moved.device) >= self.dropout
        return moved * kept / (1 - self.dropout)

    def _step(self, rows: Tensor, longest: float, generator: torch.Generator) -> Tensor:
        column = torch.randint(self.nearest.shape[1], (len(rows),), generator=generator).to(rows.device)
        share = longest * torch.rand(len(rows), 1, generator=generator).to(rows.device)
        here = self.features[rows]
        return torch.lerp(here, self.features[self.nearest[rows, column]], share)
