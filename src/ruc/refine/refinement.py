"""What comes out of refining: labels, probabilities, the history, and the pair of networks."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.embed.embedder import State
from ruc.refine.networks import network_from_config

__all__ = ["PREDICT_ROWS", "Epoch", "Pair", "Refinement"]

PREDICT_ROWS = 1024


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
        Share of samples for which the two networks named the same cluster.
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

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Summed logits (n, n_clusters) of plain views, in evaluation mode; a row's result stands alone."""
        self.first.eval()
        self.second.eval()
        parts = [self.first(part) + self.second(part) for part in torch.split(inputs, PREDICT_ROWS)]
        return torch.cat(parts).float()

    def state(self) -> State:
        """Configuration and weights, without pickle."""
        weights = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, network in (("first", self.first), ("second", self.second))
            for key, value in network.state_dict().items()
        }
        return State({"kind": "pair", "network": self.first.config}, weights)

    @staticmethod
    def from_state(state: State, device: torch.device) -> "Pair":
        """The pair that `state` was taken of."""
        networks = []
        for name in ("first", "second"):
            network = network_from_config(state.config["network"])
            own = {
                key.removeprefix(f"{name}."): value
                for key, value in state.weights.items()
                if key.startswith(name)
            }
            network.load_state_dict(own)
            networks.append(network.to(device).eval())
        return Pair(*networks)


@dataclass(frozen=True)
class Refinement:
    """Repaired clusters and what is needed to predict new samples.

    Attributes
    ----------
    labels
        (n_samples,) int64: the cluster of every sample.
    probabilities
        (n_samples, n_clusters) float32, calibrated without labels: the largest of a row estimates the
        probability that the sample is in the right cluster.
    raw_probabilities
        Softmax of the summed logits.
    was_clean, is_clean
        (n_samples,) bool: trusted at the start, and at the end.
    history
        One record for each epoch.
    pair
        The two networks.
    temperature
        `probabilities` is the softmax of the summed logits divided by it.
    warnings
        One line for each thing the user should know.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    raw_probabilities: NDArray[np.float32]
    was_clean: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    history: tuple[Epoch, ...]
    pair: Pair
    temperature: float
    warnings: tuple[str, ...]
