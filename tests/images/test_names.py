"""File names that mean the same image."""

import pytest

from ruc.images.names import match_by_ending, plain_name


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
