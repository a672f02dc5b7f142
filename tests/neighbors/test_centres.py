import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from ruc.neighbors import centres as module
from ruc.neighbors.centres import find_centres, nearest_centres, settle_on_all
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu", 1)


def blobs(n_samples: int = 600, n_clusters: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = np.arange(n_samples) % n_clusters
    rows = np.eye(n_clusters, 8)[truth] + 0.1 * generator.normal(size=(n_samples, 8))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def test_nearest_centres_equals_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = blobs(50)
    centres = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 8)).astype(np.float32))
    squares = np.array([[np.sum((row - centre) ** 2) for centre in centres.numpy()] for row in rows])
    for values in (module.BLOCK_VALUES, 7 * 9, 1):
        monkeypatch.setattr(module, "BLOCK_VALUES", values)
        owners, distances = nearest_centres(rows, centres)
        np.testing.assert_array_equal(owners, squares.argmin(axis=1))
        np.testing.assert_allclose(distances, squares.min(axis=1), rtol=1e-4, atol=1e-5)


def test_inertia_is_near_that_of_scikit_learn() -> None:
    rows, _ = blobs()
    _, distances = nearest_centres(
        rows, find_centres(rows, 6, RUNTIME, "test", 256, most_starts=10, n_steps=20)
    )
    assert distances.sum() < 1.01 * KMeans(6, n_init=10, random_state=0).fit(rows).inertia_


def test_a_part_of_the_rows_is_enough_and_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, truth = blobs()
    monkeypatch.setattr(module, "FEWEST_ROWS", 20)
    centres = find_centres(rows, 6, RUNTIME, "test", 20, most_starts=10, n_steps=20)
    owners, _ = nearest_centres(rows, centres)
    assert len({(int(a), int(b)) for a, b in zip(owners, truth, strict=True)}) == 6
    assert torch.equal(centres, find_centres(rows, 6, RUNTIME, "test", 20, most_starts=10, n_steps=20))
    assert not torch.equal(
        centres, find_centres(rows, 6, Runtime("cpu", 2), "test", 20, most_starts=10, n_steps=20)
    )


def test_more_starts_end_with_no_larger_inertia() -> None:
    rows, _ = blobs(300)
    inertia = [
        nearest_centres(rows, find_centres(rows, 20, RUNTIME, "test", 256, most_starts=n, n_steps=20))[
            1
        ].sum()
        for n in (1, 8)
    ]
    assert inertia[1] <= inertia[0]


def test_a_centre_without_rows_starts_anew_far_away() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    means = module._means(rows, np.array([0, 0, 0]), np.array([0.1, 0.1, 0.9], np.float32), 2)
    np.testing.assert_allclose(means, [[2 / 3, 1 / 3], [0, 1]], rtol=1e-6)


def test_length_of_rows_does_not_count() -> None:
    rows, _ = blobs(60)
    scaled = rows * np.random.default_rng(2).uniform(0.1, 9, (60, 1)).astype(np.float32)
    torch.testing.assert_close(
        find_centres(rows, 3, RUNTIME, "test", 256, most_starts=10, n_steps=20),
        find_centres(scaled, 3, RUNTIME, "test", 256, most_starts=10, n_steps=20),
        rtol=1e-4,
        atol=1e-5,
    )


def test_settling_on_all_rows_is_scikit_learns_k_means_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(500, 8)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    start = unit[:7] + 0.1 * generator.normal(size=(7, 8)).astype(np.float32)
    expected = KMeans(7, init=start, n_init=1, max_iter=4, tol=0).fit(unit).cluster_centers_
    monkeypatch.setattr(module, "N_STEPS_ON_ALL", 4)
    for values in (module.BLOCK_VALUES, 8 * 30):
        monkeypatch.setattr(module, "BLOCK_VALUES", values)
        np.testing.assert_allclose(
            settle_on_all(5 * rows, torch.from_numpy(start)).numpy(), expected, atol=1e-4
        )
    monkeypatch.setattr(module, "CHEAP_ON_ALL", 1)
    once = settle_on_all(rows, torch.from_numpy(start)).numpy()
    assert np.abs(once - expected).max() > 1e-3  # one step is all that's cheap


def test_a_centre_without_rows_stays_where_it_is() -> None:
    rows, _ = blobs()
    centres = torch.cat(
        [find_centres(rows, 6, RUNTIME, "test", 256, most_starts=10, n_steps=20), -torch.ones(1, 8)]
    )
    settled = settle_on_all(rows, centres)
    torch.testing.assert_close(settled[6], centres[6])
    torch.testing.assert_close(settled[:6], centres[:6], atol=0.02, rtol=0)
