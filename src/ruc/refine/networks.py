"""The networks that are retrained: a head on frozen features, or a whole backbone with a head."""

from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from ruc.errors import InputError
from ruc.networks import NetworkSettings, ResNet, linear_head, mlp_head

__all__ = ["Head", "ImageNetwork", "network_from_config"]


class Head(nn.Module):
    """One hidden layer on frozen features.

    `config` holds what `network_from_config` needs to make an untrained one of the same shape.
    """

    def __init__(self, n_features: int, n_clusters: int, width: int) -> None:
        super().__init__()
        shape = {"n_features": n_features, "n_clusters": n_clusters, "width": width}
        self.config: dict[str, Any] = {"kind": "head", **shape}
        self.layers = mlp_head(n_features, width, n_clusters)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, n_clusters) of features (n, n_features)."""
        logits: Tensor = self.layers(features)
        return logits


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


def network_from_config(config: dict[str, Any]) -> nn.Module:
    """An untrained network of the shape that `config` describes.

    Raises
    ------
    InputError
        `config["kind"]` is neither "head" nor "image".
    """
    kind, shape = config.get("kind"), {key: value for key, value in config.items() if key != "kind"}
    if kind == "head":
        return Head(**shape)
    if kind == "image":
        return ImageNetwork(ResNet(NetworkSettings.from_config(shape["backbone"])), shape["n_clusters"])
    raise InputError(f"a network of kind {kind!r} is unknown; expected 'head' or 'image'")
