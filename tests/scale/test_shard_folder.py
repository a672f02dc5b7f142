"""A folder that fills up with shards: whole from one moment on, and gone on with when it was left."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from ruc.errors import RunFolderError
from ruc.scale.shard_folder import shard_folder

PLAN = {"inputs": "a"}


def table(*numbers):
    return pa.table({"number": list(numbers)})


def test_nothing_is_there_until_all_is(tmp_path):
    output = tmp_path / "all"
    with shard_folder(output, PLAN) as shards:
        shards.write(1, table(3), [("b.png", "damaged")])
        assert shards.has(1) and not shards.has(0) and not output.exists()
        shards.write(0, table(1, 2), [])
        shards.name_skipped([*shards.skipped(0), *shards.skipped(1)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all"]
    assert parquet.read_table(output).column("number").to_pylist() == [1, 2, 3]
    assert (output / "_unreadable.csv").read_text().splitlines() == ["file_name,reason", "b.png,damaged"]


def left_after_a_shard(output):
    with pytest.raises(KeyboardInterrupt), shard_folder(output, PLAN) as shards:
        shards.write(0, table(1), [])
        (shards.folder / ".0000001-of-a-writer-who-was-killed").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not output.exists()


def test_the_same_plan_goes_on(tmp_path):
    left_after_a_shard(tmp_path / "all")
    with shard_folder(tmp_path / "all", PLAN) as shards:
        assert shards.has(0)
        shards.write(1, table(2), [])
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "part-0000000.parquet",
        "part-0000001.parquet",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all"]


def test_another_plan_begins_anew(tmp_path):
    left_after_a_shard(tmp_path / "all")
    with shard_folder(tmp_path / "all", {"inputs": "b"}) as shards:
        assert not shards.has(0)
        shards.write(0, table(5), [])
    assert parquet.read_table(tmp_path / "all").column("number").to_pylist() == [5]


def test_two_do_not_fill_one_folder(tmp_path):
    with (
        shard_folder(tmp_path / "all", PLAN),
        pytest.raises(RunFolderError, match="another ruc is at work"),
        shard_folder(tmp_path / "all", PLAN),
    ):
        pass


def test_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "mine.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="exists already"), shard_folder(tmp_path / "all", PLAN):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["all", "mine.txt"]
