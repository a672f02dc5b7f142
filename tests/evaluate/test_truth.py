import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from ruc.errors import InputError
from ruc.evaluate.truth import read_truth

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
        ("t.csv", "name,class\na.png,1\n", "columns name, class; expected file_name and label"),
        ("t.csv", "", r"columns \(none\)"),
        ("t.csv", "file_name,label\na.png,1\nd.png,2\na.png,3\n", "line 4: 'a.png' has the label '3' after '1'"),
        ("t.csv", "file_name,label\nx.png,1\n", "none of the run's 3 images: it has 'x.png', the run has 'a.png'"),
        ("t.csv", "label\n1\n2\n", "2 labels without file names for 3 images"),
        ("t.csv", "file_name,label\na.png,1,2\n", "line 2: "),
        ("t.csv", "file_name,label\na.png\n", "line 2: "),
        ("t.txt", "a", "is a .txt; expected .csv, .parquet or .npy"),
        ("t.parquet", "no parquet", "cannot be read as Parquet"),
        ("t.npy", "no array", "cannot be read as .npy"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(InputError, match=message) as error:
        read_truth(path, NAMES)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_same_row_twice_is_no_error(tmp_path):
    path = write(tmp_path / "t.csv", "file_name,label\na.png,1\na.png,1\n")
    assert labels_of(read_truth(path, NAMES)) == ["1", "", ""]


def test_other_unusable_files(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_truth(tmp_path / "none.csv", NAMES)
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match=r"shape \(3, 2\)"):
        read_truth(tmp_path / "t.npy", NAMES)
    (tmp_path / "latin.csv").write_bytes("file_name,label\né.png,1\n".encode("latin-1"))
    with pytest.raises(InputError, match="expected UTF-8"):
        read_truth(tmp_path / "latin.csv", NAMES)
