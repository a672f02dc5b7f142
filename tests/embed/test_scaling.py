"""Rows of any scale as unit rows: by hand, and that near rows stay near."""

import numpy as np
import pytest

from ruc.embed.scaling import Scaling, fit_scaling


def test_by_hand() -> None:
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])  # the centre is (1, 0), the median distance 1
    long, short = np.array([2, 1]) / np.sqrt(5)
    np.testing.assert_allclose(fit_scaling(rows)(rows), [[-short, 0, long], [0, 0, 1], [short, 0, long]])


def test_embeddings_are_seen_from_their_mean_by_hand() -> None:
    rows = np.array([[0.6, 0.8], [0.6, -0.8], [1.0, 0.0], [1.0, 0.0]])  # the mean is (0.8, 0)
    away = np.array([[-0.2, 0.8], [-0.2, -0.8], [0.2, 0.0], [0.2, 0.0]])
    height = 0.25 * (0.2 + np.sqrt(0.68)) / 2  # a quarter of the median distance
    by_hand = np.column_stack([away, np.full(4, height)])
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    for factor in (1, 7):  # of any one length, all that tells rows apart is their direction
        np.testing.assert_allclose(fit_scaling(factor * rows)(factor * rows), by_hand, atol=1e-6)


def test_a_narrow_cone_is_opened() -> None:
    generator = np.random.default_rng(5)
    sides = np.repeat([[1.0], [-1.0]], 30, axis=0) * np.eye(1, 40, 1)
    rows = 10 * np.eye(1, 40) + sides + 0.1 * generator.standard_normal((60, 40))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T
    assert alike.min() > 0.95
    features = fit_scaling(rows)(rows)
    alike = features @ features.T
    assert alike[:30, 30:].max() < 0 < alike[:30, :30].min()


def test_very_many_embeddings_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    monkeypatch.setattr("ruc.embed.scaling.MOST_CENTRED", 99)
    for factor in (1, 7):
        scaling = fit_scaling(factor * rows)
        assert scaling.center is None
        np.testing.assert_allclose(scaling(factor * rows), rows, atol=1e-6)
        np.testing.assert_allclose(scaling(3 * rows), rows, atol=1e-6)
    unit = rows.astype(np.float32)
    np.testing.assert_array_equal(fit_scaling(unit)(unit), unit)


@pytest.mark.parametrize("embeddings", [False, True])
def test_what_was_written_scales_alike(embeddings: bool) -> None:
    rows = 1e5 * np.random.default_rng(4).standard_normal((30, 6))
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) if embeddings else rows
    scaling = fit_scaling(rows)
    again = Scaling.from_state(scaling.state())
    assert again.n_features == 6
    np.testing.assert_array_equal(again(rows), scaling(rows))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_nearest_rows_are_the_most_alike_wherever_they_lie(kind: type) -> None:
    rows = (1e4 + 50 * np.random.default_rng(1).standard_normal((40, 3))).astype(kind)
    features = fit_scaling(rows)(rows)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    distances = np.linalg.norm(rows[:, None].astype(float) - rows[None], axis=2)
    alike = features @ features.T
    np.fill_diagonal(distances, np.inf)
    np.fill_diagonal(alike, -1)
    assert (distances.argmin(axis=1) == alike.argmax(axis=1)).mean() > 0.8


@pytest.mark.parametrize("factor", [5e-324, 1e-200, 1e200, 1e307])
def test_no_magnitude_is_too_small_or_too_large(factor: float) -> None:
    rows = np.random.default_rng(1).integers(-9, 10, (40, 3)).astype(float)
    features = fit_scaling(rows)(rows)
    np.testing.assert_allclose(fit_scaling(factor * rows)(factor * rows), features, atol=1e-6)


def test_rows_far_beyond_those_fitted_to_keep_their_direction() -> None:
    scaling = fit_scaling(np.random.default_rng(1).standard_normal((40, 3)))
    row = np.array([[1.0, -2.0, 3.0]])
    for factor in (1e200, 5e307):
        np.testing.assert_allclose(scaling(factor * row), scaling(1e9 * row), atol=1e-6)
    tiny = fit_scaling(1e-300 * np.random.default_rng(1).standard_normal((40, 3)))
    np.testing.assert_allclose(np.linalg.norm(tiny(1e300 * row)), 1, rtol=1e-6)


def test_an_outlier_leaves_the_others_as_they_are() -> None:
    rows = np.random.default_rng(3).standard_normal((200, 6))
    plain = fit_scaling(rows)(rows)
    outlier = np.vstack([rows, np.full((1, 6), 1e6)])
    np.testing.assert_allclose(fit_scaling(outlier)(outlier)[:200], plain, atol=0.02)


def test_mostly_equal_rows_are_told_from_the_others() -> None:
    rows = np.vstack([np.zeros((8, 2)), [[3.0, 0.0], [0.0, 5.0]]])
    assert len(np.unique(fit_scaling(rows)(rows), axis=0)) == 3


def test_blocks_and_equal_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(2).standard_normal((11, 4))
    scaling = fit_scaling(rows)
    whole = scaling(rows)
    monkeypatch.setattr("ruc.embed.scaling.BLOCK_ROWS", 3)
    monkeypatch.setattr("ruc.embed.scaling.MOST_FITTED", 3)
    np.testing.assert_array_equal(scaling(rows), whole)
    some = fit_scaling(rows)
    np.testing.assert_array_equal(some.center * some.magnitude, np.median(rows[::4], axis=0))
    same = fit_scaling(np.full((5, 2), 7.0))(np.full((5, 2), 7.0))
    np.testing.assert_array_equal(same, [[0, 0, 1]] * 5)
