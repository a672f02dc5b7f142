"""Rows of labels and the samples they belong to."""

import numpy as np
import pytest

from ruc.errors import InputError
from ruc.labels.matching import in_order_of, in_row_order
from ruc.labels.tables import LabelTable


def table(labels: str, file_names: str = "", probabilities: np.ndarray | None = None) -> LabelTable:
    """A label a letter, and a name a letter."""
    places = [f"row {row}" for row in range(len(labels))]
    columns = {"file_name": list(file_names)} if file_names else {}
    return LabelTable("t", columns, list(labels), probabilities, None, places)


def test_rows_follow_the_names() -> None:
    given = table("xyz", "cab", np.array([[1, 0], [0, 1], [0.5, 0.5]]))
    matched = in_order_of(given, ["a", "b", "c"], ())
    assert matched.labels == ["y", "z", "x"]
    assert matched.places == ["row 1", "row 2", "row 0"]
    np.testing.assert_array_equal(matched.probabilities, [[0, 1], [0.5, 0.5], [1, 0]])
    assert matched.n_unnamed == 0


def test_images_without_a_row_are_unknown_and_rows_of_skipped_ones_passed_over() -> None:
    matched = in_order_of(table("xy", "cs", np.eye(2)), ["a", "c", "s"], ["s"])
    assert matched.labels == ["", "x"]
    assert matched.places == ["image 'a'", "row 0"]
    np.testing.assert_array_equal(matched.probabilities, [[np.nan, np.nan], [1, 0]])
    assert matched.n_unnamed == 1


def test_names_match_across_systems() -> None:
    given = LabelTable(
        "t", {"file_name": [".\\e\u0301\\1.png", "./b.png"]}, ["0", "1"], None, None, ["row 0", "row 1"]
    )
    assert in_order_of(given, ["b.png", "\u00e9/1.png"], ()).labels == ["1", "0"]


def test_names_match_by_a_unique_ending() -> None:
    given = LabelTable(
        "t", {"file_name": ["1.png", "b/2.png", "b/3.png"]}, ["x", "y", "z"], None, None, ["0", "1", "2"]
    )
    matched = in_order_of(given, ["a/1.png", "a/b/2.png", "a/4.png", "b/3.png"], ())
    assert matched.labels == ["x", "y", "", "z"]
    assert matched.by_ending == {"a/1.png": "1.png", "a/b/2.png": "b/2.png"}
    twice = LabelTable("t", {"file_name": ["1.png", "2.png"]}, ["x", "y"], None, None, ["row 0", "row 1"])
    with pytest.raises(InputError, match=r"row 0: no image has the file name '1.png' \(1 such rows of 2\)"):
        in_order_of(twice, ["a/1.png", "b/1.png", "a/2.png"], ())


def test_rows_without_names_may_count_the_skipped() -> None:
    assert in_order_of(table("01"), ["a", "b", "c"], ["b"]).labels == ["0", "1"]
    assert in_order_of(table("012"), ["a", "b", "c"], ["b"]).labels == ["0", "2"]
    with pytest.raises(InputError, match="holds 4 labels for 2 samples"):
        in_order_of(table("0123"), ["a", "b", "c"], ["b"])


def test_unknown_and_repeated_names_are_named() -> None:
    with pytest.raises(InputError, match=r"t, row 1: no image has the file name 'q' \(1 such rows of 2\)"):
        in_order_of(table("xy", "aq"), ["a", "b"], ())
    with pytest.raises(InputError, match="t, row 2: file name 'a' stands on row 0 already"):
        in_order_of(table("xyz", "aba"), ["a", "b"], ())


def test_row_order_needs_a_row_for_each_sample() -> None:
    given = table("xy")
    assert in_row_order(given, 2) is given
    with pytest.raises(InputError, match="holds 2 labels for 3 samples"):
        in_row_order(given, 3)


def test_rows_without_names_are_said_to_go_by_place(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    in_order_of(table("0123"), ["0", "1", "2", "3"])
    assert not caplog.messages
    in_order_of(table("0123"), ["1.png", "10.png", "11.png", "2.png"])
    assert caplog.messages == [
        "t: no names; its rows are taken for '1.png', '10.png', '11.png' and so on, in this order"
    ]
