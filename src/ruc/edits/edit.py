"""What can be done to a run: rename, merge, split, move, junk, answer, learn; in memory and as JSON."""

from dataclasses import dataclass
from typing import Any

from ruc.errors import InputError


@dataclass(frozen=True)
class Rename:
    """Call a cluster by a name; an empty name gives it back its number."""

    cluster: int
    name: str


@dataclass(frozen=True)
class Merge:
    """Put all images of the other clusters into the first one."""

    clusters: tuple[int, ...]


@dataclass(frozen=True)
class Junk:
    """Mark a cluster as junk: it stays in the table, and exports leave it out."""

    cluster: int
    is_junk: bool = True


@dataclass(frozen=True)
class Move:
    """Put images into a cluster, which may be a new one: the next number.

    Moved by hand, an image is taken as certain (confidence 1), also when it was in that cluster
    already: so a person confirms it.
    """

    file_names: tuple[str, ...]
    cluster: int


@dataclass(frozen=True)
class Split:
    """Divide a cluster: the images of each part go into a new cluster, the others stay.

    Their confidence is divided as their nearest images are, and new images follow to the part that theirs are in.
    """

    cluster: int
    parts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Answer:
    """Say whether an image belongs to the cluster that it is in.

    Attributes
    ----------
    file_name
        The image.
    asked
        The cluster that was asked about.
    right
        The one it belongs to: `asked` says yes, another one or None no. Without another one it goes to the likeliest
        of the others.
    """

    file_name: str
    asked: int
    right: int | None

    @property
    def belongs(self) -> bool:
        """Whether the answer was yes."""
        return self.right == self.asked


@dataclass(frozen=True)
class Learn:
    """Let the images that a person placed so far say where those belong that look like them."""


Edit = Rename | Merge | Junk | Move | Split | Answer | Learn


def to_json(edit: Edit) -> dict[str, Any]:
    """The record that `from_json` reads, and the report's edits.json holds."""
    match edit:
        case Rename(cluster, name):
            return {"op": "rename", "cluster": cluster, "name": name}
        case Merge(clusters):
            return {"op": "merge", "clusters": list(clusters)}
        case Junk(cluster, is_junk):
            return {"op": "junk", "cluster": cluster, "junk": is_junk}
        case Move(file_names, cluster):
            return {"op": "move", "file_names": list(file_names), "cluster": cluster}
        case Split(cluster, parts):
            return {"op": "split", "cluster": cluster, "parts": [list(part) for part in parts]}
        case Answer(file_name, asked, right):
            return {"op": "answer", "file_name": file_name, "asked": asked, "right": right}
        case Learn():
            return {"op": "learn"}


def from_json(record: Any) -> Edit:
    """The edit of a record; raises `InputError` where it is none."""
    match record:
        case {"op": "rename", "cluster": int(cluster), "name": str(name)}:
            return Rename(cluster, name)
        case {"op": "merge", "clusters": list(clusters)} if all(isinstance(one, int) for one in clusters):
            return Merge(tuple(clusters))
        case {"op": "junk", "cluster": int(cluster), "junk": bool(is_junk)}:
            return Junk(cluster, is_junk)
        case {"op": "move", "cluster": int(cluster), "file_names": list(names)} if _are_names(names):
            return Move(tuple(names), cluster)
        case {"op": "split", "cluster": int(cluster), "parts": list(parts)} if all(
            isinstance(part, list) and _are_names(part) for part in parts
        ):
            return Split(cluster, tuple(tuple(part) for part in parts))
        case {"op": "answer", "file_name": str(name), "asked": int(asked), "right": int() | None as right}:
            return Answer(name, asked, right)
        case {"op": "learn"}:
            return Learn()
    raise InputError(
        f"{str(record)[:120]} is no edit; expected op rename, merge, junk, move, split, answer or learn with its values"
    )


def _are_names(names: list[Any]) -> bool:
    return all(isinstance(one, str) for one in names)
