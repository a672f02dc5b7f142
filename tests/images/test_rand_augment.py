"""RandAugment: Pillow as the oracle for its operations, and every operation drawn."""

import numpy as np
import pytest
import torch
from levels import generator, levels
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from ruc.images import rand_augment as module
from ruc.images.rand_augment import rand_augment


def to_pil(image: Tensor) -> Image.Image:
    array = (image * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0])


def from_pil(image: Image.Image) -> Tensor:
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_equalize_equals_pillow(channels) -> None:
    images = levels(4, channels)
    images[0] = images[0] * 0.2  # a dark one
    images[1] = 0.5  # a single level: nothing to equalize
    images = (images * 255).round() / 255
    seen = module._equalize(images, torch.ones(4))
    for image, result in zip(images, seen, strict=True):
        assert torch.allclose(result, from_pil(ImageOps.equalize(to_pil(image))), atol=1e-6)


@pytest.mark.parametrize(
    ("operation", "pillow", "strength", "tolerance"),
    [
        ("_autocontrast", lambda image: ImageOps.autocontrast(image), 0.7, 1.5 / 255),
        ("_posterize", lambda image: ImageOps.posterize(image, 6), 0.5, 1e-6),
        ("_solarize", lambda image: ImageOps.solarize(image, 127.5), 0.5, 1e-6),
        ("_colour", lambda image: ImageEnhance.Color(image).enhance(1.45), 0.5, 2 / 255),
        ("_contrast", lambda image: ImageEnhance.Contrast(image).enhance(0.55), -0.5, 2 / 255),
        ("_brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.45), 0.5, 2 / 255),
        ("_sharpness", lambda image: ImageEnhance.Sharpness(image).enhance(1.45), 0.5, 2 / 255),
    ],
)
def test_operations_equal_pillow(operation, pillow, strength, tolerance) -> None:
    images = (levels() * 0.6 + 0.1).mul(255).round() / 255
    seen = getattr(module, operation)(images, torch.full((len(images),), strength)).clamp(0, 1)
    for image, result in zip(images, seen, strict=True):
        assert (result - from_pil(pillow(to_pil(image)))).abs().max() <= tolerance


def test_translation_moves_by_a_third_of_the_side_at_full_strength() -> None:
    images = levels(1, 1, 9)
    seen = module._translate_x(images, torch.ones(1))
    assert torch.allclose(seen[..., :6], images[..., 3:], atol=1e-5)
    assert torch.allclose(seen[..., 6:], images[..., -1:].expand(1, 1, 9, 3), atol=1e-5)


def test_rand_augment_uses_every_operation_and_none_at_zero_operations(monkeypatch) -> None:
    used: list[int] = []

    def spy(number: int):
        def operation(images: Tensor, strength: Tensor) -> Tensor:
            used.append(number)
            assert bool((strength.abs() - 0.3).abs().max() < 1e-6)
            return images

        return operation

    monkeypatch.setattr(module, "_OPERATIONS", tuple(spy(number) for number in range(14)))
    images = levels(200, 1, 4)
    rand_augment(images, 2, 3.0, generator())
    assert sorted(used) == sorted(list(range(14)) * 2)
    assert torch.equal(rand_augment(images, 0, 3.0, generator()), images)
