"""Smaller images: means worked by hand, and the way for a Mac's GPU equal to the other."""

import pytest
import torch
from levels import levels

from ruc.images.shrink import averaged, shrink


def test_large_images_are_shrunk_by_the_mean_and_small_ones_left() -> None:
    images = torch.arange(16.0).view(1, 1, 4, 4)
    assert shrink(images, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert shrink(images, 8) is images


@pytest.mark.parametrize(("size", "side"), [(28, 16), (17, 16), (64, 24), (7, 5), (32, 16)])
def test_two_products_equal_the_mean_over_windows(size: int, side: int) -> None:
    images = levels(3, 3, size)
    torch.testing.assert_close(averaged(images, side), shrink(images, side), atol=1e-6, rtol=0)
