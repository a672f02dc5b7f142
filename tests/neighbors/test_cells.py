import logging
import re

import numpy as np
import pytest
import torch

from ruc.neighbors import cells as module
from ruc.neighbors import search
from ruc.neighbors.cells import neighbors_in_cells
from ruc.neighbors.search import affordable_neighbors, nearest_neighbors
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
    rows = features() * np.linspace(0.5, 2, 900, dtype=np.float32)[:, None]  # lengths don't matter
    exact = nearest_neighbors(rows, 10, RUNTIME)
    with caplog.at_level(logging.INFO):
        indices, similarities = neighbors_in_cells(rows, 10, RUNTIME)
    assert re.search("recall (98|99|100)", caplog.text)
    assert recall(indices, exact.indices) > 0.97
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.take_along_axis(unit @ unit.T, indices, axis=1)
    np.testing.assert_allclose(similarities, expected, atol=1e-6)
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
    monkeypatch.setattr(module, "BOUND_SAMPLES", 1)
    indices, similarities = neighbors_in_cells(features(200), 60, RUNTIME)
    assert indices.shape == (200, 60) and np.isfinite(similarities).all()


def test_recall_is_that_of_what_was_returned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = features(400)
    monkeypatch.setattr(module, "WANTED_RECALL", 1e-9)  # one cell
    monkeypatch.setattr(module, "CELLS", 0.5)
    monkeypatch.setattr(module, "BOUND_SAMPLES", 1)
    monkeypatch.setattr(module, "N_PROBES", 400)  # all of them
    with caplog.at_level(logging.INFO):
        indices, _ = neighbors_in_cells(rows, 10, RUNTIME)
    share = 100 * recall(indices, nearest_neighbors(rows, 10, RUNTIME).indices)
    said = float(caplog.text.split("recall ")[1].split("%")[0])
    assert share < 97
    assert said == pytest.approx(share, abs=0.05)


def test_samples_that_ask_in_several_turns_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = features(500)
    at_once, _ = neighbors_in_cells(rows, 10, RUNTIME)
    monkeypatch.setattr(module, "ASKERS", 77)  # not the end of a cell
    in_turns, _ = neighbors_in_cells(rows, 10, RUNTIME)
    assert recall(in_turns, at_once) > 0.999


def test_more_pairs_than_are_held_leave_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = features(500)
    rows[:200] = rows[0]  # as similar as can be: each of them finds all others
    monkeypatch.setattr(module, "MOST_PAIRS", 8000)
    monkeypatch.setattr(module, "BLOCK_VALUES", 2000)
    crowded: list[int] = []
    keep = module._crowded
    monkeypatch.setattr(
        module,
        "_crowded",
        lambda found, *others: (crowded.append(len(found.askers)), keep(found, *others))[1],
    )
    indices, similarities = neighbors_in_cells(rows, 10, RUNTIME)
    assert 8000 < max(crowded) <= 8000 + 2000
    np.testing.assert_allclose(similarities[:200], 1, atol=1e-6)
    assert all(len(set(row) - {asker}) == 10 for asker, row in enumerate(indices.tolist()))
    # Where it's crowded what is better by less than the rounding may be missed.
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    exact = -np.sort(-(unit @ unit.T), axis=1)[:, 1:11]
    np.testing.assert_allclose(similarities, exact, atol=3 * max(module.ROUNDING.values()))


def wide_features(n_samples: int, spread: float) -> np.ndarray:
    """Sixteen columns that matter, turned into 120 of which the others are noise."""
    generator = np.random.default_rng(3)
    wide = np.column_stack([features(n_samples), spread * generator.normal(size=(n_samples, 104))])
    return (wide @ np.linalg.qr(generator.normal(size=(120, 120)))[0]).astype(np.float32)


def test_wide_features_are_compared_along_few_directions(caplog: pytest.LogCaptureFixture) -> None:
    rows = wide_features(900, 0.02)
    with caplog.at_level(logging.INFO):
        indices, similarities = neighbors_in_cells(rows, 10, RUNTIME)
    assert "along 64 of 120 directions" in caplog.text
    assert recall(indices, nearest_neighbors(rows, 10, RUNTIME).indices) > 0.97
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.take_along_axis(unit @ unit.T, indices, axis=1)
    np.testing.assert_allclose(similarities, expected, atol=1e-6)  # of the features, not of the directions


