"""The pixels themselves as features: principal components of small images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import normalize

from ruc.images.shrink import shrink
from ruc.images.views import to_float
from ruc.networks import State
from ruc.runtime import Runtime

CHUNK = 4096
# Of the median length, beside the components where pixels are the embedding: images much like the mean have only noise
# for a direction, and are alike by it. At 0.25 the share of right labels among ten neighbours stays within 0.2 points
# or rises by up to 1.5 (five data sets, experiments/LOG.md).
BESIDE = 0.25


@dataclass(frozen=True)
class PixelEmbedder:
    """Centred small images in the basis of their principal components, with a constant beside them, unit norm.

    Attributes
    ----------
    side
        Side to which images are shrunk.
    mean
        (channels * side * side,) mean of the flattened images.
    components
        (n_components, channels * side * side) orthonormal rows.
    constant
        A further feature before the rows are scaled to unit norm: by it images that are much like the mean are alike,
        whatever direction their noise has. 0: there is none.
    """

    side: int
    mean: torch.Tensor
    components: torch.Tensor
    constant: float = 0.0

    @property
    def name(self) -> str:
        """How it is called in settings and reports."""
        return "pixels"

    @property
    def n_channels(self) -> int:
        """Of the images that it was fitted to."""
        return int(self.components.shape[1]) // self.side**2

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """None: it is no network."""
        return ()

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(n, channels, size, size) images in [0, 1] as unit-norm rows, with gradients."""
        mean, components = self.mean.to(images.device), self.components.to(images.device)
        return self._scaled((shrink(images, self.side).flatten(1) - mean) @ components.T)

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """(n, channels, size, size) uint8 pixels as (n, n_features) unit-norm rows."""
        projected = (_flat(pixels, self.side) - self.mean) @ self.components.T
        features: NDArray[np.float32] = self._scaled(projected).numpy()
        return features

    def _scaled(self, projected: torch.Tensor) -> torch.Tensor:
        if self.constant > 0:
            projected = torch.cat([projected, torch.full_like(projected[:, :1], self.constant)], dim=1)
        return normalize(projected, dim=1)

    def state(self) -> State:
        """Everything needed to make it again."""
        config = {"kind": self.name, "side": self.side, "constant": self.constant}
        return State(config, {"mean": self.mean, "components": self.components})

    @classmethod
    def from_state(cls, state: State) -> "PixelEmbedder":
        """The embedder whose `state()` this is."""
        constant = float(state.config.get("constant", 0.0))
        return cls(state.config["side"], state.weights["mean"], state.weights["components"], constant)


def fit_pixels(
    pixels: NDArray[np.uint8], n_features: int = 64, side: int | None = None, beside: float = 0.0
) -> PixelEmbedder:
    """Principal components of the images, exact and without chance.

    Parameters
    ----------
    pixels
        (n, channels, size, size) uint8.
    n_features
        Most components to keep; fewer where images or pixels are fewer.
    side
        Larger images are shrunk to this side first; by default 32 for grey ones and 16 for coloured ones, as
        the time grows with the cube of the number of values and the components are smooth anyway.
    beside
        The constant feature beside the components, as a share of the images' median distance from their mean.
    """
    side = min(side or (32 if pixels.shape[1] == 1 else 16), pixels.shape[-1])
    flat = _flat(pixels, side).double()
    mean = flat.mean(dim=0)
    flat -= mean
    # Eigenvectors of the covariance: one pass over the images, and 1024 squared numbers by default.
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    components = vectors.flip(1).T[: min(n_features, len(flat))]
    # An eigenvector's sign is arbitrary; make the largest entry positive, so that every machine agrees.
    largest = components.gather(1, components.abs().argmax(dim=1, keepdim=True))
    components = components * largest.sign()
    constant = beside * float((flat @ components.T).norm(dim=1).median()) if beside > 0 else 0.0
    return PixelEmbedder(side, mean.float(), components.float().contiguous(), constant)


def _flat(pixels: NDArray[np.uint8], side: int) -> torch.Tensor:
    chunks = []
    for start in range(0, len(pixels), CHUNK):
        images = to_float(torch.from_numpy(pixels[start : start + CHUNK]))
        chunks.append(shrink(images, side).flatten(1))
    return torch.cat(chunks)
