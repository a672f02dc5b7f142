"""What colour means in a batch of images: luma, hue, and one number for each image to scale it by."""

import math

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def grey(images: Tensor) -> Tensor:
    """(n, 1, height, width) luma with ITU-R 601 weights, as Pillow's "L"."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (weight * images[:, i : i + 1] for i, weight in enumerate(LUMA))
    return red + green + blue


def hue_rotation(turns: Tensor) -> Tensor:
    """(n, 3, 3) rotations of colours about the grey axis of RGB space: hue turns, greys stay."""
    angle = 2 * math.pi * turns
    cosine, rest = angle.cos(), (1 - angle.cos()) / 3
    side = angle.sin() / math.sqrt(3)
    same, next_, previous = cosine + rest, rest - side, rest + side
    rotation = torch.stack([same, next_, previous, previous, same, next_, next_, previous, same], dim=1)
    return rotation.view(-1, 3, 3)


def per_image(values: Tensor) -> Tensor:
    """(n, 1, 1, 1): a number for each of n images, as it multiplies them."""
    return values[:, None, None, None]
