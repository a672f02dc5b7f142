"""The networks that are retrained: a head on frozen features, or a backbone, whole or its last blocks, with a head."""

from typing import Any

from torch import Tensor, nn

from ruc.errors import InputError
from ruc.networks import Cut, ImageNetwork, LastBlocks, LastBlocksNetwork, NetworkSettings, ResNet, mlp_head


class Head(nn.Module):
    """One hidden layer on frozen features, or on those of one of several embeddings side by side.

    `config` holds what `network_from_config` needs to make an untrained one of the same shape.

    `n_features`, `n_clusters`, `width`: of the inputs, of the logits, and of the hidden layer. `start`, `stop`: which
    columns are read; None: up to the last.
    """

    def __init__(
        self, n_features: int, n_clusters: int, width: int, start: int = 0, stop: int | None = None
    ) -> None:
        super().__init__()
        self.columns = slice(start, n_features if stop is None else stop)
        shape = {"n_features": n_features, "n_clusters": n_clusters, "width": width}
        read = {"start": self.columns.start, "stop": self.columns.stop}
        self.config: dict[str, Any] = {"kind": "head", **shape, **read}
        self.layers = mlp_head(self.columns.stop - self.columns.start, width, n_clusters)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (n, n_clusters) of features (n, n_features)."""
        logits: Tensor = self.layers(features[:, self.columns])
        return logits


def network_from_config(config: dict[str, Any]) -> nn.Module:
    """An untrained network of the shape that `config` describes.

    Raises
    ------
    InputError
        `config["kind"]` is none of "head", "image" and "last blocks".
    """
    kind, shape = config.get("kind"), {key: value for key, value in config.items() if key != "kind"}
    if kind == "head":
        return Head(**shape)
    if kind == "image":
        return ImageNetwork(ResNet(NetworkSettings.from_config(shape["backbone"])), shape["n_clusters"])
    if kind == "last blocks":
        return LastBlocksNetwork(LastBlocks(Cut(**shape["cut"])), shape["n_clusters"])
    raise InputError(f"a network of kind {kind!r} is unknown; expected 'head', 'image' or 'last blocks'")
