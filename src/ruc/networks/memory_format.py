"""How tensors lie in memory while networks compute."""

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def channels_last(module: M, device: torch.device) -> M:
    """The module on the device, laid out so that convolutions are about twice as fast on a CPU.

    Narrow ones stay as they are: with fewer than 8 channels oneDNN then writes beyond its buffers (torch 2.13).
    """
    convolutions = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    wide = all(each.out_channels % 8 == 0 for each in convolutions)
    layout = torch.channels_last if wide else torch.contiguous_format
    return module.to(device).to(memory_format=layout)  # type: ignore[call-overload,no-any-return]
