"""Contrastive learning: the loss against slow loops, and a small training that has to learn something."""

import math

import numpy as np
import pytest
import torch
from stripes import stripes

from ruc.embed.contrastive import (
    ContrastiveSettings,
    _enough_epochs,
    contrastive_loss,
    fit_contrastive,
)
from ruc.images.views import ViewPolicy
from ruc.networks import NetworkSettings, State
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

QUICK = ContrastiveSettings(
    policy=ViewPolicy(area=(0.6, 1.0), shift=0.05, brightness=0.3),
    network=NetworkSettings(width=8, blocks=(1, 1), stem="full"),
    epochs=4,
    batch_size=60,
)


@pytest.mark.parametrize("n_views", [2, 3])
def test_loss_equals_slow_loops(n_views) -> None:
    projected = torch.randn(n_views * 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    unit = projected / projected.norm(dim=1, keepdim=True)
    terms = []
    for i in range(len(unit)):
        others = sum(math.exp(float(unit[i] @ unit[j]) / 0.3) for j in range(len(unit)) if i % 5 != j % 5)
        terms += [
            math.log(others) - float(unit[i] @ unit[j]) / 0.3
            for j in range(len(unit))
            if i % 5 == j % 5 and i != j
        ]
    assert contrastive_loss(projected, n_views, 0.3).item() == pytest.approx(sum(terms) / len(terms))


def test_loss_is_lower_when_views_agree() -> None:
    images = torch.eye(4)
    assert contrastive_loss(images.repeat(2, 1), 2, 0.2) < contrastive_loss(
        torch.cat([images, images.flip(0)]), 2, 0.2
    )


@pytest.mark.parametrize(
    ("n_images", "expected"), [(100, 200), (1000, 50), (5000, 20), (10_000, 10), (10**6, 5)]
)
def test_epochs_follow_the_number_of_images(n_images, expected) -> None:
    assert _enough_epochs(n_images, max(1, n_images // 125)) == expected


def test_learns_what_pixels_do_not_show_and_repeats_with_the_seed() -> None:
    pixels, kinds = stripes(240, 3)
    embedder = fit_contrastive(pixels, Runtime("cpu"), QUICK)
    features = embedder.transform(pixels, Runtime("cpu"))
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -1)
    assert (kinds[similarity.argmax(axis=1)] == kinds).mean() > 0.9
    again = fit_contrastive(pixels, Runtime("cpu"), QUICK).transform(pixels, Runtime("cpu"))
    np.testing.assert_array_equal(features, again)


def test_an_interrupted_training_ends_the_same() -> None:
    pixels, _ = stripes(60, 3)
    states: list[State] = []
    whole = fit_contrastive(pixels, Runtime("cpu"), QUICK, lambda epoch, loss, state: states.append(state()))
    resumed = fit_contrastive(pixels, Runtime("cpu"), QUICK, resume=states[1])
    for name, value in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], value), name


def test_a_handful_of_images_is_enough() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 40, 40), dtype=np.uint8)
    embedder = fit_contrastive(pixels, Runtime("cpu"), QUICK)
    assert embedder.transform(pixels, Runtime("cpu")).shape == (5, 16)
