"""Geometric changes of a batch of images, each image by its own map, all in one product."""

import torch
from torch import Tensor
from torch.nn import functional

KNOTS = 4  # an elastic warp is smooth: a 4 × 4 grid of displacements, interpolated


def warp(images: Tensor, window: Tensor, knots: Tensor | None, shape: torch.Size) -> Tensor:
    """Every geometric change at once; beyond the border its nearest pixel is repeated.

    Where to look is linear in the window and, by bilinear interpolation, in the knots: one product for all images.
    """
    basis, factors = _coordinates(shape, images.device), window.flatten(0, 1)
    if knots is not None:
        unit = torch.eye(KNOTS**2, device=images.device).view(-1, 1, KNOTS, KNOTS)
        each = functional.interpolate(unit, size=tuple(shape), mode="bilinear", align_corners=True)
        basis, factors = (
            torch.cat([basis, each.flatten(1)]),
            torch.cat([factors, knots.view(-1, len(unit))], 1),
        )
    grid = (factors @ basis).view(len(images), 2, *shape).permute(0, 2, 3, 1)
    if images.device.type == "mps":  # where grid_sample knew no borders before torch 2.13
        return functional.grid_sample(images, within(grid, images.shape[-2:]), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def within(grid: Tensor, shape: torch.Size) -> Tensor:
    """(n, ..., 2) places x, y to look at, none farther out than the centres of the outermost pixels."""
    height, width = shape
    x, y = grid.unbind(-1)
    return torch.stack([x.clamp(1 / width - 1, 1 - 1 / width), y.clamp(1 / height - 1, 1 - 1 / height)], -1)


def _coordinates(shape: torch.Size, device: torch.device) -> Tensor:
    """(3, height * width): x and y of every pixel's centre, from -1 to 1, and 1."""
    height, width = shape
    x = (2 * torch.arange(width, device=device) + 1) / width - 1
    y = (2 * torch.arange(height, device=device) + 1) / height - 1
    ones = torch.ones(height, width, device=device)
    return torch.stack([ones * x, ones * y[:, None], ones]).flatten(1)
