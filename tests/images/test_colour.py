"""Hue worked by hand, luma against Pillow."""

import numpy as np
import torch
from levels import generator, levels
from PIL import Image

from ruc.images.colour import grey, hue_rotation


def test_hue_keeps_greys_and_a_third_of_a_turn_permutes_the_channels() -> None:
    greys = torch.full((1, 3, 2, 2), 0.4)
    turned = hue_rotation(torch.tensor([0.3])) @ greys.flatten(2)
    assert torch.allclose(turned, greys.flatten(2), atol=1e-6)
    colours = torch.rand(1, 3, 4, generator=generator())
    turned = hue_rotation(torch.tensor([1 / 3])) @ colours
    assert torch.allclose(turned, colours.roll(1, 1), atol=1e-6)


def test_grey_is_pillows_up_to_its_rounding() -> None:
    images = levels(4)
    for image, luma in zip((images * 255).byte(), grey(images), strict=True):
        expected = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        np.testing.assert_allclose(luma[0].numpy() * 255, expected, atol=0.51)
    assert torch.equal(grey(images[:, :1]), images[:, :1])
