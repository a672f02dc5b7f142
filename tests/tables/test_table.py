"""Tables in files: whatever they are called, and what they are said to be where they are none."""

import gzip
import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from ruc.errors import InputError
from ruc.tables.table import is_table, read_table

COLUMNS = {"file_name": ["a.png", "b.png"], "label": ["7", ""]}
TEXT = "file_name,label\na.png,7\nb.png,\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TEXT.encode()),
        ("t.txt", TEXT.replace(",", "\t").encode("utf-16")),  # Excel's "Unicode text"
        ("t.csv.gz", gzip.compress(TEXT.encode())),
        ("t.csv", gzip.compress(TEXT.encode())),
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
