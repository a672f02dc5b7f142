"""What an optimiser has to remember between two pieces of a training, as named tensors; and its usual schedule."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor


class Optimizer(Protocol):
    """One of PyTorch's, or `ruc.networks.sgd.Sgd`."""

    param_groups: list[dict[str, Any]]

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def step(self) -> Any:
        """Move the parameters along their gradients."""

    def state_dict(self) -> dict[str, Any]:
        """What has to be remembered: under "state" tensors by name, for each parameter by its number."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Put it back."""


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Momentum buffers, second moments and step counts as "NUMBER.NAME", the parameters numbered in their order."""
    return {
        f"{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put an optimiser of the same parameters back to where `optimizer_tensors` was taken; rates stay as they are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = _laid_out_like(parameters[int(number)], value)
    # torch moves the tensors to the device and the precision of their parameters.
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def can_fuse(device: torch.device) -> bool:
    """Whether torch has optimisers for the device that take all parameters in one pass (`fused`)."""
    return device.type in ("cpu", "cuda")


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """For all parameters, from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def warmup_cosine(step: int, n_steps: int) -> float:
    """Share of the learning rate at a step: a linear rise over a tenth of them, then half a cosine."""
    rise = max(1, n_steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's memory layout, which is lost in files and which fused optimisers take for granted."""
    if value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
