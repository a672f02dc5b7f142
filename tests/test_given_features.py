"""Features from a file: read or mapped, checked, and brought to unit length."""

from pathlib import Path

import numpy as np
import pytest

from ruc.cli import main
from ruc.embed.scaling import fit_scaling
from ruc.errors import InputError
from ruc.given_features import given_features, load_features, load_named, names_beside


def saved(folder: Path, features: np.ndarray) -> Path:
    np.save(folder / "f.npy", features)
    return folder / "f.npy"


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8])
def test_rows_of_any_kind_of_number_become_unit_rows(tmp_path: Path, kind: type) -> None:
    rows = np.array([[3, 4], [0, 5], [5, 0]])
    embedded = given_features(load_features(saved(tmp_path, rows.astype(kind))))
    assert embedded.features.dtype == np.float32
    np.testing.assert_allclose(embedded.features, fit_scaling(rows)(rows), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embedded.features, axis=1), 1, atol=1e-6)
    assert embedded.file_names == ("0", "1", "2")
    assert embedded.embedder is None and embedded.backbone is None


def test_rows_whose_squares_are_too_large_become_unit_rows(tmp_path: Path) -> None:
    rows = np.array([[3, 4], [0, 5]], np.float32)
    embedded = given_features(load_features(saved(tmp_path, 1e30 * rows)))
    np.testing.assert_allclose(embedded.features, fit_scaling(rows)(rows), atol=1e-6)


def test_that_features_are_scaled_is_said() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    embedded = given_features(rows)
    assert embedded.why == "features given, centred and scaled"
    np.testing.assert_array_equal(embedded.features, fit_scaling(rows)(rows))


def test_a_large_file_is_mapped_and_copied_only_where_its_rows_are_not_of_unit_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruc.given_features.LARGE", 10)
    monkeypatch.setattr("ruc.embed.scaling.MOST_CENTRED", 10)
    monkeypatch.setattr("ruc.given_features.BLOCK_ROWS", 3)
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
        (np.array([[1.0, 2.0], [np.nan, 0.0]]), "row 1 holds NaN, infinity, or more"),
        (np.array([[1.0, 2.0], [1e300, 0.0]]), "row 1 holds NaN, infinity, or more than a float32 can hold"),
        (np.ones(3), r"of shape \(3,\); expected numbers of \(n_samples, n_features\)"),
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
    with pytest.raises(InputError, match=r"f\.npy: is no \.npy, \.npz"):
        load_features(tmp_path / "f.npy")
    with pytest.raises(InputError, match=r"none\.npy: no such file"):
        load_features(tmp_path / "none.npy")


@pytest.mark.parametrize(("first", "counts"), [(0, True), (1, True), (2, False)])
def test_a_column_that_counts_the_rows_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int, counts: bool
) -> None:
    rows = np.random.default_rng(0).random((5, 3))
    rows[:, 0] = np.arange(first, first + 5)
    load_features(saved(tmp_path, rows))
    assert ("its first column counts the rows" in caplog.text) == counts


def test_there_is_a_row_for_each_image() -> None:
    features = np.eye(3, dtype=np.float32)
    assert given_features(features, ("a", "b", "c")).file_names == ("a", "b", "c")
    with pytest.raises(
        InputError, match=r"2 image files found, 3 rows of features given; .* `ruc embed` wrote"
    ):
        given_features(features, ("a", "b"))
    with pytest.raises(
        InputError, match=r"3 rows of features given; .* if a column is an image, save array\.T"
    ):
        given_features(features[:, :2], ("a", "b"))


def test_rows_are_of_the_images_that_the_table_beside_them_names(tmp_path: Path) -> None:
    features = np.eye(2, dtype=np.float32)
    path = saved(tmp_path, features)
    assert names_beside(path, 2) is None
    (tmp_path / "f.csv").write_text("file_name\nd\nb\n")
    with pytest.raises(InputError, match=r"f\.csv: names 2 rows, and .*f\.npy has 3"):
        names_beside(path, 3)
    assert names_beside(path, 2) == ("d", "b")
    embedded = given_features(features, ("a", "b", "c", "d"), names_beside(path, 2))
    assert embedded.file_names == ("b", "d") and embedded.rows.tolist() == [
        1,
        3,
    ]  # in the order of the images
    np.testing.assert_array_equal(embedded.features, fit_scaling(features)(features)[::-1])
    assert embedded.in_source == ("a", "b", "c", "d")
    assert [name for name, _ in embedded.skipped] == ["a", "c"]
    with pytest.raises(InputError, match=r"1 of the images .* the first is 'd'"):
        given_features(features, ("a", "b", "c"), names_beside(path, 2))
    (tmp_path / "f.csv").write_text("x,y\n1,2\n3,4\n")  # of something else
    assert names_beside(path, 2) is None


def ruc(*arguments: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert (ended.value.code or 0) == status


def test_what_embed_writes_into_a_folder_is_taken_as_features(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, _ = shapes
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    arguments = [str(images), "--embedder", "pixels", "-q"]
    for target in ("f.npy", "shards"):
        ruc("embed", *arguments, "-o", str(tmp_path / target))
    assert "shards/_unreadable.csv says why" in capsys.readouterr().out.replace("\\", "/")
    loaded = load_named(tmp_path / "shards")
    np.testing.assert_array_equal(loaded.values, np.load(tmp_path / "f.npy"))
    assert loaded.row_names == names_beside(tmp_path / "f.npy", 60)
    for target in ("f.npy", "shards"):
        run = ["-k", "3", "-q", "--epochs", "2", "-o", str(tmp_path / f"run {target}")]
        ruc("cluster", "--features", str(tmp_path / target), *run)
    tables = [(tmp_path / f"run {target}" / "clusters.csv").read_text() for target in ("f.npy", "shards")]
    assert tables[0] == tables[1]
    ruc("embed", *arguments, "-o", str(tmp_path / "shards"), status=1)
    assert "shards" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_features_without_rows_or_columns_are_refused(shape: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=f"holds {shape[0]} rows of {shape[1]} features; expected some of each"
    ):
        load_named(saved(tmp_path, np.zeros(shape, np.float32)))
