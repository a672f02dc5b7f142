"""What learning without labels leaves: a backbone whose features tell the images apart that it was trained on."""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ruc.images.views import ViewPolicy, to_float
from ruc.networks import NetworkSettings, ResNet, State, channels_last
from ruc.runtime import Runtime

CHUNK = 1000


@dataclass(frozen=True)
class SelfSupervisedEmbedder:
    """A backbone trained on the images themselves; its normalised features are the embedding.

    Attributes
    ----------
    network
        Images (n, channels, side, side) in [0, 1] to features (n, n_features), not normalised.
    policy
        The views it was trained on.
    method
        How it was trained: "contrastive" or "momentum".
    """

    network: ResNet
    policy: ViewPolicy
    method: str

    @property
    def name(self) -> str:
        """How it is called in settings and reports: its method."""
        return self.method

    @property
    def n_channels(self) -> int:
        """Of the images that it was fitted to."""
        return self.network.settings.channels

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The network."""
        return (self.network,)

    def embed(self, images: Tensor) -> Tensor:
        """(n, channels, size, size) images in [0, 1] as unit-norm rows, with gradients, on the network's device."""
        return normalize(self.network(images).float(), dim=1)

    def transform(
        self, pixels: NDArray[np.uint8], runtime: Runtime, mixed_precision: bool = False
    ) -> NDArray[np.float32]:
        """(n, channels, size, size) uint8 pixels as (n, n_features) unit-norm rows; the network is left evaluating."""
        channels_last(self.network, runtime.device).eval()
        chunks = []
        with torch.inference_mode(), runtime.autocast() if mixed_precision else nullcontext():
            for start in range(0, len(pixels), CHUNK):
                part = torch.from_numpy(pixels[start : start + CHUNK]).to(runtime.device)
                chunks.append(self.embed(to_float(part)).cpu())
        features: NDArray[np.float32] = torch.cat(chunks).numpy()
        return features

    def state(self) -> State:
        """Everything needed to make it again."""
        config = {
            "kind": self.method,
            "policy": asdict(self.policy),
            "network": asdict(self.network.settings),
        }
        return State(config, {name: value.cpu() for name, value in self.network.state_dict().items()})

    @classmethod
    def from_state(cls, state: State) -> "SelfSupervisedEmbedder":
        """The embedder whose `state()` this is."""
        network = ResNet(NetworkSettings.from_config(state.config["network"]))
        network.load_state_dict(state.weights)
        policy = ViewPolicy(**_tuples(state.config["policy"]))
        return cls(network.eval(), policy, state.config["kind"])


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists back to the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
