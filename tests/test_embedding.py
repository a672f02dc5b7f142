from pathlib import Path

import numpy as np
import pytest

from ruc import embedding, estimators
from ruc.embedding import given_features, load_features
from ruc.errors import InputError
from ruc.estimators import RobustClusterer


def saved(path: Path, features: np.ndarray) -> Path:
    np.save(path / "f.npy", features)
    return path / "f.npy"


def unit_rows() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_large_features_of_unit_length_stay_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, unit_rows())
    small = given_features(load_features(path)).features
    assert not isinstance(small, np.memmap)
    monkeypatch.setattr(embedding, "LARGE", 100)
    monkeypatch.setattr(embedding, "ROWS", 7)
    large = given_features(load_features(path)).features
    assert isinstance(large, np.memmap) and large.dtype == np.float32
    np.testing.assert_allclose(large, small, atol=1e-6)


def test_large_features_of_other_length_are_scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, 3 * unit_rows())
    small = given_features(load_features(path)).features
    monkeypatch.setattr(embedding, "LARGE", 100)
    monkeypatch.setattr(embedding, "ROWS", 7)
    np.testing.assert_array_equal(given_features(load_features(path)).features, small)
    np.testing.assert_array_equal(np.load(path), 3 * unit_rows())  # the file is as it was


def test_the_row_that_is_not_finite_is_named_in_any_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit_rows()
    rows[23, 2] = np.nan
    monkeypatch.setattr(embedding, "ROWS", 7)
    with pytest.raises(InputError, match="row 23 holds NaN"):
        load_features(saved(tmp_path, rows))


def test_blocks_do_not_change_what_an_estimator_makes_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(3, 2, size=(30, 5))
    model = RobustClusterer()
    model._learn_scale(values)
    whole = model._as_features(values)
    monkeypatch.setattr(estimators, "ROWS", 4)
    blocks = RobustClusterer()
    blocks._learn_scale(values)
    np.testing.assert_array_equal(blocks._as_features(values), whole)
