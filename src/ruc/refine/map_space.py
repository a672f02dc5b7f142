"""Image space where the last blocks of packaged networks learn from maps that were kept."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.refine.spaces import LAST_BLOCKS, Backbones, networks_on
from ruc.runtime import Runtime


class MapSpace:
    """Maps that frozen first blocks made of several views of each image; a view is one of these.

    Parameters
    ----------
    maps
        (1 + n_weak + n_strong, n_samples, n_values) float16: the plain images, weak and strong views of them.
    n_weak
        How many of the views are weak.
    backbones
        Where the two networks start from; copies of one packaged network, or two that see differently.
    """

    sees_more = True

    def __init__(self, maps: NDArray[np.float16], n_weak: int, backbones: Backbones) -> None:
        self.maps, self.n_weak, self.backbones = torch.from_numpy(maps), n_weak, backbones

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.maps.shape[1]

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Few epochs of a gentle optimiser, from few but reliable labels."""
        return LAST_BLOCKS

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Copies of the backbones under heads with different initial weights."""
        return networks_on(self.backbones, n_clusters, runtime)

    def plain(self, rows: Tensor) -> Tensor:
        """The maps of the images as they are."""
        return self._of(torch.zeros(len(rows), dtype=torch.int64), rows)

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Those of one of the weak views."""
        return self._of(1 + torch.randint(self.n_weak, (len(rows),), generator=generator), rows)

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Those of one of the strong views."""
        n_strong = len(self.maps) - 1 - self.n_weak
        return self._of(1 + self.n_weak + torch.randint(n_strong, (len(rows),), generator=generator), rows)

    def _of(self, views: Tensor, rows: Tensor) -> Tensor:
        """They stay in memory in half precision, and go to the rows' device as they are asked for."""
        return self.maps[views, rows.cpu()].to(rows.device).float()
