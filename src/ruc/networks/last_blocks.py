"""The last blocks of EfficientNet-Lite, retrained above the first ones, which stay as they are.

The first blocks see edges and textures, which are alike in all photographs, and cost most of the time. What they make
of a view is a small map, computed once and kept; from there on a network learns.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ruc.networks.efficientnet_lite import N_FEATURES, VARIANTS, EfficientNetLite, block_shapes
from ruc.networks.heads import linear_head

STEM_STRIDE = 2


@dataclass(frozen=True)
class Cut:
    """Where a network is cut in two.

    Attributes
    ----------
    name
        Of the variant: "lite0", "lite1" or "lite2".
    side
        Of the images in pixels.
    n_frozen
        How many blocks stay as they are, the stem below them too; 0: none of them, and not the stem.
    start
        Where among the maps of several networks, flat and side by side, those of this one begin.
    """

    name: str
    side: int
    n_frozen: int
    start: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of what the part that learns is given."""
        if self.n_frozen == 0:
            return 3, self.side, self.side
        frozen = block_shapes(VARIANTS[self.name])[: self.n_frozen]
        side = -(-self.side // STEM_STRIDE)
        for block in frozen:
            side = -(-side // block.stride)
        return frozen[-1].n_out, side, side

    @property
    def stop(self) -> int:
        """Where its maps end."""
        channels, height, width = self.shape
        return self.start + channels * height * width


def last_size(name: str) -> int:
    """How many blocks of a variant it takes until its maps have their last size, in which the others are cheap."""
    shapes = block_shapes(VARIANTS[name])
    return max(number for number, shape in enumerate(shapes) if shape.stride > 1) + 1


class FirstBlocks(nn.Module):
    """The parts of several networks that stay as they are: images to their maps, flat and side by side.

    Parameters
    ----------
    cuts
        Of each network, at one side. Where whole networks learn, images are what these are given.
    networks
        Whole ones, in the same order.
    """

    def __init__(self, cuts: Sequence[Cut], networks: Sequence[EfficientNetLite]) -> None:
        super().__init__()
        self.cuts = tuple(cuts)
        self.parts = nn.ModuleList(
            nn.Sequential(network.stem, *list(network.blocks)[: cut.n_frozen])
            for cut, network in zip(cuts, networks, strict=True)
            if cut.n_frozen > 0
        )

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, side, side) in [0, 1] to (n, values of all maps)."""
        if len(self.parts) == 0:
            return images
        inputs = normalized(images)
        return torch.cat([part(inputs).flatten(1) for part in self.parts], dim=1)


class LastBlocks(nn.Module):
    """The part of a network that learns: its maps, among those of several, to 1,280 features.

    Normalisations are folded into the convolutions, so none has statistics that views of few images could spoil.

    Parameters
    ----------
    cut
        Where they begin.
    network
        A whole network, of which they are copied; None: one that has learned nothing.
    """

    def __init__(self, cut: Cut, network: EfficientNetLite | None = None) -> None:
        super().__init__()
        self.cut = cut
        network = network or EfficientNetLite(VARIANTS[cut.name])
        first = [network.stem] if cut.n_frozen == 0 else []
        layers = nn.Sequential(*first, *list(network.blocks)[cut.n_frozen :], network.head)
        self.layers = copy.deepcopy(layers).requires_grad_(True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps from `FirstBlocks`, or images (n, 3, side, side) in [0, 1] where all of it learns, to (n, 1280)."""
        if self.cut.n_frozen == 0:
            maps = normalized(inputs)
        else:
            maps = torch.unflatten(inputs[:, self.cut.start : self.cut.stop].float(), 1, self.cut.shape)
        last_map: Tensor = self.layers(maps.contiguous(memory_format=torch.channels_last))
        return last_map.mean(dim=(2, 3), dtype=torch.float32)


class LastBlocksNetwork(nn.Module):
    """Last blocks and a linear head.

    `config` holds what `network_from_config` needs to make an untrained one of the same shape.
    """

    def __init__(self, backbone: LastBlocks, n_clusters: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "kind": "last blocks",
            "cut": asdict(backbone.cut),
            "n_clusters": n_clusters,
        }
        self.backbone = backbone
        self.head = linear_head(N_FEATURES, n_clusters)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (n, n_clusters) of what `LastBlocks` takes."""
        logits: Tensor = self.head(self.backbone(inputs))
        return logits


def normalized(images: Tensor) -> Tensor:
    """Images in [0, 1] as the networks take them."""
    return ((images * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
