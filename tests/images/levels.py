"""Random images that several tests of views share."""

import torch
from torch import Tensor


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels(count: int = 6, channels: int = 3, side: int = 16) -> Tensor:
    """Random images on the 256 levels that Pillow knows."""
    return torch.randint(256, (count, channels, side, side), generator=generator(7)).float() / 255
