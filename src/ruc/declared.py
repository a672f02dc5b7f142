"""Settings checked by their declarations: the type of a field says what it may be, and an error says so in words."""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from ruc.errors import UsageError, shown

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


def check_declared(settings: Any) -> None:
    """Hold every field of a dataclass against its annotation.

    Raises
    ------
    UsageError
        A value that its declaration doesn't allow; nothing is converted but whole numbers to floats.
    """
    for name, (adapter, kind) in _adapters(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise UsageError(not_allowed(name, value, kind)) from error


def not_allowed(name: str, value: object, kind: Any) -> str:
    """What to say of a setting's value that isn't of its declared kind."""
    return f"{name}={shown(value)} cannot be used; expected {in_words(kind)}"


def in_words(kind: Any) -> str:
    """What a declared type allows: "a number from 0 to 1, or 'uniform'"."""
    others, choices = [], []
    for option in _options(kind):
        base, *bounds = get_args(option) if get_origin(option) is Annotated else (option,)
        if base is NoneType:
            choices.append("None")
        elif base is bool:
            choices += ["True", "False"]
        elif get_origin(base) is Literal:
            choices += [repr(choice) for choice in get_args(base)]
        else:
            others.append(_range_in_words(base, bounds))
    if len(choices) > 1:
        choices = [f"one of {', '.join(choices)}"]
    return ", or ".join(others + choices)


def _options(kind: Any) -> list[Any]:
    if get_origin(kind) in (Union, UnionType):
        return [option for each in get_args(kind) for option in _options(each)]
    return [kind]


def _range_in_words(base: Any, bounds: list[Any]) -> str:
    plain = {int: "an integer", float: "a number", str: "text"}.get(base)
    if plain is None:
        return str(base).replace("builtins.", "")
    limits = [limit for bound in bounds for limit in getattr(bound, "metadata", [bound])]
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    found = {side: getattr(limit, side) for limit in limits for side in words if hasattr(limit, side)}
    if found.keys() == {"ge", "le"}:
        return f"{plain} from {found['ge']:g} to {found['le']:g}"
    said = " and ".join(f"{words[side]} {limit:g}" for side, limit in found.items())
    return f"{plain} {said}".rstrip()


@cache
def _adapters(owner: type) -> dict[str, tuple[TypeAdapter[Any], Any]]:
    hints = get_type_hints(owner, include_extras=True)
    return {name: (TypeAdapter(kind), kind) for name, kind in hints.items()}
