"""Labels given, as a clustering: numbered, checked, and what is odd about them said once."""

import csv
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from numpy.typing import ArrayLike

from ruc.errors import InputError
from ruc.labels.given import check_given, given, read_given

ROWS = ["0", "1", "2", "3"]  # what samples without names are called
NAMES = ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_integers_in_any_row_order(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "file_name,label\nb/2.png,1\na/1.png,0\nb/1.png,1\na/2.png,0\n")
    clustering, names = read_given(path, NAMES)
    assert clustering.labels.tolist() == [0, 0, 1, 1]
    assert clustering.labels.dtype == np.int64
    assert (clustering.n_clusters, clustering.name, clustering.probabilities, names) == (
        2,
        "given",
        None,
        None,
    )


def test_text_stays_text(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.csv", 'file_name,label\na/1.png,"cat, big"\na/2.png,été\nb/1.png,\nb/2.png,-1\n'
    )
    clustering, names = read_given(path, NAMES)
    assert clustering.labels.tolist() == [0, 1, -1, -1]
    assert names == clustering.cluster_names == ("cat, big", "été")


@pytest.mark.parametrize("text", ["label\n3\n7\n\n3\n", "label\n3.0\n7.0\n\n3.0\n"])
def test_integers_with_gaps_keep_their_names(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "l.csv", text)
    clustering, names = read_given(path, ROWS[:4])
    assert clustering.labels.tolist() == [0, 1, -1, 0]
    assert names == ("3", "7")


def test_endless_numbers_are_text(tmp_path: Path) -> None:
    digits = "1" * 5000
    path = write(tmp_path / "labels.csv", f"file_name,label\na/1.png,{digits}\na/2.png,2\n")
    assert read_given(path, NAMES)[1] == ("2", digits)


def test_leading_zeros_are_text(tmp_path: Path) -> None:
    _, names = read_given(write(tmp_path / "l.csv", "label\n00\n01\n"), ROWS[:2])
    assert names == ("00", "01")


def test_missing_images_are_unknown_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "l.csv", "file_name,label\na/1.png,x\nb/1.png,y\nbroken.png,y\n")
    with caplog.at_level(logging.WARNING):
        clustering, _ = read_given(path, [*NAMES, "broken.png"], skipped={"broken.png"})
    assert clustering.labels.tolist() == [0, -1, 1, -1]
    assert "2 of 4 images" in caplog.text
    assert "l.csv, line 2, line 3: no other sample has the label 'x', 'y'" in caplog.text


def test_probability_columns(tmp_path: Path) -> None:
    text = "file_name,label,probability_b,probability_a\na/1.png,a,0.2,0.8\nb/1.png,b,1,0\na/2.png,,,\n"
    clustering, names = read_given(write(tmp_path / "l.csv", text), NAMES)
    assert names == ("a", "b")
    assert clustering.labels.tolist() == [0, -1, 1, -1]
    assert clustering.probabilities is not None
    np.testing.assert_allclose(clustering.probabilities, [[0.8, 0.2], [0.5, 0.5], [0, 1], [0.5, 0.5]])
    assert clustering.probabilities.dtype == np.float32


def test_probability_columns_alone_give_labels(tmp_path: Path) -> None:
    text = "probability_0,probability_1,probability_2\n.1,.2,.7\n.6,.2,.2\n"
    clustering, names = read_given(write(tmp_path / "l.csv", text), ROWS[:2])
    assert clustering.labels.tolist() == [2, 0]
    assert clustering.n_clusters == 3
    assert names is None


def test_ten_columns_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    header = ",".join(f"probability_{k}" for k in range(11))
    rows = "\n".join(",".join("1" if k == row else "0" for k in range(11)) for row in (10, 2))
    clustering, _ = read_given(write(tmp_path / "l.csv", f"{header}\n{rows}\n"), ROWS[:2])
    assert clustering.labels.tolist() == [10, 2]


