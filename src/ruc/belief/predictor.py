"""What predicts after a repair: the pair of networks, what is remembered against them, and the calibration."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ruc.belief.calibration import Calibration
from ruc.belief.memory import Memory, sketch
from ruc.networks import State
from ruc.refine.trained import Pair


@dataclass(frozen=True)
class Predictor:
    """Plain views in, clusters and probabilities out.

    Attributes
    ----------
    pair
        The two networks.
    memory
        The samples that are answered by what was believed of them.
    calibration
        The map from logits to probabilities.
    """

    pair: Pair
    memory: Memory | None = None
    calibration: Calibration = Calibration()  # noqa: RUF009

    def logits(self, inputs: Tensor) -> Tensor:
        """(n, n_clusters) of plain views, which may be uint8 images, on the CPU; a row's result stands alone."""
        return torch.cat([self._answered(*block).cpu() for block in self.pair.blocks(inputs)])

    def state(self) -> State:
        """Configuration and weights, without pickle."""
        pair, weights = self.pair.state(), {}
        if self.memory is not None:
            weights = {"memory.keys": self.memory.keys.cpu(), "memory.logits": self.memory.logits.cpu()}
        return State({**pair.config, **self.calibration.to_config()}, {**pair.weights, **weights})

    @staticmethod
    def from_state(state: State, device: torch.device) -> "Predictor":
        """What `state` was taken of."""
        memory = None
        if "memory.keys" in state.weights:
            keys, logits = state.weights["memory.keys"], state.weights["memory.logits"]
            memory = Memory(sketch(keys).to(device), logits.to(device))
        return Predictor(Pair.from_state(state, device), memory, Calibration.from_config(state.config))

    def _answered(self, views: Tensor, logits: Tensor) -> Tensor:
        return logits if self.memory is None else self.memory.answer(views, logits)
