"""Single files of a run folder: tables, JSON, arrays and tensors, all put in place at once or not at all."""

import csv
import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ruc.errors import RunFolderError

if TYPE_CHECKING:
    from ruc.networks import State

__all__ = [
    "explained",
    "load_if_there",
    "read_csv",
    "read_json_if_there",
    "read_state",
    "replacing",
    "to_json",
    "write_csv",
    "write_json",
    "write_state",
]


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well, its files take their places in `folder`."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
            new = Path(name)
            yield new
            for path in sorted(new.iterdir()):
                _move(path, folder / path.name)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's errors while writing to `folder` into messages for users."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFolderError(
                f"no space left while writing to {folder}; expected room for the results: "
                "free some space or give an -o on another disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise RunFolderError(
                f"cannot write to {folder} ({error.strerror}); expected one to write into: give another -o"
            ) from error
        raise


def _move(path: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)


def write_csv(path: Path, columns: Sequence[str], rows: Any) -> None:
    """A header and rows; floats with six significant digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_shorter(value) for value in row] for row in rows)


def _shorter(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows by column name; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON, arrays as lists."""
    path.write_text(to_json(content), encoding="utf-8")


def to_json(content: Mapping[str, Any]) -> str:
    """As text, arrays as lists."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=_as_json)


def _as_json(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def read_json_if_there(path: Path) -> dict[str, Any] | None:
    """The content, or None where there is no such file."""
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def load_if_there(path: Path) -> NDArray[np.float32] | None:
    """The array of a `.npy`, or None where there is no such file."""
    return np.load(path, allow_pickle=False) if path.exists() else None


def write_state(stem: Path, state: "State") -> None:
    """`STEM.json` and `STEM.safetensors`."""
    from safetensors.torch import save_file

    write_json(stem.with_name(stem.name + ".json"), state.config)
    save_file(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.weights.items()},
        stem.with_name(stem.name + ".safetensors"),
    )


def read_state(stem: Path) -> "State":
    """What `write_state` wrote."""
    from safetensors.torch import load_file

    from ruc.networks import State

    config = json.loads(stem.with_name(stem.name + ".json").read_text(encoding="utf-8"))
    return State(config, load_file(stem.with_name(stem.name + ".safetensors")))
