"""Features from a file: read or mapped, checked, and brought to unit length."""

from pathlib import Path

import numpy as np
import pytest

from ruc.errors import InputError
from ruc.given_features import given_features, load_features


def saved(folder: Path, features: np.ndarray) -> Path:
    np.save(folder / "f.npy", features)
    return folder / "f.npy"


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8])
def test_rows_of_any_kind_of_number_become_unit_rows(tmp_path: Path, kind: type) -> None:
    embedded = given_features(load_features(saved(tmp_path, np.array([[3, 4], [0, 2], [0, 0]], kind))))
    assert embedded.features.dtype == np.float32
    np.testing.assert_allclose(embedded.features, [[0.6, 0.8], [0, 1], [0, 0]], atol=1e-6)
    assert embedded.file_names == ("0", "1", "2")
    assert embedded.embedder is None and embedded.backbone is None


def test_a_large_file_is_mapped_and_copied_only_where_its_rows_are_not_of_unit_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruc.given_features.LARGE", 10)
    monkeypatch.setattr("ruc.given_features.ROWS", 3)
    unit = np.eye(8, 4, dtype=np.float32) + np.eye(8, 4, k=-4, dtype=np.float32)
    mapped = load_features(saved(tmp_path, unit))
    assert isinstance(mapped, np.memmap)
    assert given_features(mapped).features is mapped
    longer = load_features(saved(tmp_path, 2 * unit))
    features = given_features(longer).features
    assert not isinstance(features, np.memmap)
    np.testing.assert_array_equal(features, unit)
    np.testing.assert_array_equal(longer, 2 * unit)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.array([[1.0, 2.0], [np.nan, 0.0]]), "row 1 holds NaN or infinity"),
        (np.ones(3), r"holds shape \(3,\); expected numbers of \(n_samples, n_features\)"),
        (np.array([["a", "b"]]), "expected numbers"),
    ],
)
def test_what_is_no_matrix_of_finite_numbers_is_refused(
    tmp_path: Path, features: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_features(saved(tmp_path, features))


def test_a_file_that_is_no_npy_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.npy").write_text("1,2\n")
    for path in (tmp_path / "f.npy", tmp_path / "none.npy"):
        with pytest.raises(InputError, match=rf"--features {path} cannot be read"):
            load_features(path)


def test_there_is_a_row_for_each_image() -> None:
    features = np.eye(3, dtype=np.float32)
    assert given_features(features, ("a", "b", "c")).file_names == ("a", "b", "c")
    with pytest.raises(InputError, match="3 rows of features given for 2 images"):
        given_features(features, ("a", "b"))
