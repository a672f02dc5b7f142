"""Stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013), as `torch.optim.SGD` takes its steps.

For heads, which learn for a few seconds: PyTorch's own asks for its compiler, which takes a second to import.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Sgd:
    """What `ruc.networks.optimizers.Optimizer` asks for; the state is named as `torch.optim.SGD` names it.

    Parameters
    ----------
    parameters
        What is learned.
    learning_rate
        At first, see `set_learning_rate`.
    momentum
        In [0, 1); 0: none.
    weight_decay
        How much of each parameter is added to its gradient.
    """

    def __init__(
        self, parameters: Iterable[Tensor], learning_rate: float, momentum: float, weight_decay: float
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters), "lr": learning_rate}]
        self.momentum, self.weight_decay = momentum, weight_decay
        self.moments: dict[int, Tensor] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move along the gradients; what has none stays where it is."""
        rate = self.param_groups[0]["lr"]
        for number, parameter in enumerate(self.param_groups[0]["params"]):
            if parameter.grad is None:
                continue
            direction = parameter.grad.add(parameter, alpha=self.weight_decay)
            moment = self.moments.get(number)
            moment = direction.clone() if moment is None else moment.mul_(self.momentum).add_(direction)
            self.moments[number] = moment
            parameter.add_(direction.add_(moment, alpha=self.momentum), alpha=-rate)

    def state_dict(self) -> dict[str, Any]:
        """The moments."""
        return {"state": {number: {"momentum_buffer": moment} for number, moment in self.moments.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the moments back."""
        parameters = self.param_groups[0]["params"]
        self.moments = {
            number: each["momentum_buffer"].to(parameters[number].device)
            for number, each in state["state"].items()
        }