def test_rows_sum_to_one_after_rounding(tmp_path: Path) -> None:
    clustering, _ = given([0, 1], 2, [[0.9996, 0.0], [0.3334, 0.6671]])
    assert clustering.probabilities is not None
    np.testing.assert_allclose(clustering.probabilities.sum(axis=1), 1.0, rtol=1e-6)


def test_disagreement_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        clustering, _ = given([0, 1, 1], 3, [[0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    assert clustering.labels.tolist() == [0, 1, 1]
    assert "1 of 3 labels aren't the most probable" in caplog.text


def test_more_clusters_than_labels_is_allowed_for_integers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        clustering, names = given([0, 3, 3, 0], 4, n_clusters=5)
    assert (clustering.n_clusters, names) == (5, None)
    assert "no sample has the label '1', '2', '4'" in caplog.text


def test_the_clusters_of_a_table_of_ours_are_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = "a/2.png,1\na/1.png,0\nb/1.png,1\nb/2.png,0\n"
    path = write(tmp_path / "clusters.csv", f"file_name,cluster\n{rows}")
    with caplog.at_level(logging.INFO):
        clustering, names = read_given(path, NAMES)
    assert (clustering.labels.tolist(), names) == ([0, 1, 1, 0], None)
    assert f"{path}: its column 'cluster' is taken for the labels" in caplog.messages
    named = rows.replace("1\n", "1,sky\n").replace("0\n", "0,\n")
    path = write(tmp_path / "named.csv", f"file_name,cluster,cluster_name\n{named}a/3.png,0,sea\n")
    clustering, names = read_given(path, [*NAMES, "a/3.png"])
    assert (clustering.labels.tolist(), names) == ([-1, 1, 1, -1, 0], ("sea", "sky"))


def test_names_within_structs_and_objects(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": name} for name in reversed(NAMES[:3])]
    parquet.write_table(pa.table({"image": images, "label": ["x", "y", "z"]}), tmp_path / "c.parquet")
    lines = [
        f'{{"image": {{"path": "{name}"}}, "label": "{label}"}}'
        for name, label in zip(NAMES[2::-1], "xyz", strict=True)
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    for name in ("c.parquet", "c.jsonl"):
        assert read_given(tmp_path / name, NAMES[:3])[0].labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "text", ['{"a.png": "x", "b.png": "y"}', '{"classes": ["x"], "labels": {"a": 0, "b": 1}}']
)
def test_one_json_object_is_no_table_of_labels(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match="holds one JSON object; expected one a row"):
        read_given(tmp_path / "c.json", NAMES)


def test_own_result_reads_back(tmp_path: Path) -> None:
    with (tmp_path / "c.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["file_name", "label", "confidence"], ["a/1.png", "x", 1], ["a/2.png", "y", 0.5]]
        )
    assert read_given(tmp_path / "c.csv", NAMES[:2])[0].labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file_name,label\na/1.png,0\nc.png,1\n",
            r"line 3: no image has the file name 'c.png' \(1 such rows of 2\)",
        ),
        (
            "file_name,label\na/1.png,0\nb/1.png,1\na/1.png,1\n",
            r"line 4: file name 'a/1.png' stands on line 2 already",
        ),
        ("file_name,label\na/1.png,0,1\n", "line 2: 3 values for 2 columns"),
        (
            "file_name,class\na/1.png,0\n",
            "has the columns 'file_name', 'class'; expected 'file_name' and 'label'",
        ),
        ("a/1.png,x\na/2.png,y\n", "has the columns 'a/1.png', 'x'; .* write these before the row that is"),
        (
            ",".join("abcdefghij") + "\n" + ",".join("0123456789") + "\n",
            "the columns 'a', 'b', .* 'h' and 2 more; .* rename the column that holds the labels",
        ),
        ("file_name,label\na/1.png,0\na/2.png,0\n", "every known label is '0'; expected at least two"),
        ("file_name,label\na/1.png,\na/2.png,-1\n", "no label is known"),
        ("file_name,label\na/1.png,0\na/2.png,-4\n", "line 3: label -4"),
        ("label\n0\n1\n", "holds 2 labels for 4 samples; add a column 'file_name'"),
        ("", "is empty"),
        (
            "file_name,label,probability_x,probability_y\na/1.png,x,0.5,0.6\na/2.png,y,0,1\n",
            "line 2: .* sum to 1.1",
        ),
        ("file_name,label,probability_x,probability_y\na/1.png,x,1,0\na/2.png,y,,1\n", "line 3: .* NaN"),
        (
            "file_name,label,probability_x,probability_y\na/1.png,x,1,0\na/2.png,y,-2,3\n",
            "line 3: a probability is -2",
        ),
        (
            "file_name,label,probability_x,probability_y\na/1.png,x,a,0\na/2.png,y,0,1\n",
            "line 2: probability_x is 'a'",
        ),
        (
            "file_name,label,probability_x,probability_y\na/1.png,x,1,0\na/2.png,z,0,1\n",
            "line 3: label 'z' has no column",
        ),
    ],
)
def test_errors_name_file_row_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "labels.csv", text)
    with pytest.raises(InputError, match=message) as caught:
        read_given(path, NAMES)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_numbers_that_are_none_of_labels_or_probabilities() -> None:
    with pytest.raises(InputError, match="labels, row 1: a label is a number of thousands of digits"):
        given([0, 10**5000], 2)
    with pytest.raises(InputError, match=r"shape \(2, 2\) and type complex128; expected real numbers"):
        given([0, 1], 2, np.eye(2) + 0j)


