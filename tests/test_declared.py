from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from ruc.declared import Count, Positive, Share, check_declared, in_words
from ruc.errors import InputError


@dataclass(frozen=True)
class Oven:
    heat: Share = 0.5
    trays: Count | None = None
    mode: Literal["top", "bottom"] = "top"
    is_on: bool = False
    minutes: Positive | Literal["until done"] = "until done"

    def __post_init__(self) -> None:
        check_declared(self)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Share, "a number from 0 to 1"),
        (Count | None, "an integer of at least 1, or None"),
        (Literal["a", 2], "one of 'a', 2"),
        (Literal["a"] | None, "one of 'a', None"),
        (bool, "one of True, False"),
        (Share | Literal["uniform"], "a number from 0 to 1, or 'uniform'"),
        (Annotated[float, Field(ge=0, lt=1)], "a number of at least 0 and below 1"),
        (str | list[str], "text, or list[str]"),
    ],
)
def test_a_kind_in_words(kind: Any, words: str) -> None:
    assert in_words(kind) == words


def test_what_is_allowed_stays_as_it_is() -> None:
    assert Oven(1, 3, "bottom", True, 2.5).heat == 1
    Oven(minutes="until done", trays=None)


@pytest.mark.parametrize(
    "given",
    [
        {"heat": 1.1}, {"heat": "0.5"}, {"heat": True}, {"heat": float("nan")}, {"trays": 0}, {"trays": 1.0},
        {"trays": True}, {"mode": "grill"}, {"is_on": 1}, {"is_on": None}, {"minutes": 0}, {"minutes": "soon"},
    ],
)  # fmt: skip
def test_the_first_value_that_is_not_allowed_is_named(given: dict[str, Any]) -> None:
    ((name, value),) = given.items()
    with pytest.raises(InputError) as error:
        Oven(**given)
    assert str(error.value).startswith(f"{name}={value!r} cannot be used; expected ")
