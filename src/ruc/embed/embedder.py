"""What every fitted embedder is: images in, unit-norm features out."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.runtime import Runtime

__all__ = ["Embedder", "State"]


@dataclass(frozen=True)
class State:
    """A fitted thing as it is written to disk: JSON-able configuration and named tensors, no pickle."""

    config: dict[str, Any]
    weights: dict[str, torch.Tensor]


class Embedder(Protocol):
    """A fitted embedder of images that are held as one uint8 array."""

    @property
    def name(self) -> str:
        """How it is called in settings and reports, e.g. "contrastive"."""

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """Embed (n, channels, size, size) pixels as (n, n_features) unit-norm rows."""

    def state(self) -> State:
        """What `embedder_from_state` needs to make it again; `config["kind"]` names the class."""