def test_wrong_lengths() -> None:
    with pytest.raises(InputError, match="holds 3 labels for 4 samples"):
        given([0, 1, 1], 4)
    with pytest.raises(InputError, match="has 2 rows for the 3 labels"):
        given([0, 1, 1], 3, np.eye(2))
    with pytest.raises(InputError, match="probabilities: probabilities of 2 classes, but labels of 3"):
        given(["x", "y", "z"], 3, np.full((3, 2), 0.5))
    with pytest.raises(InputError, match="3 classes, but 2 clusters were asked for"):
        given([0, 1, 2], 3, n_clusters=2)
    with pytest.raises(InputError, match=r"shape \(2, 1\)"):
        given([[0], [1]], 2)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, 1, -1]),
        np.array([0.0, 1.0, np.nan]),
        np.array(["0", "1", ""]),
        np.array([0, 1, -1.0]),
        ["0", 1.0, np.nan],
        pd.Series(["0", "1", pd.NA], dtype="string"),
        pd.Series([0, 1, pd.NA], dtype="Int64"),
        pd.Series([0, 1, None], dtype="category"),
    ],
)
def test_unknown_is_the_same_in_every_type(array: ArrayLike) -> None:
    clustering, names = given(array, 3)
    assert clustering.labels.tolist() == [0, 1, -1]
    assert names is None


def test_probabilities_npy_follow_the_rows_of_the_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "file_name,label\nb/1.png,dog\na/1.png,cat\n")
    np.save(tmp_path / "p.npy", np.array([[0.1, 0.9], [0.7, 0.3]]))
    clustering, names = read_given(path, ["a/1.png", "b/1.png"], tmp_path / "p.npy")
    assert names == ("cat", "dog")
    np.testing.assert_allclose(clustering.probabilities, [[0.7, 0.3], [0.1, 0.9]], rtol=1e-6)


def test_a_check_raises_what_reading_would_and_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = write(tmp_path / "l.csv", "file_name,label\na/1.png,x\nb/1.png,y\n")  # two unnamed, two alone
    check_given(odd, NAMES)
    assert caplog.text == ""
    with pytest.raises(InputError, match="2 classes, but 3 clusters"):
        check_given(odd, NAMES, n_clusters=3)
    check_given(
        write(tmp_path / "no_names.csv", "label\n0\n1\n"), NAMES
    )  # for images that can be read, perhaps


def test_columns_of_floats_are_text(tmp_path: Path) -> None:
    text = "label,probability_0.0,probability_1.0\n0,1,0\n1,0,1\n"
    with pytest.raises(InputError, match="line 2: label '0' has no column 'probability_0'"):
        read_given(write(tmp_path / "l.csv", text), ROWS[:2])
