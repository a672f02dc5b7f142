import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from ruc.errors import InputError
from ruc.evaluation.truth import encode_truth, read_truth
from ruc.labels.given import read_given

NAMES = ("a.png", "b/c.png", "d.png")


def labels_of(truth):
    return ["" if code < 0 else truth.classes[code] for code in truth.codes]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_in_any_order_with_further_columns_and_unknown_ones(tmp_path):
    path = write(
        tmp_path / "t.csv",
        "label,note,file_name\ncat,x,d.png\n,x,a.png\ndog,x,./b/c.png\nowl,x,elsewhere.png\n",
    )
    truth = read_truth(path, NAMES)
    assert labels_of(truth) == ["", "dog", "cat"]
    assert truth.classes == ("cat", "dog")


def test_csv_from_a_spreadsheet_with_byte_order_mark(tmp_path):
    path = write(tmp_path / "t.csv", "\ufefffile_name,label\r\na.png,1\r\nd.png,-1\r\n")
    assert labels_of(read_truth(path, NAMES)) == ["1", "", ""]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_with_the_delimiter_of_a_spreadsheet(tmp_path, delimiter):
    text = "file_name,label\na.png,cat\nb/c.png,dog\n".replace(",", delimiter)
    assert labels_of(read_truth(write(tmp_path / "t.csv", text), NAMES)) == ["cat", "dog", ""]


def test_whole_numbers_are_written_alike(tmp_path):
    """As pandas writes them beside missing ones, so that a class is called as in the labels that were repaired."""
    path = write(tmp_path / "t.csv", "file_name,label\na.png,1.0\nb/c.png,\nd.png,10.0\n")
    assert labels_of(read_truth(path, NAMES)) == ["1", "", "10"]


def test_none_is_a_class_in_a_file_as_it_is_to_a_repair(tmp_path):
    path = write(tmp_path / "t.csv", "file_name,label\na.png,None\nb/c.png,Some\nd.png,None\n")
    assert labels_of(read_truth(path, NAMES)) == ["None", "Some", "None"]
    assert read_given(path, NAMES)[1] == ("None", "Some")


@pytest.mark.parametrize(
    "labels", [[6.0, "6", 6, None], pd.Series([6, 6, 6, pd.NA], dtype="Int64"), ["6", 6, "6.0", np.nan]]
)
def test_six_is_one_class(labels):
    assert labels_of(encode_truth(labels)) == ["6", "6", "6", ""]


def test_names_are_compared_as_composed_unicode(tmp_path):
    path = write(tmp_path / "t.csv", "file_name,label\ncafe\u0301.png,1\n")
    assert labels_of(read_truth(path, ("caf\u00e9.png",))) == ["1"]


@pytest.mark.parametrize("labels", [[1, 2, -1], ["x", "y", ""], [1.0, 2.0, None]])
def test_parquet(tmp_path, labels):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"file_name": list(NAMES), "label": labels}), path)
    assert read_truth(path, NAMES).is_known.tolist() == [True, True, False]


