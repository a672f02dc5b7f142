"""What every fitted embedder is: images in, unit-norm features out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.networks import State
from ruc.runtime import Runtime


class Embedder(Protocol):
    """A fitted embedder of images that are held as one uint8 array."""

    @property
    def name(self) -> str:
        """How it is called in settings and reports, e.g. "contrastive"."""

    @property
    def n_channels(self) -> int:
        """Of the images that it was fitted to: 1 or 3."""

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """What `embed` uses, to be put on a device; in evaluation mode."""

    def embed(self, images: Tensor) -> Tensor:
        """Embed (n, channels, size, size) images in [0, 1] as unit-norm rows, with gradients."""

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """Embed (n, channels, size, size) pixels as (n, n_features) unit-norm rows."""

    def state(self) -> State:
        """What `embedder_from_state` needs to make it again; `config["kind"]` is its name among those known."""
