"""The network of a field checkpoint (SCAN, SimCLR, RUC) as embedder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.images.views import to_float
from ruc.networks import NetworkSettings, ResNet, State, relu_layers
from ruc.networks.checkpoints import Checkpoint
from ruc.progress import progress
from ruc.runtime import Runtime

BATCH = 250


@dataclass(frozen=True)
class CheckpointEmbedder:
    """A trained backbone; the normalised features are the embedding.

    SimCLR's features are taken behind its projection: there SCAN and RUC look for neighbours.

    Attributes
    ----------
    network
        Images (n, 1 or 3, side, side) in [0, 1] to features (n, n_features), not normalised.
    head
        SimCLR's projection of these features; empty for the others.
    side
        Side of the images that the network was trained on; others are resized to it.
    """

    network: ResNet
    head: nn.Sequential
    side: int

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> "CheckpointEmbedder":
        """The first backbone of a checkpoint, with SimCLR's projection if it is SimCLR's."""
        head = checkpoint.head if checkpoint.kind == "simclr" else nn.Sequential()
        return cls(checkpoint.backbone, head, checkpoint.side)

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return "checkpoint"

    @property
    def n_channels(self) -> int:
        """Of the images that it was trained on."""
        return self.network.settings.channels

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The network and the head."""
        return self.network, self.head

    def embed(self, images: Tensor) -> Tensor:
        """(n, 1 or 3, size, size) images in [0, 1] as unit-norm rows, with gradients, on the network's device."""
        return nn.functional.normalize(self.head(self.network(resized(images, self.side))).float(), dim=1)

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """(n, 1 or 3, size, size) uint8 pixels as (n, n_features) unit-norm rows."""
        features: NDArray[np.float32] = apply_in_batches(
            self.embed, self.modules, pixels, runtime, "embedding"
        ).numpy()
        return features

    def state(self) -> State:
        """Everything needed to make it again."""
        linear = [layer for layer in self.head if isinstance(layer, nn.Linear)]
        widths = [self.network.settings.n_features, *(layer.out_features for layer in linear)]
        config = {
            "kind": self.name,
            "side": self.side,
            "network": asdict(self.network.settings),
            "widths": widths,
        }
        model = nn.ModuleDict({"network": self.network, "head": self.head})
        return State(
            config, {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        )

    @classmethod
    def from_state(cls, state: State) -> "CheckpointEmbedder":
        """The embedder whose `state()` this is."""
        network = ResNet(NetworkSettings.from_config(state.config["network"]))
        head = relu_layers(state.config["widths"])
        nn.ModuleDict({"network": network, "head": head}).load_state_dict(state.weights)
        return cls(network.eval(), head.eval(), state.config["side"])


def apply_in_batches(
    function: Callable[[Tensor], Tensor],
    modules: Sequence[nn.Module],
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    what: str,
) -> Tensor:
    """The function's rows for all images, float32 on the CPU; a row doesn't depend on the others.

    Parameters
    ----------
    function
        Of images (n, channels, size, size) in [0, 1].
    modules
        What it uses: put on the runtime's device, in evaluation mode.
    pixels
        (n, channels, size, size) uint8.
    what
        Name of the work for the progress bar.
    """
    for module in modules:
        module.to(runtime.device).eval()
    parts = []
    with torch.inference_mode(), progress(what, len(pixels), "images", runtime.verbose) as advance:
        for start in range(0, len(pixels), BATCH):
            images = to_float(torch.from_numpy(pixels[start : start + BATCH]).to(runtime.device))
            parts.append(function(images.contiguous(memory_format=torch.channels_last)).float().cpu())
            advance(len(images))
    return torch.cat(parts)


def resized(images: Tensor, side: int) -> Tensor:
    """Square images at another side, antialiased; as they are where the side is right."""
    if images.shape[-1] == side:
        return images
    return nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
