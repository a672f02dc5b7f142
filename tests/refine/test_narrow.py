"""Heads in few directions are the heads on whole features, but for what lies in the other directions."""

import numpy as np
import pytest
import torch

from ruc.neighbors.search import Neighbors
from ruc.principal import leading_directions
from ruc.refine.narrow import (
    MOST_DIRECTIONS,
    MOST_SAMPLES,
    WORTH_IT,
    NarrowSpace,
    narrow,
    widen,
)
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trained import Pair
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=3)
N_SAMPLES = 40


def make_space(n_features, n_first=None, dropout=0.2):
    random = np.random.default_rng(0)
    features = random.normal(size=(N_SAMPLES, n_features)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    indices = np.stack([np.roll(np.arange(N_SAMPLES), -step) for step in range(1, 6)], axis=1)
    neighbors = Neighbors(indices, np.ones(indices.shape, np.float32))
    return FeatureSpace(features, neighbors, CPU, n_first=n_first, dropout=dropout)


def along(space, n_directions):
    return NarrowSpace(
        space, [leading_directions(block, n_directions) for block in space.blocks(space.features)]
    )


@pytest.mark.parametrize("n_samples", [60, 5], ids=["many samples", "fewer than features"])
def test_leading_directions_are_the_principal_components(n_samples):
    drawn = np.random.default_rng(1).normal(size=(n_samples, 7)) * np.arange(1, 8)
    features = torch.from_numpy(drawn).float() + 3
    found = leading_directions(features, 3)
    torch.testing.assert_close(found.T @ found, torch.eye(3), atol=1e-5, rtol=0)
    _, _, expected = np.linalg.svd((features - features.mean(dim=0)).numpy(), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.T.numpy()), np.abs(expected[:3]), atol=1e-3)


def test_of_few_or_equal_samples_there_are_as_many_directions():
    features = torch.eye(4, 9)[[0, 1, 1, 1]]
    found = leading_directions(features, 6)
    assert found.shape == (9, 4)
    torch.testing.assert_close(found.T @ found, torch.eye(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_first", [None, 8])
def test_heads_start_as_on_whole_features(n_first):
    space = make_space(20, n_first)
    n_all = 8 if n_first else 20
    blocks = space.blocks(space.features)
    whole = NarrowSpace(space, [leading_directions(block, block.shape[1]) for block in blocks])
    assert whole.directions[0].shape == (n_all, n_all)
    rows = torch.arange(N_SAMPLES)
    for one, other in zip(space.networks(4, CPU), whole.networks(4, CPU), strict=True):
        torch.testing.assert_close(
            one.eval()(space.plain(rows)), other.eval()(whole.plain(rows)), atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("n_first", [None, 12])
def test_widened_heads_say_of_whole_features_what_narrow_ones_say(n_first):
    space = make_space(32, n_first)
    seen = along(space, 5)
    networks = seen.networks(4, CPU)
    with torch.no_grad():
        for network in networks:  # as if they had learned
            for weights in network.parameters():
                weights.add_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(0)))
    rows = torch.arange(N_SAMPLES)
    expected = Pair(*networks).logits(seen.plain(rows))
    wide = widen(seen, Pair(*networks))
    torch.testing.assert_close(wide.logits(space.plain(rows)), expected, atol=1e-4, rtol=1e-4)
    copied = Pair.from_state(wide.state(), CPU.device)
    torch.testing.assert_close(copied.logits(space.plain(rows)), expected, atol=1e-4, rtol=1e-4)
    assert wide.first.config["n_features"] == 32
    assert wide.second.config["start"] == (n_first or 0)


def test_weak_views_are_the_whole_ones_along_the_directions():
    space = make_space(24)
    seen = along(space, 6)
    rows = torch.arange(N_SAMPLES)
    whole = space.weak(rows, torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        seen.weak(rows, torch.Generator().manual_seed(1)), whole @ seen.directions[0], atol=1e-5, rtol=0
    )


def test_strong_views_are_as_noisy_as_with_features_dropped():
    space = make_space(600)
    space.strong_step = 0.0  # the sample itself: what is left is the noise
    seen = along(space, 8)
    rows = torch.zeros(4000, dtype=torch.int64)
    dropped = space.strong(rows, torch.Generator().manual_seed(1)) @ seen.directions[0]
    noisy = seen.strong(rows, torch.Generator().manual_seed(1))
    own = seen.plain(rows[:1])[0]
    for views in (dropped, noisy):
        torch.testing.assert_close(views.mean(dim=0), own, atol=0.002, rtol=0)
    assert 0.85 < float(noisy.std(dim=0).mean() / dropped.std(dim=0).mean()) < 1.15


def test_only_many_features_of_samples_that_are_not_too_many_are_narrowed(monkeypatch):
    many = WORTH_IT * MOST_DIRECTIONS
    few = make_space(many - 1)
    assert narrow(few) is few
    found = narrow(make_space(many))
    assert isinstance(found, NarrowSpace)
    assert found.plain(torch.arange(3)).shape == (3, N_SAMPLES)  # no more directions than samples
    monkeypatch.setattr("ruc.refine.narrow.MOST_DIRECTIONS", N_SAMPLES // 2)
    assert narrow(make_space(many)).plain(torch.arange(3)).shape == (3, N_SAMPLES // 2)
    beside_few = make_space(many + 16, n_first=16)
    assert narrow(beside_few) is beside_few
    monkeypatch.setattr("ruc.refine.narrow.MOST_SAMPLES", N_SAMPLES - 1)
    large = make_space(many)
    assert MOST_SAMPLES > N_SAMPLES and narrow(large) is large
    pair = Pair(*large.networks(4, CPU))
    assert widen(large, pair) is pair
