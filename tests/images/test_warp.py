"""Where a warp looks, against torch's own grids."""

import torch
from levels import generator, levels

from ruc.images.warp import warp, within


def test_windows_and_knots_together_look_where_torch_makes_each_look() -> None:
    images, shape = levels(5, 3), torch.Size((11, 13))
    window = torch.randn(5, 2, 3, generator=generator()) * 0.5
    knots = torch.randn(5, 2, 4, 4, generator=generator()) * 0.1
    grid = torch.nn.functional.affine_grid(window, [5, 1, 11, 13], align_corners=False)
    bent = torch.nn.functional.interpolate(knots, size=(11, 13), mode="bilinear", align_corners=True)
    expected = torch.nn.functional.grid_sample(
        images, grid + bent.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    assert torch.allclose(warp(images, window, knots, shape), expected, atol=1e-5)


def test_places_within_an_image_need_no_border() -> None:
    images = levels(2, 3, 28)[..., :17]  # height 28, width 17
    grid = torch.rand(2, 40, 40, 2, generator=generator()) * 4 - 2
    bordered = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    placed = within(grid, images.shape[-2:])
    assert torch.allclose(
        torch.nn.functional.grid_sample(images, placed, align_corners=False), bordered, atol=1e-5
    )
