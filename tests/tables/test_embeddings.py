"""Embeddings in tables, as those write them who make them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from ruc.errors import InputError
from ruc.given_features import load_named
from ruc.tables.embeddings import read_embeddings, shards_of

ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
NAMES = ["b.png", "a.png", "c.png", "d.png", "é.png"]


def lists(kind: pa.DataType) -> pa.Array:
    return pa.array(ROWS.astype(kind.value_type.to_pandas_dtype()).tolist(), kind)


@pytest.mark.parametrize("size", [pa.list_, pa.large_list, lambda value: pa.list_(value, 3)])
@pytest.mark.parametrize("value", [pa.float32(), pa.float64(), pa.float16()])
def test_every_kind_of_list(tmp_path: Path, size, value: pa.DataType) -> None:
    if value == pa.float16():
        column = pa.array([row.astype(np.float16) for row in ROWS], size(value))
    else:
        column = lists(size(value))
    parquet.write_table(pa.table({"file_name": NAMES, "vector": column}), tmp_path / "f.parquet")
    found = read_embeddings(tmp_path / "f.parquet")
    assert found.values.dtype == value.to_pandas_dtype()
    np.testing.assert_allclose(found.values, ROWS, rtol=1e-3)
    assert found.file_names == tuple(NAMES)


def test_pandas_and_feather(tmp_path: Path) -> None:
    frame = pd.DataFrame({"filename": NAMES, "size": range(5), "emb": [row.tolist() for row in ROWS]})
    frame.to_parquet(tmp_path / "f.parquet")
    feather.write_feather(
        pa.table({"id": NAMES, "embedding": lists(pa.list_(pa.float32()))}), tmp_path / "f.feather"
    )
    for name in ("f.parquet", "f.feather"):
        found = load_named(tmp_path / name)
        np.testing.assert_allclose(found.values, ROWS)
        assert found.row_names == tuple(NAMES)


@pytest.mark.parametrize("heading", ["Bild", "__index_level_0__", "image"])
def test_rows_go_by_names_whatever_holds_them(tmp_path: Path, heading: str) -> None:
    held = [{"bytes": b"x", "path": name} for name in NAMES] if heading == "image" else NAMES
    parquet.write_table(
        pa.table({"embedding": lists(pa.list_(pa.float32())), heading: held}), tmp_path / "f.parquet"
    )
    assert load_named(tmp_path / "f.parquet", sorted(NAMES)).row_names == tuple(NAMES)


def test_the_index_of_pandas_names_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"embedding": [row.tolist() for row in ROWS]}, index=NAMES)
    frame.to_parquet(tmp_path / "f.parquet")
    assert load_named(tmp_path / "f.parquet").row_names == tuple(NAMES)
    frame.reset_index(drop=True).iloc[::-1].to_parquet(tmp_path / "f.parquet")  # counts, and names nothing
    assert load_named(tmp_path / "f.parquet").row_names is None


def test_shards_are_read_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruc.tables.embeddings.SHARD_ROWS", 2)
    shards = dict(shards_of(NAMES, ROWS, ["x"] * 5))
    assert list(shards) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    for name, table in reversed(shards.items()):
        parquet.write_table(table, tmp_path / name)
    found = read_embeddings(tmp_path)
    np.testing.assert_array_equal(found.values, ROWS)
    assert found.file_names == tuple(NAMES)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": [[1.0]], "b": [[2.0]]},
            "columns of vectors: a, b; expected one, or one that is called 'embedding'",
        ),
        ({"file_name": ["x"]}, "columns of vectors: none"),
        ({"v": [[1.0, 2.0], [1.0]]}, "vectors of 1 to 2 values; expected one length"),
        ({"v": [[1.0, 2.0], None]}, "row 1 has no v; expected a vector in each row"),
        ({"v": [[1.0, None]]}, "a vector has missing values"),
        ({"v": [[1.0, float("nan")]]}, "row 0 holds NaN"),
        ({"file_name": ["x", "x"], "v": [[1.0], [2.0]]}, "'x' stands in more than one row"),
    ],
)
def test_what_is_no_embedding_is_refused(tmp_path: Path, columns, message: str) -> None:
    parquet.write_table(pa.table(columns), tmp_path / "f.parquet")
    with pytest.raises(InputError, match=message):
        load_named(tmp_path / "f.parquet")


def test_a_part_that_is_unfinished_is_not_passed_over(tmp_path: Path) -> None:
    for place in ("1", ".2.unfinished/shards"):
        (tmp_path / place).mkdir(parents=True)
        parquet.write_table(
            pa.table({"embedding": lists(pa.list_(pa.float32()))}), tmp_path / place / "a.parquet"
        )
    with pytest.raises(InputError, match=r"\.2\.unfinished is unfinished; expected whole shards"):
        read_embeddings(tmp_path)
    (tmp_path / ".2.unfinished").rename(tmp_path / "2")
    assert len(read_embeddings(tmp_path).values) == 10


def test_shards_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder without"):
        load_named(tmp_path)
    parquet.write_table(pa.table({"v": [[1.0, 2.0]]}), tmp_path / "a.parquet")
    parquet.write_table(pa.table({"v": [[1.0]]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b.parquet: holds 1 features a row, and a.parquet 2"):
        load_named(tmp_path)
    parquet.write_table(pa.table({"file_name": ["x"], "v": [[1.0, 2.0]]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"a.parquet: has no column of file names, and other shards have"):
        load_named(tmp_path)
