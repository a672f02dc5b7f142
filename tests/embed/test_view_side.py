"""How large views are in each epoch."""

import pytest

from ruc.embed.view_side import view_side


@pytest.mark.parametrize(
    ("full_side", "expected"), [(32, [24, 24, 24, 32, 32]), (9, [8, 8, 8, 9, 9]), (6, [6] * 5)]
)
def test_small_views_come_first_and_are_never_tiny(full_side: int, expected: list[int]) -> None:
    assert [view_side(epoch, 5, full_side, 0.6, 0.75) for epoch in range(5)] == expected
    assert view_side(0, 5, full_side, 0.0, 0.75) == full_side
