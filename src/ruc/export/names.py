"""Names of clusters told apart, in whatever case a file system or a tool compares them."""

from collections import Counter
from collections.abc import Mapping


def told_apart(names: Mapping[int, str]) -> dict[int, str]:
    """The names, those that are the same but for case with their numbers; what that makes is none of the others."""
    times = Counter(name.casefold() for name in names.values())
    taken = {folded for folded, n_times in times.items() if n_times == 1}
    apart: dict[int, str] = {}
    for number, name in names.items():
        if times[name.casefold()] > 1:
            name = f"{name} ({number})"
            while name.casefold() in taken:
                name = f"{name} ({number})"
            taken.add(name.casefold())
        apart[number] = name
    return apart
