"""Tables in files: whatever they are called, and what they are said to be where they are none."""

import gzip
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from ruc.errors import InputError
from ruc.tables.embeddings import read_embeddings
from ruc.tables.table import is_table, read_table

COLUMNS = {"file_name": ["a.png", "b.png"], "label": ["7", ""]}
TEXT = "file_name,label\na.png,7\nb.png,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TEXT.encode()),
        ("t.txt", TEXT.replace(",", "\t").encode("utf-16")),  # Excel's "Unicode text"
        ("t.csv.gz", gzip.compress(TEXT.encode(), mtime=0)),  # all workers have to see the same test
        ("t.csv", gzip.compress(TEXT.encode(), mtime=0)),
    ],
)
def test_text_in_any_wrapping(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_table(tmp_path / name)
    assert read_table(tmp_path / name).columns == COLUMNS


def test_parquet_and_feather_know_types(tmp_path: Path) -> None:
    table = pa.table({
        "file_name": ["a.png", "b.png"], "label": pa.array([7.0, None]), "is": [True, False], "flat": [1.5, 2.0],
        "kind": pa.array(["x", None]).dictionary_encode(), "vector": [[1.0], [2.0]], "day": [date(2024, 1, 1)] * 2,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "t.feather")
    for name in ("t.parquet", "t.feather"):
        read = read_table(tmp_path / name)
        assert read.columns == COLUMNS | {"is": ["True", "False"], "flat": ["1.5", "2"], "kind": ["x", ""]}
        assert list(read.unusable) == ["vector", "day"]


def test_a_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "t.csv"
    folder.mkdir()
    for name, text in {
        "part-00001.csv": "file_name,label\nb.png,\n", "part-00000.csv": "file_name,label\na.png,7\n",
        "_SUCCESS": "", ".part-00000.csv.crc": "crc", "part-00002.csv": "",
    }.items():  # fmt: skip
        (folder / name).write_text(text)
    assert is_table(folder)
    table = read_table(folder)
    assert table.columns == COLUMNS
    assert table.places == ["part-00000.csv, line 2", "part-00001.csv, line 2"]
    (folder / "part-00001.csv").write_text("b.png,8\n")
    with pytest.raises(InputError, match="the same headings in each part"):
        read_table(folder)
    (folder / "label=7").mkdir()
    with pytest.raises(InputError, match="partitioned by folders"):
        read_table(folder)


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.jsonl.gz"])
def test_json_with_an_object_a_row(tmp_path: Path, name: str) -> None:
    text = '{"file_name": "a.png", "label": 7.0, "box": [1]}\n\n{"label": null, "file_name": "b.png"}\n'
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    table = read_table(tmp_path / name)
    assert table.columns == COLUMNS
    assert table.places == ["line 1", "line 3"]
    assert table.unusable == {"box": "lists"}


def test_json_as_a_list_and_what_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(
        '\ufeff[{"file_name": "a.png", "label": "7"},\n {"file_name": "b.png"}]', encoding="utf-8"
    )
    assert read_table(path).columns == COLUMNS
    for text, message in {
        '{"file_name": "a.png"}\n[1]\n': "line 2: is no JSON object",
        '{"file_name": "a.png"}\n{"file_name"\n': "line 2: is no JSON",
        "\n": "is empty",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_table(path)


def test_parts_of_json_leave_out_what_is_null(tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "part-0.json").write_text('{"file_name": "a.png", "label": "7"}\n')
    (tmp_path / "part-1.json").write_text('{"file_name": "b.png"}\n')
    assert read_table(tmp_path).columns == COLUMNS


@pytest.mark.parametrize("write", [pq.write_table, pyarrow.feather.write_feather])
def test_a_heading_of_two_columns_is_named(tmp_path: Path, write: Callable[..., None]) -> None:
    write(pa.table([["a.png"], [1], [2]], names=["file_name", "label", "label"]), tmp_path / "t.parquet")
    for read in (read_table, read_embeddings):
        with pytest.raises(
            InputError, match=r"t\.parquet cannot be read as .*2 columns have the name 'label'"
        ):
            read(tmp_path / "t.parquet")


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sheet.csv", "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(
        InputError, match="Excel workbook; expected CSV or Parquet: save the sheet as CSV UTF-8"
    ):
        read_table(tmp_path / "sheet.csv")
    (tmp_path / "t.csv").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(20))
    with pytest.raises(InputError, match="HDF5"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(TEXT.encode("utf-16-le"))
    with pytest.raises(InputError, match="zero bytes"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(gzip.compress(TEXT.encode())[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(InputError, match="without parts of a table"):
        (tmp_path / "empty.csv").mkdir()
        read_table(tmp_path / "empty.csv")


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_text_of_arrow_that_is_no_utf_8_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{kind}"
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xb1")]
    )
    table = pa.table({"file_name": ["a.png"], "label": text})
    (pq.write_table if kind == "parquet" else pyarrow.feather.write_feather)(table, path)
    with pytest.raises(InputError, match="UTF"):
        read_table(path)
