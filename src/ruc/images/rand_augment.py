"""RandAugment (Cubuk et al. 2020, arXiv 1909.13719): random operations on each image of a batch."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ruc.images.colour import grey, per_image
from ruc.images.warp import warp
from ruc.runtime import to_device


def rand_augment(images: Tensor, operations: int, magnitude: float, generator: torch.Generator) -> Tensor:
    """`operations` random changes of each image, one after the other.

    Each image draws its own operations; those that drew the same one are changed together.

    Parameters
    ----------
    images
        (n, 1 or 3, height, width) in [0, 1], on any device.
    magnitude
        How far each goes, 0 to 10; the direction is random.
    generator
        A CPU generator; the same state gives the same images.
    """
    if len(images) == 0:  # nothing to put together
        return images
    for _ in range(operations):
        drawn = torch.randint(len(_OPERATIONS), (len(images),), generator=generator)
        signs = torch.randint(2, (len(images),), generator=generator) * 2 - 1
        order = drawn.argsort()
        groups = drawn.bincount(minlength=len(_OPERATIONS)).tolist()
        (strengths,) = to_device(images.device, signs[order] * (magnitude / 10))
        there, back = to_device(images.device, order, order.argsort())
        parts = torch.split(images.index_select(0, there), groups)
        changed = [
            operation(part, strength)
            for operation, part, strength in zip(
                _OPERATIONS, parts, torch.split(strengths, groups), strict=True
            )
            if len(part)
        ]
        images = torch.cat(changed).index_select(0, back).clamp_(0.0, 1.0)
    return images


# An operation takes images, and a signed strength in [-1, 1] for each of them.
# Ranges are those of RandAugment: rotation 30 degrees, shear 0.3, translation a third of the side, enhancement
# factors 0.1 to 1.9, posterize down to 4 bits, solarize from above 1 down to 0.


def _affine(images: Tensor, entries: Mapping[tuple[int, int], Tensor]) -> Tensor:
    window = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    for (row, column), value in entries.items():
        window[:, row, column] = value
    return warp(images, window, None, images.shape[-2:])


def _identity(images: Tensor, strength: Tensor) -> Tensor:
    return images


def _autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-6), images)


def _equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Histogram equalization of each channel, on 256 levels, as Pillow does it."""
    levels = (images * 255).round().long().flatten(2)
    counts = torch.zeros(*levels.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    last = counts.gather(2, levels.amax(dim=2, keepdim=True))
    step = (counts.sum(dim=2, keepdim=True) - last) // 255
    below = counts.cumsum(dim=2) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    equalized = table.gather(2, levels).to(images.dtype).div_(255)
    return torch.where(step > 0, equalized, levels / 255).view_as(images)


def _rotate(images: Tensor, strength: Tensor) -> Tensor:
    angle = strength * math.radians(30)
    cosine, sine = angle.cos(), angle.sin()
    return _affine(images, {(0, 0): cosine, (0, 1): -sine, (1, 0): sine, (1, 1): cosine})


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    return torch.where(images >= per_image(1 - strength.abs()), 1 - images, images)


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    lost = per_image(2.0 ** (strength.abs() * 4).round())
    return ((images * 255).round() / lost).floor() * lost / 255


def _blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """`other` at strength -1 (nearly), the images at 0, away from `other` above."""
    return torch.lerp(other.expand_as(images), images, per_image(1 + 0.9 * strength))


def _colour(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, grey(images), strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, grey(images).mean(dim=(2, 3), keepdim=True), strength)


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    smooth = images.clone()  # the outermost pixels stay, as in Pillow
    box = functional.avg_pool2d(images, 3, stride=1)
    smooth[:, :, 1:-1, 1:-1] = (9 * box + 4 * images[:, :, 1:-1, 1:-1]) / 13
    return _blend(images, smooth, strength)


def _shear_x(images: Tensor, strength: Tensor) -> Tensor:
    return _affine(images, {(0, 1): 0.3 * strength})


def _shear_y(images: Tensor, strength: Tensor) -> Tensor:
    return _affine(images, {(1, 0): 0.3 * strength})


def _translate_x(images: Tensor, strength: Tensor) -> Tensor:
    return _affine(images, {(0, 2): 2 / 3 * strength})


def _translate_y(images: Tensor, strength: Tensor) -> Tensor:
    return _affine(images, {(1, 2): 2 / 3 * strength})


_OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _identity, _autocontrast, _equalize, _rotate, _solarize, _colour, _posterize, _contrast, _brightness,
    _sharpness, _shear_x, _shear_y, _translate_x, _translate_y,
)  # fmt: skip
