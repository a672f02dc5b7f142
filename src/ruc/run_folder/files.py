"""Single files: whether they can be written, and tables, JSON and tensors as they are."""

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import numpy as np
from safetensors import SafetensorError

from ruc.errors import RunFolderError, UsageError
from ruc.tables.formulas import as_text

if TYPE_CHECKING:  # torch takes seconds to import, and most readers of a run don't need the model
    from torch import Tensor

    from ruc.networks import State

DIGEST: Final = "sha256"  # in the metadata of a part of a model
CSV_SUFFIXES: Final = frozenset((".csv", ".txt"))
FILE_SUFFIXES: Final = frozenset((".csv", ".tsv", ".txt", ".json", ".xlsx", ".html"))
"""What no folder is called on purpose; Spark and others do write folders called .parquet."""
SYSTEM_ERROR: Final = re.compile(r"(?:os error|code:) (\d+)")  # how Rust writes its number


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's errors while writing to `folder` into messages for users."""
    try:
        yield
    except OSError as error:
        # None: NumPy, which says how many bytes found room.
        if error.errno in (errno.ENOSPC, errno.EDQUOT, None):
            raise RunFolderError(
                f"no space left while writing to {folder}; expected room for the results: "
                "free some space and repeat the command, or give an -o on another disk"
            ) from error
        raise RunFolderError(
            f"cannot write to {folder} ({error.strerror or error}); expected a folder to write into: make it one, "
            "or give another"
        ) from error


def check_file(target: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """Raise before the work what would keep the file `target` from being written after it.

    `inputs`: what the work reads, which must not be replaced.

    Raises
    ------
    RunFolderError
        `target` is there, or, to be replaced, is no plain file or one of the inputs; or it can't be written.
    """
    with explained(target.parent):
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise RunFolderError(
                f"{target} is a folder, a link or a device; expected a new file: give another -o"
            )
        if target.exists() and any(Path(one).exists() and target.samefile(one) for one in inputs):
            raise RunFolderError(
                f"{target} would be replaced, and is read from; expected another file: give another -o"
            )
        if target.exists() and not overwrite:
            raise RunFolderError(
                f"{target} exists already; expected a new file: give another -o, or --overwrite to replace it"
            )
    check_writable(target.parent)


def check_csv(target: Path, inputs: Iterable[str | Path] = (), overwrite: bool = False) -> None:
    """The same for a table, which is CSV whatever it's called: `UsageError` where the name says something else."""
    check_file(target, inputs, overwrite)
    if target.suffix.lower() not in CSV_SUFFIXES:
        raise UsageError(f"-o {target} given, and what is written is CSV; expected a name that ends in .csv")


def check_new_folder(target: Path) -> None:
    """Raise `RunFolderError` where there is something already, but for an empty folder, or nothing can be made.

    `UsageError` where it's called like a file.
    """
    if target.suffix.lower() in FILE_SUFFIXES and not target.is_dir():
        raise UsageError(
            f"-o {target} given, and what is written is a folder; expected a name that isn't a file's: "
            f"-o {target.with_suffix('')}"
        )
    with explained(target.parent):
        is_free = target.is_dir() and not any(target.iterdir())
        if target.is_symlink() or (target.exists() and not is_free):
            raise RunFolderError(
                f"{target} exists already; expected a new folder, since none is ever replaced: give another -o"
            )
    check_writable(target.parent)


def check_writable(folder: Path) -> None:
    """Raise `RunFolderError` where no file can be made in `folder`, or in what would hold it; nothing is left there."""
    with explained(folder):
        above = (one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
        with tempfile.TemporaryFile(dir=next(above, folder)):
            pass


def write_csv(path: Path, columns: Sequence[str], rows: Any, excel_safe: bool = False) -> None:
    """A header and rows; floats with six significant digits; `excel_safe`: no text is a formula (`as_text`)."""
    with path.open("w", newline="", encoding="utf-8") as file:
        _write_rows(file, columns, rows, excel_safe)


def csv_text(columns: Sequence[str], rows: Any, excel_safe: bool = False) -> str:
    """The same as text."""
    file = io.StringIO(newline="")
    _write_rows(file, columns, rows, excel_safe)
    return file.getvalue()


def _write_rows(file: TextIO, columns: Sequence[str], rows: Any, excel_safe: bool) -> None:
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows([_cell(value, excel_safe) for value in row] for row in rows)


def _cell(value: Any, excel_safe: bool) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return as_text(value) if excel_safe and isinstance(value, str) else value


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON, arrays as lists."""
    # A path that isn't Unicode holds lone surrogates: as JSON's escapes they are read back the same.
    path.write_text(to_json(content), encoding="utf-8", errors="backslashreplace")


def to_json(content: Mapping[str, Any]) -> str:
    """As text, arrays as lists."""
    return json.dumps(content, indent=1, ensure_ascii=False, default=_as_json)


def _as_json(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def plain(content: Any) -> Any:
    """The same with Python's own types, and None for numbers that aren't finite, which JSON has no way to write."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray | np.generic):
        return plain(content.tolist())
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_state(stem: Path, state: "State") -> None:
    """`STEM.json`, and `STEM.safetensors` with a digest of both: networks take damaged numbers without a word."""
    write_json(stem.with_name(stem.name + ".json"), state.config)
    text = stem.with_name(stem.name + ".json").read_bytes()
    digest = {DIGEST: state_digest(text, state.weights)}
    write_tensors(stem.with_name(stem.name + ".safetensors"), state.weights, digest)


def state_digest(text: bytes, weights: "Mapping[str, Tensor]") -> str:
    """Of the configuration as it's written, and of the tensors."""
    import torch

    digest = hashlib.sha256(text)
    for name, tensor in sorted(weights.items()):
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return digest.hexdigest()


def write_tensors(
    path: Path, tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str] | None = None
) -> None:
    """Tensors by name and some text, as safetensors; raises `OSError` where the system can't write them."""
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode  # some releases leave a file that its owner alone can read
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(copies, path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        number = SYSTEM_ERROR.search(str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(path), code) from error  # the last one counts on Windows
    path.chmod(mode)
