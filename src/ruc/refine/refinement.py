"""What comes out of refining: labels, probabilities, the history, and the pair of networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.belief.calibration import Calibration
from ruc.belief.memory import Memory, sketch
from ruc.images.views import to_float
from ruc.networks import State
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
    """The two trained networks; the prediction is the sum of their logits, or what is remembered of a sample."""

    first: nn.Module
    second: nn.Module
    memory: Memory | None = None

    @property
    def n_clusters(self) -> int:
        """How many logits there are."""
        config: Any = self.first.config
        return int(config["n_clusters"])

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Summed logits (n, n_clusters) of plain views, on the CPU; a row's result stands alone.

        The views may be on any device, and images uint8: block after block becomes what the networks take.
        """
        device = next(self.first.eval().parameters()).device
        self.second.eval()
        parts = []
        for part in torch.split(inputs, PREDICT_ROWS):
            views = part.to(device)
            views = to_float(views) if views.dtype == torch.uint8 else views
            logits = (self.first(views) + self.second(views)).float()
            parts.append((logits if self.memory is None else self.memory.answer(views, logits)).cpu())
        return torch.cat(parts)

    def state(self) -> State:
        """Configuration and weights, without pickle."""
        weights = {
            f"{name}.{key}": value.detach().cpu().contiguous()
            for name, network in (("first", self.first), ("second", self.second))
            for key, value in network.state_dict().items()
        }
        if self.memory is not None:
            weights |= {"memory.keys": self.memory.keys.cpu(), "memory.logits": self.memory.logits.cpu()}
        return State({"kind": "pair", "network": self.first.config}, weights)

    @staticmethod
    def from_state(state: State, device: torch.device) -> "Pair":
        """The pair that `state` was taken of."""
        networks = []
        for name in ("first", "second"):
            network = network_from_config(state.config["network"])
            network.load_state_dict(state.under(name))
            networks.append(network.to(device).eval())
        memory = None
        if "memory.keys" in state.weights:
            keys, logits = state.weights["memory.keys"], state.weights["memory.logits"]
            memory = Memory(sketch(keys).to(device), logits.to(device))
        return Pair(networks[0], networks[1], memory)


@dataclass(frozen=True)
class Refinement:
    """Repaired clusters and what is needed to predict new samples.

    Attributes
    ----------
    labels
        (n_samples,) int64: the cluster of every sample.
    probabilities
        (n_samples, n_clusters) float32 (float16 beyond a quarter of a billion of them), calibrated without labels: the
        largest of a row estimates the probability that the sample is in the right cluster.
    clean_since
        (n_samples,) int64: the epoch, counted from 1, at whose end each sample became trusted; 0: trusted from the
        start, -1: never.
    history
        One record for each epoch.
    pair
        The two networks.
    calibration
        The map from the summed logits to `probabilities`.
    remarks, warnings
        One line for each thing worth knowing, and for each that may need a hand.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    clean_since: NDArray[np.int64]
    history: tuple[Epoch, ...]
    pair: Pair
    calibration: Calibration
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def was_clean(self) -> NDArray[np.bool_]:
        """(n_samples,) bool: trusted at the start."""
        return np.equal(self.clean_since, 0)

    @property
    def is_clean(self) -> NDArray[np.bool_]:
        """(n_samples,) bool: trusted at the end."""
        return np.greater_equal(self.clean_since, 0)
