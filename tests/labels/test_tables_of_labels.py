"""Tables of labels: every kind of file read alike, and what cannot be read said."""

import errno
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ruc.errors import InputError
from ruc.labels.tables import (
    LabelTable,
    label_array,
    label_text,
    plain_labels,
    read_labels,
    say_what_labels_mean,
    table_of,
    with_probabilities,
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_delimiter_after_a_byte_order_mark(tmp_path: Path, delimiter: str) -> None:
    lines = [["file_name", "label", "note"], ["a/1.png", " x ", ""], ["a/2.png", "", "?"]]
    path = write(tmp_path / "l.csv", "\ufeff" + "\n".join(delimiter.join(line) for line in lines))
    table = read_labels(path)
    assert (table.columns["file_name"], table.labels) == (["a/1.png", "a/2.png"], ["x", ""])
    assert table.places == ["line 2", "line 3"]


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", 'file_name,label\na,0\n\n"b",1\n')  # the blank line is no row
    assert read_labels(path).places == ["line 2", "line 4"]


def test_blank_lines_among_labels_alone_are_unknown_and_at_the_end_nothing(tmp_path: Path) -> None:
    table = read_labels(write(tmp_path / "l.csv", "\nlabel\n0\n\n\n1\n\n\n"))
    assert table.labels == ["0", "", "", "1"]
    assert table.places == ["line 3", "line 4", "line 5", "line 6"]


def test_a_quoted_empty_label_is_unknown_and_a_line_of_commas_is_no_row(tmp_path: Path) -> None:
    assert read_labels(write(tmp_path / "pandas.csv", 'label\n0\n""\n1\n')).labels == ["0", "", "1"]
    assert read_labels(write(tmp_path / "sheet.csv", "file_name,label\na,0\n,\n")).labels == ["0"]


def test_parquet(tmp_path: Path) -> None:
    columns = {"file_name": ["a", "b", "c"], "label": pa.array([1, None, -1]), "other": [{"x": 1}] * 3}
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    table = read_labels(tmp_path / "l.parquet")
    assert (table.columns["file_name"], table.labels) == (["a", "b", "c"], ["1", "", "-1"])
    assert table.places == ["row 0", "row 1", "row 2"]


def test_parquet_with_categories(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"label": pa.array(["x", "y", None]).dictionary_encode()}), tmp_path / "l.parquet"
    )
    assert read_labels(tmp_path / "l.parquet").labels == ["x", "y", ""]


def test_npy_and_an_array_are_the_same(tmp_path: Path) -> None:
    array = np.array([0.0, 1.0, np.nan])
    np.save(tmp_path / "l.npy", array)
    assert read_labels(tmp_path / "l.npy").labels == table_of(array, "labels").labels == ["0", "1", ""]


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT, "", " "]
)
def test_what_is_unknown_is_so_by_its_value(missing: object) -> None:
    assert label_text(missing) == ""


@pytest.mark.parametrize("text", ["None", "<NA>", "NaT", "null"])
def test_a_class_may_be_called_as_a_missing_value_is_written(text: str) -> None:
    assert plain_labels([label_text(text)]) == [text]


@pytest.mark.parametrize("six", [6, 6.0, "6", np.float32(6), np.str_("6"), b"6"])
def test_six_is_six_beside_anything(six: object) -> None:
    assert table_of(label_array([six, "x", np.nan, 1.5]), "labels").labels == ["6", "x", "", "1.5"]


@pytest.mark.parametrize("other", ["Cat", "cat\u200b", "\uff43at", "c\u00adat"])
def test_labels_that_look_alike_are_told_of(caplog: pytest.LogCaptureFixture, other: str) -> None:
    say_what_labels_mean("l.csv", ["cat", "dog", other])
    assert "count as two classes" in caplog.text and repr(other) in caplog.text


def test_unknown_labels_are_empty_and_whole_numbers_written_alike() -> None:
    assert plain_labels(["1.0", "-1.0", "", "NaN", "20.00", "3"]) == ["1", "", "", "", "20", "3"]
    assert plain_labels(["1.0", "x", "-1"]) == ["1.0", "x", ""]
    assert plain_labels(["1.5", "2.0"]) == ["1.5", "2.0"]


def test_probabilities_come_from_one_place_and_row_by_row() -> None:
    table = table_of(np.array([0, 1]), "labels")
    both = with_probabilities(table, np.eye(2), "p.npy")
    assert both.probability_source == "p.npy"
    np.testing.assert_array_equal(both.probabilities, np.eye(2))
    with pytest.raises(InputError, match="give one of them"):
        with_probabilities(both, np.eye(2), "q.npy")
    with pytest.raises(InputError, match=r"p\.npy: has 3 rows for the 2 labels"):
        with_probabilities(table, np.eye(3), "p.npy")
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        with_probabilities(table, np.ones(2), "p.npy")


def test_columns_of_probabilities(tmp_path: Path) -> None:
    table: LabelTable = read_labels(
        write(tmp_path / "l.csv", "probability_b,probability_a\n.25,.75\n,\n0,1\n")
    )
    assert (table.labels, table.classes) == (None, ["b", "a"])
    np.testing.assert_array_equal(table.probabilities, [[0.25, 0.75], [np.nan, np.nan], [0, 1]])


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"type '.xlsx'"):
        read_labels(write(tmp_path / "l.xlsx", "x"))
    with pytest.raises(InputError, match="Parquet"):
        read_labels(write(tmp_path / "l.parquet", "x"))
    with pytest.raises(InputError, match="npy"):
        read_labels(write(tmp_path / "l.npy", "x"))
    (tmp_path / "l.csv").write_bytes(b"label\n\xe9t\xe9\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_labels(tmp_path / "l.csv")
    np.save(tmp_path / "o.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects"):
        read_labels(tmp_path / "o.npy")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    path = write(tmp_path / "l.csv", "label\n0\n1\n")
    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(InputError, match=r"l\.csv: cannot be read \(Permission denied\); expected"):
        read_labels(path)


def test_a_label_may_be_a_number_of_any_length() -> None:
    long = "1" * 5000  # more digits than Python turns into an integer
    assert plain_labels([long, f"{long}.0", "-0", "2"]) == [long, long, "0", "2"]
