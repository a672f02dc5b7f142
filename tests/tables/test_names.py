"""File names that mean the same image."""

import pytest

from ruc.errors import InputError
from ruc.tables.names import column_of_names, match_by_ending, match_names, plain_name


@pytest.mark.parametrize(
    ("written", "plain"),
    [("a/b.png", "a/b.png"), (".\\a\\b.png", "a/b.png"), (" ./e\u0301.png", "\u00e9.png"), ("../a", "../a")],
)
def test_plain_names(written, plain) -> None:
    assert plain_name(written) == plain


@pytest.mark.parametrize(
    ("names", "images", "expected"),
    [
        ({"1.png"}, {"a/1.png", "a/2.png"}, {"a/1.png": "1.png"}),
        ({"x/a/1.png"}, {"a/1.png"}, {"a/1.png": "x/a/1.png"}),
        ({"1.png"}, {"a/1.png", "b/1.png"}, {}),  # two images end so
        ({"a/1.png", "b/1.png"}, {"1.png"}, {}),
        ({"1.png"}, {"a/11.png"}, {}),  # endings are of whole parts
        (set(), {"a"}, {}),
    ],
)
def test_endings(names, images, expected) -> None:
    assert match_by_ending(names, images) == expected


IMAGES = ("000.png", "001.png", "002.png")
SHUFFLED = ["002.png", "000.png", "001.png"]


def images_of(columns, images=IMAGES, **options):
    """The image of each row, or None where the table has no names."""
    names = column_of_names("t.csv", columns, images, **options)
    return None if names is None else [names.image_of.get(cell) for cell in names.cells]


@pytest.mark.parametrize(
    "heading",
    ["file_name", "filename", "File Name", "FILE-NAME", "image", "path", "id", "", "__index_level_0__", "x"],
)
def test_the_column_whose_values_are_names_is_the_one_of_the_names(heading) -> None:
    assert images_of({"score": ["1", "2", "3"], heading: SHUFFLED}) == SHUFFLED


@pytest.mark.parametrize(
    "names",
    [
        ["002", "000", "001"],  # without suffix
        ["002.PNG", "000.png", "001.Png"],
        ["/data/photos/002.png", "C:\\photos\\000.png", "s3://bucket/001.png"],
        [" 002.png", "./000.png ", "001.png"],
    ],
)
def test_names_count_however_they_are_written(names) -> None:
    assert images_of({"image": names}) == SHUFFLED
    inside = tuple(f"images/{name}" for name in IMAGES)
    if "/" not in names[0]:
        assert images_of({"image": names}, inside) == [f"images/{name}" for name in SHUFFLED]


def test_whole_numbers_that_pandas_made_floats_name_images() -> None:
    images = ("1.png", "10.png", "2.png")
    assert images_of({"id": ["2.0", "10.0", ""]}, images) == ["2.png", "10.png", None]
    assert images_of({"id": ["2.0", "1.0"]}, ("1.0.png", "2.0.png")) == ["2.0.png", "1.0.png"]
    with pytest.raises(InputError, match="'id' has names"):
        images_of({"id": ["2.0", "0.0", "1.0"]})
    assert images_of({"score": ["2.5", "0.0", "1.0"]}) is None


def test_another_suffix_or_two_possible_images_are_no_match() -> None:
    assert match_names(["000.jpg"], IMAGES) == {}
    assert match_names(["000"], ("000.jpg", "000.png")) == {}
    assert match_names(["A.png"], ("a.png", "b/a.png")) == {"A.png": "a.png"}
    assert match_names(["A.png"], ("b/a.png", "c/a.png")) == {}


def test_of_two_columns_of_names_the_usual_heading_counts() -> None:
    other = ["001.png", "002.png", "000.png"]
    assert images_of({"twin": other, "image": SHUFFLED}) == SHUFFLED
    assert images_of({"other": SHUFFLED, "same": [f"in/{name}" for name in SHUFFLED]}) == SHUFFLED
    with pytest.raises(InputError, match="'one' and 'two' both hold names"):
        images_of({"one": other, "two": SHUFFLED})


def test_file_name_counts_unless_another_column_has_the_names() -> None:
    assert images_of({"file_name": ["x", "y", "z"], "path": SHUFFLED}) == SHUFFLED
    assert images_of({"file_name": ["x", "y", "z"]}) == [None] * 3


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"": ["0", "1", "2"]},  # the index of pandas
        {"": ["1", "2", "3"]},  # R's row names
        {"confidence": ["0.5", "0.25", "1"], "date": ["2024-01-01", "2024-01-02", "2024-01-03"]},
        {"annotator": ["ann", "ann", "bob"], "votes": ["3", "5", "4"]},
    ],
)
def test_a_table_without_names_goes_by_place(columns) -> None:
    assert images_of(columns) is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["x", "y", "z"]}, r"'image' has names \('x', …\), but none of the images; an image is '000.png'"),
        ({"": ["2", "0", "1"]}, "'' has names"),  # an index that went along when the rows were sorted
        ({"id": ["17", "4", "9"]}, "'id' has names"),
    ],
)  # fmt: skip
def test_names_of_something_else_are_refused(columns, message) -> None:
    with pytest.raises(InputError, match=message):
        images_of(columns)


def test_an_index_of_rows_and_images_called_by_numbers() -> None:
    images = ("1.png", "10.png", "2.png")
    assert images_of({"id": ["1", "2", "10"]}, images) == ["1.png", "2.png", "10.png"]
    with pytest.raises(InputError, match="counts the rows, and the images are called like numbers"):
        images_of({"": ["1", "2", "3"]}, ("1.png", "3.png", "2.png"))
    assert images_of({"": ["1", "2", "3"]}, ("1.png", "2.png", "3.png")) == ["1.png", "2.png", "3.png"]
    with pytest.raises(InputError, match="counts the rows"):
        images_of({"": ["2", "3", "1"]}, ("1.png", "3.png", "2.png"))
    names = ["1.png", "10.png", "2.png"]
    for numbers in (
        ["1", "2", "3"],
        ["2", "10", "1"],
        ["10", "1", "2"],
    ):  # names with their suffix count before
        assert images_of({"": numbers, "x": names}, images) == names
        assert images_of({"id": numbers, "x": names}, images) == names


def test_rows_of_features_are_named_by_their_numbers_from_0() -> None:
    rows = ("0", "1", "2")
    assert images_of({"file_name": ["2", "0", "1"]}, rows) == ["2", "0", "1"]
    assert images_of({"": ["2", "0", "1"]}, rows) == ["2", "0", "1"]
    assert images_of({"file_name": ["1", "2", "3"]}, rows) is None  # in their order, counted from 1
    with pytest.raises(InputError, match="numbers the samples from 1"):
        images_of({"file_name": ["3", "1", "2"]}, rows)
    with pytest.raises(InputError, match="the samples have no names"):
        images_of({"image": SHUFFLED}, rows)
    assert images_of({"file_name": ["2", "0", "1"]}, IMAGES, are_rows=True) == SHUFFLED
    assert images_of({"file_name": ["2", "0", "1"]}, IMAGES) == [None] * 3
