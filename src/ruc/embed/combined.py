"""Several embeddings side by side."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.embed.embedder import Embedder
from ruc.networks import State
from ruc.runtime import Runtime


@dataclass(frozen=True)
class CombinedEmbedder:
    """The features of several embedders, one after the other, each scaled by its weight.

    A cosine between two combined rows is the mean of the parts' cosines, weighted by the squared weights.

    Attributes
    ----------
    parts
        Fitted embedders, at least one.
    weights
        One for each part; only their proportions matter.
    """

    parts: tuple[Embedder, ...]
    weights: tuple[float, ...]

    @property
    def name(self) -> str:
        """How it is called in settings and reports, e.g. "contrastive+pixels"."""
        return "+".join(part.name for part in self.parts)

    @property
    def n_channels(self) -> int:
        """Of the images that its parts were fitted to."""
        return self.parts[0].n_channels

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """Those of the parts."""
        return tuple(module for part in self.parts for module in part.modules)

    def embed(self, images: Tensor) -> Tensor:
        """(n, channels, size, size) images in [0, 1] as unit-norm rows, with gradients."""
        pairs = zip(self.parts, self._scales, strict=True)
        return torch.cat([part.embed(images) * scale for part, scale in pairs], dim=1)

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """(n, channels, size, size) uint8 pixels as (n, n_features) unit-norm rows."""
        return self.join([part.transform(pixels, runtime) for part in self.parts])

    def join(self, features: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The combined features, from those of the parts."""
        pairs = zip(features, self._scales, strict=True)
        return np.concatenate([part * np.float32(scale) for part, scale in pairs], axis=1)

    @property
    def _scales(self) -> list[float]:
        """The weights, so that a combined row has unit norm."""
        length = float(np.linalg.norm(self.weights))
        return [weight / length for weight in self.weights]

    def state(self) -> State:
        """Everything needed to make it again; the parts' tensors are numbered."""
        states = [part.state() for part in self.parts]
        config = {"kind": "combined", "weights": list(self.weights), "parts": [s.config for s in states]}
        tensors = {
            f"{number}.{name}": tensor
            for number, s in enumerate(states)
            for name, tensor in s.weights.items()
        }
        return State(config, tensors)