def test_labels_alone_are_in_row_order(tmp_path):
    np.save(tmp_path / "t.npy", np.array([5, -1, 7]))
    assert labels_of(read_truth(tmp_path / "t.npy", NAMES)) == ["5", "", "7"]
    np.save(tmp_path / "t.npy", np.array(["x", "", "y"]))
    assert labels_of(read_truth(tmp_path / "t.npy", NAMES)) == ["x", "", "y"]
    assert labels_of(read_truth(write(tmp_path / "t.csv", "label\n5\n-1\n7\n"), NAMES)) == ["5", "", "7"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "name,class\na.png,1\n", "columns 'name', 'class'; expected 'file_name' and 'label'"),
        ("t.csv", "", "is empty; expected a header line"),
        ("t.csv", "file_name,label\na.png,1\nd.png,2\na.png,3\n", "line 4: 'a.png' has the label '3' after '1'"),
        ("t.csv", "file_name,label\nx.png,1\n", "none of the run's 3 images: it has 'x.png', the run has 'a.png'"),
        ("t.csv", "label\n1\n2\n", "2 labels for 3 samples"),
        ("t.csv", "file_name,label\na.png,1,2\n", "line 2: "),
        ("t.csv", "file_name,label\na.png\n", "line 2: "),
        ("t.csv", "file_name,probability_x\na.png,1\n", "has no column 'label'"),
        ("t.xlsx", "a", "type '.xlsx'; expected .csv, .parquet or .npy"),
        ("t.parquet", "no parquet", "cannot be read as Parquet"),
        ("t.npy", "no array", "is no .npy, .npz"),
        ("t.csv", "label\nnan\nNaN\n-1\n", "no label of the run's 3 images is known"),
        ("t.csv", "file_name,label\na.png,\nx.png,1\n", "no label of the run's 3 images is known"),
        ("t.csv", "label\nnan\n1\n-12345678901234567890\n", "expected 0, 1, 2, … or -1 for unknown"),
        ("t.csv", "file_name,label\na.png,nan\nd.png,-7\n", "expected 0, 1, 2, … or -1 for unknown"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(tmp_path, caplog, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(InputError, match=message) as error:
        read_truth(path, NAMES)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not caplog.records  # what else there is to say of it would stand before the cause


@pytest.mark.parametrize(
    ("rows", "images", "expected"),
    [
        ({"000.jpg": "x", "001.jpg": "y"}, ("images/000.jpg", "images/001.jpg"), ["x", "y"]),
        ({"images/000.jpg": "x", "data/images/001.jpg": "y"}, ("000.jpg", "001.jpg"), ["x", "y"]),
        ({"b/0.jpg": "x"}, ("a/b/0.jpg", "a/c/0.jpg"), ["x", ""]),
        ({"0.jpg": "x", "1.jpg": "y"}, ("a/0.jpg", "b/0.jpg", "a/1.jpg"), ["", "", "y"]),  # which of two?
        ({"a/0.jpg": "x", "b/0.jpg": "y", "1.jpg": "z"}, ("0.jpg", "c/1.jpg"), ["", "z"]),
        ({"0.jpg": "x", "a/0.jpg": "y"}, ("a/0.jpg", "0.jpg"), ["y", "x"]),  # exact names first
        ({"0.jpg": "x"}, ("0.jpg", "a/0.jpg"), ["x", ""]),
        ({"0.jpg": "x", "1.jpg": "y"}, ("a10.jpg", "b/1.jpg"), ["", "y"]),  # whole parts of a path
    ],
)  # fmt: skip
def test_names_that_end_alike(tmp_path, caplog, rows, images, expected):
    path = write(tmp_path / "t.csv", "file_name,label\n" + "".join(f"{n},{x}\n" for n, x in rows.items()))
    with caplog.at_level("INFO"):
        assert labels_of(read_truth(path, images)) == expected
    n_by_ending = sum(label != "" for label, image in zip(expected, images, strict=True) if image not in rows)
    said = [record.message for record in caplog.records if "matched by their ending" in record.message]
    assert len(said) == (n_by_ending > 0)
    assert all(f"{n_by_ending} names matched" in text for text in said)


def test_bare_names_that_could_be_several_images_are_an_error(tmp_path):
    path = write(tmp_path / "t.csv", "file_name,label\n0.jpg,x\n")
    with pytest.raises(InputError, match="names none of the run's 2 images"):
        read_truth(path, ("a/0.jpg", "b/0.jpg"))


def test_the_same_row_twice_is_no_error(tmp_path):
    path = write(tmp_path / "t.csv", "file_name,label\na.png,1\na.png,1\n")
    assert labels_of(read_truth(path, NAMES)) == ["1", "", ""]


def test_other_unusable_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_truth(tmp_path / "none.csv", NAMES)
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match=r"shape \(3, 2\)"):
        read_truth(tmp_path / "t.npy", NAMES)
    (tmp_path / "latin.csv").write_bytes("file_name,label\né.png,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as UTF-8"):
        read_truth(tmp_path / "latin.csv", NAMES)
