import logging

import numpy as np
import pytest

from ruc.embed import cells as module
from ruc.embed import neighbors
from ruc.embed.cells import neighbors_in_cells
from ruc.embed.neighbors import affordable_neighbors, nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu", 1)


def features(n_samples: int = 900) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(30, 16))
    rows = centres[generator.integers(30, size=n_samples)] + 0.5 * generator.normal(size=(n_samples, 16))
    return rows.astype(np.float32)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(found, exact, strict=True)]))


def test_finds_nearly_all_and_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    rows = features()
    exact = nearest_neighbors(rows, 10, RUNTIME)
    with caplog.at_level(logging.INFO):
        indices, similarities = neighbors_in_cells(rows, 10, RUNTIME)
    assert "recall 99." in caplog.text or "recall 100" in caplog.text
    assert recall(indices, exact.indices) > 0.97
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.take_along_axis(unit @ unit.T, indices, axis=1)
    np.testing.assert_allclose(similarities, expected, atol=2e-3)  # half precision
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (indices != np.arange(len(rows))[:, None]).all()
    assert all(len(set(row)) == 10 for row in indices.tolist())


def test_all_cells_searched_is_exact_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = features(300)
    monkeypatch.setattr(module, "WANTED_RECALL", 1.0)
    monkeypatch.setattr(module, "N_PROBES", 300)
    monkeypatch.setattr(module, "BLOCK_VALUES", 1000)  # several blocks a cell
    indices, _ = neighbors_in_cells(rows, 10, RUNTIME)
    assert recall(indices, nearest_neighbors(rows, 10, RUNTIME).indices) > 0.999


def test_cells_smaller_than_the_wanted_number_look_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WANTED_RECALL", 1e-9)  # one cell would do
    indices, similarities = neighbors_in_cells(features(200), 60, RUNTIME)
    assert indices.shape == (200, 60) and np.isfinite(similarities).all()


def test_of_many_samples_fewer_neighbours_are_asked_for_and_cells_are_searched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable_neighbors(100, 1000) == 100
    assert affordable_neighbors(100, 70) == 69
    assert affordable_neighbors(100, neighbors.MOST_EXACT + 1) == 50
    assert affordable_neighbors(10, neighbors.MOST_EXACT + 1) == 10
    monkeypatch.setattr(neighbors, "MOST_EXACT", 500)
    with caplog.at_level(logging.INFO):
        nearest_neighbors(features(500), 5, RUNTIME)
        assert "approximate" not in caplog.text
        nearest_neighbors(features(501), 5, RUNTIME)
    assert "approximate" in caplog.text
