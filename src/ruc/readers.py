"""Files that anybody may have written: each outside reader is called here alone, and its errors become ours.

Nothing in such a file is run: no pickle, no YAML tags.
"""

import csv
import json
import struct
import tokenize
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError

from ruc.errors import UnreadableFileError, shortened
from ruc.mapped import FileOnly
from ruc.plain_file import check_plain

if TYPE_CHECKING:  # both take long to import, and few commands need both
    import pyarrow as pa
    from torch import Tensor

# What NumPy, json, csv, PyYAML, Arrow (whose errors are ValueError, OSError, KeyError and the like) and safetensors
# were seen to raise for files that are cut off, changed or made to be malicious.
FAILURES: Final = (
    OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
    SyntaxError, NotImplementedError, struct.error, tokenize.TokenError, csv.Error, yaml.YAMLError, SafetensorError,
)  # fmt: skip
LONGEST_FIELD: Final = 1 << 20  # characters of a value in a CSV; its own limit is 131,072


def load_npy(path: Path, mapped: bool = False) -> NDArray[Any]:
    """The array of a `.npy`, without objects; `mapped`: only what is looked at is in memory.

    Like all readers here it raises `UnreadableFileError`.
    """
    with _understood(path, "a .npy"):
        _check_length(path)
        # Copy on write: nothing is ever written, but torch warns of arrays that can't be.
        array = np.load(path, mmap_mode="c" if mapped else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise TypeError("it is an archive of several arrays")
        return array.view(FileOnly) if mapped else array


def load_text(path: Path, kind: str) -> str:
    """The content of a text file, which is said to be of this kind; without a byte order mark."""
    with _understood(path, kind):
        return path.read_text(encoding="utf-8-sig")


def load_json(path: Path) -> Any:
    """The content of a JSON file."""
    with _understood(path, "JSON"):
        return json.loads(path.read_text(encoding="utf-8"))


def load_yaml(path: Path) -> Any:
    """The content of a YAML file of plain values."""
    with _understood(path, "YAML"):
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_PlainLoader)


def yaml_value(text: str) -> Any:
    """A plain value as it is written in YAML; raises `ValueError` where it is none."""
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (ValueError, RecursionError, yaml.YAMLError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(reason_of(error)) from error


def load_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with a header, by column name."""
    with _understood(path, "CSV"), path.open(newline="", encoding="utf-8") as file:
        csv.field_size_limit(LONGEST_FIELD)
        return list(csv.DictReader(file, strict=True))


def load_parquet(path: Path) -> "pa.Table":
    """The table of one Parquet file."""
    import pyarrow.parquet as parquet

    with _understood(path, "Parquet"):
        return _sound(parquet.ParquetFile(path).read())


def count_parquet(path: Path) -> int:
    """How many rows a Parquet file has."""
    import pyarrow.parquet as parquet

    with _understood(path, "Parquet"):
        return int(parquet.read_metadata(path).num_rows)


def load_feather(path: Path) -> "pa.Table":
    """The table of one Feather or Arrow file."""
    import pyarrow.feather as feather

    with _understood(path, "Feather"):
        return _sound(feather.read_table(path))


def _sound(table: "pa.Table") -> "pa.Table":
    """The table, which Arrow reads as well where a name stands for several columns, or text isn't UTF-8."""
    name, count = max(Counter(table.column_names).items(), key=lambda each: each[1], default=("", 0))
    if count > 1:
        raise ValueError(f"{count} columns have the name {shortened(name)!r}: rename them")
    table.validate(full=True)  # Arrow takes any bytes for text until that is looked at
    return table


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz` by name, without objects."""
    with _understood(path, "a .npz"), np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def load_matlab(path: Path) -> dict[str, Any]:
    """The variables of a `.mat` before version 7.3, by name."""
    from scipy.io import loadmat

    with _understood(path, "a .mat"):
        return {name: value for name, value in loadmat(path).items() if not name.startswith("__")}


def load_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and text of a safetensors file, as copies: Windows replaces no file that is still mapped into memory."""
    from safetensors import safe_open

    with _understood(path, "safetensors"), safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no dict
        return tensors, dict(file.metadata() or {})


@contextmanager
def _understood(path: Path, kind: str) -> Iterator[None]:
    try:
        check_plain(path)
        yield
    except MemoryError as error:
        raise UnreadableFileError(path, kind, "there is too little memory for it") from error
    except UnicodeDecodeError as error:
        raise UnreadableFileError(path, kind, f"it isn't UTF-8: {error.reason}") from error
    except FAILURES as error:
        raise UnreadableFileError(path, kind, reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """What an outside error says, in a short line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, EOFError):
        return "it ends too early"
    return shortened(" ".join(str(error).split())) or type(error).__name__


def _check_length(path: Path) -> None:
    """Raise `ValueError` where a header promises more than there is, instead of asking for the memory."""
    with path.open("rb") as file:
        if file.read(6) != np.lib.format.MAGIC_PREFIX:
            return  # something else, of which NumPy says what
        file.seek(0)
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
        read_header = read_header or np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which might run code")
        promised = dtype.itemsize
        for side in shape:
            promised *= side
        there = path.stat().st_size - file.tell()
    if min(shape, default=0) < 0 or promised > there:
        raise ValueError(f"its header promises {promised:,} bytes, {there:,} are there")


class _PlainLoader(yaml.SafeLoader):
    """Safe, and without aliases, by which a few lines become gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it has aliases (*name); expected plain values")
        return super().compose_node(parent, index)
