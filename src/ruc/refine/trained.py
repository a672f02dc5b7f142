"""What comes out of training: the pair of networks, who became trusted when, and the history."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.images.views import to_float
from ruc.networks import State
from ruc.refine.networks import network_from_config

PREDICT_ROWS = 1024  # at a time, for the memory


@dataclass(frozen=True)
class Epoch:
    """What happened in one epoch; losses are means over the batches of both passes, unweighted.

    Attributes
    ----------
    epoch
        From 0.
    clean_loss, unclean_loss, smoothing_loss
        The three terms.
    clean_share
        Share of samples that are clean at the end of the epoch.
    n_promoted
        How many became clean in it.
    learning_rate, promotion_threshold
        As used in it.
    agreement
        Share of samples for which the two networks named the same cluster, of those that they were asked about so far.
    seconds
        Wall clock.
    """

    epoch: int
    clean_loss: float
    unclean_loss: float
    smoothing_loss: float
    clean_share: float
    n_promoted: int
    learning_rate: float
    promotion_threshold: float
    agreement: float
    seconds: float


@dataclass(frozen=True)
class Pair:
    """The two trained networks; the prediction is the sum of their logits."""

    first: nn.Module
    second: nn.Module

    @property
    def n_clusters(self) -> int:
        """How many logits there are."""
        config: Any = self.first.config
        return int(config["n_clusters"])

    def logits(self, inputs: Tensor) -> Tensor:
        """Summed logits (n, n_clusters) of plain views, on the CPU; a row's result stands alone."""
        return torch.cat([logits.cpu() for _, logits in self.blocks(inputs)])

    @torch.no_grad()
    def blocks(self, inputs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Block after block of the plain views, as the networks take them and on their device, and the logits.

        The inputs may be on any device, and images uint8.
        """
        device = next(self.first.eval().parameters()).device
        self.second.eval()
        for part in torch.split(inputs, PREDICT_ROWS):
            views = part.to(device)
            views = to_float(views) if views.dtype == torch.uint8 else views
            yield views, (self.first(views) + self.second(views)).float()

    def state(self) -> State:
        """Configuration and weights, without pickle."""
        weights = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, network in (("first", self.first), ("second", self.second))
            for key, value in network.state_dict().items()
        }
        return State({"kind": "pair", "network": self.first.config, "peer": self.second.config}, weights)

    @staticmethod
    def from_state(state: State, device: torch.device) -> "Pair":
        """The pair that `state` was taken of."""
        networks = []
        for name, which in (("first", "network"), ("second", "peer")):
            network = network_from_config(state.config[which])
            network.load_state_dict(state.under(name))
            networks.append(network.to(device).eval())
        return Pair(networks[0], networks[1])


@dataclass(frozen=True)
class Trained:
    """What `refine` returns.

    Attributes
    ----------
    pair
        The two networks.
    clean_since
        (n_samples,) int64: the epoch, counted from 1, at whose end each sample became trusted; 0: trusted from the
        start, -1: never.
    history
        One record for each epoch.
    """

    pair: Pair
    clean_since: NDArray[np.int64]
    history: tuple[Epoch, ...]
