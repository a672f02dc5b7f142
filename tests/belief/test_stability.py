"""What stays together when a clustering is made again."""

import numpy as np
import pytest
import torch

from ruc.belief.stability import _staying, find_stability, principal_components
from ruc.principal import Principal
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=0)


def blobs(noise: float, n_features: int = 24):
    random = np.random.default_rng(0)
    truth = np.arange(600) % 6
    rows = random.standard_normal((6, n_features))[truth] + noise * random.standard_normal((600, n_features))
    return rows.astype(np.float32), truth


@pytest.mark.parametrize("seed", range(3))
def test_staying_against_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, others = random.integers(4, size=50), random.integers(5, size=50)
    expected = []
    for one in range(50):
        mates, then = labels == labels[one], others == others[one]
        both = (mates & then).sum()
        expected.append(np.sqrt(both / mates.sum() * both / then.sum()))
    np.testing.assert_allclose(_staying(labels, others), expected)


def test_what_is_there_is_found_again_and_pieces_of_a_cloud_are_not() -> None:
    features, truth = blobs(noise=0.3)
    assert find_stability(truth, principal_components(features, CPU), 6, CPU).mean() > 0.95
    cloud = np.random.default_rng(1).standard_normal((600, 24)).astype(np.float32)
    components = principal_components(cloud, CPU)
    pieces = np.argsort(np.argsort(components[:, 0])) * 6 // 600
    assert find_stability(pieces, components, 6, CPU).mean() < 0.4


def test_a_cluster_of_two_kinds_is_less_stable_than_the_others() -> None:
    features, truth = blobs(noise=0.3)
    labels = np.where(truth == 5, 4, truth)
    stays = find_stability(labels, principal_components(features, CPU), 6, CPU)
    assert stays[labels == 4].mean() < stays[labels < 4].mean() - 0.1


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize(("n_samples", "n_features"), [(3, 8), (4, 1), (90, 2)])
def test_few_samples_and_few_features_and_copies(n_samples: int, n_features: int) -> None:
    features = np.random.default_rng(0).standard_normal((n_samples, n_features)).astype(np.float32)
    for rows in (features, np.repeat(features[:2], n_samples, axis=0)[:n_samples]):
        stays = find_stability(np.arange(n_samples) % 2, principal_components(rows, CPU), 2, CPU)
        assert stays.shape == (n_samples,) and ((stays >= 0) & (stays <= 1)).all()


def test_components_keep_what_differs() -> None:
    features, _ = blobs(noise=0.5, n_features=10)
    components = principal_components(features, CPU)
    assert components.shape == (600, 10)
    distances = np.square(features[:20, None] - features[None, :20]).sum(axis=2)
    found = np.square(components[:20, None] - components[None, :20]).sum(axis=2)
    np.testing.assert_allclose(found, distances, rtol=1e-3, atol=1e-3)


def test_components_that_were_found_for_others_are_the_same() -> None:
    features, _ = blobs(noise=0.5, n_features=200)
    alone = principal_components(features, CPU)
    shared = principal_components(features, CPU, Principal(torch.from_numpy(features)))
    assert shared.shape == alone.shape == (600, 128)
    np.testing.assert_allclose(np.abs(shared[:, :5]), np.abs(alone[:, :5]), atol=2e-3)
    flat = np.repeat(features[:1], 50, axis=0)
    assert principal_components(flat, CPU, Principal(torch.from_numpy(flat))).shape == (50, 1)


def test_the_seed_decides() -> None:
    features, truth = blobs(noise=1.6)
    components = principal_components(features, CPU)
    first, again, other = (find_stability(truth, components, 6, Runtime("cpu", seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