def test_all_directions_are_compared_where_few_hold_too_little(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = wide_features(900, 2.0)
    with caplog.at_level(logging.INFO):
        indices, _ = neighbors_in_cells(rows, 10, RUNTIME)
    assert "along 120 of 120 directions" in caplog.text
    assert recall(indices, nearest_neighbors(rows, 10, RUNTIME).indices) > 0.97
    caplog.clear()
    monkeypatch.setattr(module, "DIRECTIONS", (8, 16))  # more are never held
    with caplog.at_level(logging.INFO):
        neighbors_in_cells(rows, 10, RUNTIME)
    assert "along 16 of 120 directions" in caplog.text


def test_of_many_samples_fewer_neighbours_are_asked_for_and_cells_are_searched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable_neighbors(100, 1000) == 100
    assert affordable_neighbors(100, 70) == 69
    assert affordable_neighbors(100, search.MANY + 1) == 50
    assert affordable_neighbors(10, search.MANY + 1) == 10
    monkeypatch.setattr(search, "MOST_EXACT", 500)
    with caplog.at_level(logging.INFO):
        nearest_neighbors(features(500), 5, RUNTIME)
        assert "approximate" not in caplog.text
        nearest_neighbors(features(501), 5, RUNTIME)
    assert "approximate" in caplog.text


@pytest.mark.parametrize("some_alike", [False, True])
def test_rounded_products_choose_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, some_alike: bool
) -> None:
    rows = features()
    if some_alike:
        rows[:200] = rows[0]
        monkeypatch.setattr(module, "MOST_PAIRS", 8000)
    monkeypatch.setattr(module, "_precision", lambda n_directions, runtime: torch.bfloat16)
    monkeypatch.setattr(module, "LIKE_MEMBERS", 5)
    with caplog.at_level(logging.INFO):
        _, similarities = neighbors_in_cells(rows, 10, RUNTIME)
    assert "along 16 of 16 directions" in caplog.text
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    exact = -np.sort(-(unit @ unit.T), axis=1)[:, 1:11]
    # The similarities are those of the features as they are; rounding has lost hardly any.
    assert (np.abs(similarities - exact) < 1e-6).mean() > 0.97
    np.testing.assert_allclose(similarities, exact, atol=0.05)


def test_what_is_above_a_bound_is_told_finely_in_bfloat16() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(30, 8, generator=generator), dim=1).to(torch.bfloat16)
    packed = torch.cat([rows, torch.full((30, 2), -1.0, dtype=torch.bfloat16)], dim=1)
    cells = module._Cells(
        np.zeros((30, 8), np.float32), np.arange(30), np.ones(30, np.float32), np.array([0, 7, 30]),
        torch.zeros(2, 8), packed,
    )  # fmt: skip
    exact = rows.double() @ rows.double().T
    bounds = exact[3, [1, 8, 9]].float() - torch.tensor(
        [1e-4, 0.0, -1e-4]
    )  # where bfloat16 has steps of 4e-3
    above = cells.above(0, torch.tensor([1, 8, 9]), bounds)
    assert above.shape == (7, 3)
    torch.testing.assert_close(
        above, (exact[:7][:, [1, 8, 9]] - bounds).float(), rtol=2**-8, atol=module.ROUNDING[torch.bfloat16]
    )
    assert above[3, 0] > 0 > above[3, 2]


def test_missing_candidates_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, looked_up = features(20), []
    take = module.rows_at
    monkeypatch.setattr(module, "rows_at", lambda *given: (looked_up.extend(given[1]), take(*given))[1])
    lengths = np.linalg.norm(rows, axis=1)
    cells = module._Cells(
        rows, np.arange(20), lengths, np.array([0, 20]), torch.zeros(1, 16), torch.from_numpy(rows)
    )
    similar = module._compare(cells, np.array([3, 7]), np.array([[5, -1], [2, 9]]))
    unit = rows / lengths[:, None]
    np.testing.assert_allclose(
        similar[[0, 1, 1], [0, 0, 1]], (unit[[3, 7, 7]] * unit[[5, 2, 9]]).sum(1), atol=1e-6
    )
    assert np.isfinite(similar).all()
    assert min(looked_up) >= 0


def test_rows_are_put_in_order_where_they_are() -> None:
    generator = np.random.default_rng(0)
    for n_columns in (1, 16, 37):
        rows = generator.normal(size=(50, n_columns)).astype(np.float32)
        order, before = generator.permutation(50), rows.copy()
        module._reorder(rows, order)
        np.testing.assert_array_equal(rows, before[order])


def test_cells_promise_what_they_hold_or_what_is_affordable(monkeypatch: pytest.MonkeyPatch) -> None:
    promise = torch.tensor([[5.0, 3.0, 1.0, -1.0], [4.0, 2.0, 0.0, -2.0]])
    held, sizes = np.array([[0, 0, 1], [0, 1, 3]]), np.array([10, 20, 30, 40])
    assert module._least_promise(promise, held, sizes) == -2.0  # the last neighbour is there
    monkeypatch.setattr(module, "WANTED_RECALL", 0.8)
    assert module._least_promise(promise, held, sizes) == 2.0  # five of the six
    monkeypatch.setattr(module, "MOST_COMPARED", 20)  # with 10, 10 and 20 by two samples
    assert module._least_promise(promise, held, sizes) == 3.0
    monkeypatch.setattr(module, "MOST_COMPARED", 1)
    assert module._least_promise(promise, held, sizes) == 5.0
