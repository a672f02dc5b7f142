"""A backbone with a head: images to clusters."""

from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from ruc.networks.heads import linear_head
from ruc.networks.resnet import NetworkSettings, ResNet
from ruc.networks.state import State


class ImageNetwork(nn.Module):
    """A residual backbone and a linear head.

    `config` holds what `network_from_config` needs to make an untrained one of the same shape.
    """

    def __init__(self, backbone: ResNet, n_clusters: int) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "kind": "image",
            "backbone": asdict(backbone.settings),
            "n_clusters": n_clusters,
        }
        self.backbone = backbone
        self.head = linear_head(backbone.settings.n_features, n_clusters)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, n_clusters) of images (n, channels, side, side) in [0, 1]."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def state(self) -> State:
        """Configuration and weights, without pickle."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        return State(self.config, weights)

    @staticmethod
    def from_state(state: State) -> "ImageNetwork":
        """The network that `state` was taken of, in evaluation mode."""
        backbone = ResNet(NetworkSettings.from_config(state.config["backbone"]))
        network = ImageNetwork(backbone, state.config["n_clusters"])
        network.load_state_dict(state.weights)
        return network.eval()
