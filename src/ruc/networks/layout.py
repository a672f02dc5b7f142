"""How tensors lie in memory while networks compute."""

from typing import TypeVar

import torch
from torch import nn

__all__ = ["channels_last"]

M = TypeVar("M", bound=nn.Module)


def channels_last(module: M, device: torch.device) -> M:
    """The module on the device, laid out so that convolutions are about twice as fast on a CPU."""
    return module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
