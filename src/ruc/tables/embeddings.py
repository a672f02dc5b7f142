"""Tables of embeddings: a Parquet or Feather file, or a folder of such shards, with columns of names and of vectors.

As `ruc embed -o folder/` writes them, and polars, DuckDB, pandas, LanceDB and pyarrow: lists, large lists or lists of
fixed size, of float16, float32 or float64.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.readers import load_feather, load_parquet
from ruc.tables.kinds import kind_of
from ruc.tables.names import column_of_names, heading_of_names
from ruc.tables.table import cell_text, columns_of_arrow

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

VECTORS: Final = (
    "embedding"  # how the column is called here; in a table of others any one column of lists will do
)
SHARD_ROWS: Final = 100_000
ARROW: Final = ("Parquet", "Feather")
PANDAS_INDEX: Final = "__index_level_0__"  # what pandas calls an index without a name


@dataclass(frozen=True)
class Embeddings:
    """The rows of all shards, in the order of the shards' names.

    Attributes
    ----------
    values
        (n_rows, n_features), of the type that they were stored in.
    file_names
        n_rows names, or None where there is no column of them.
    """

    values: NDArray[np.floating]
    file_names: tuple[str, ...] | None


def holds_embeddings(path: Path) -> bool:
    """Whether this is a folder, or a file in Arrow's formats."""
    return path.is_dir() or (path.is_file() and kind_of(path) in ARROW)


def shard_files(path: Path) -> list[Path]:
    """The shards in a folder and below, by name; a file is its only one.

    Raises
    ------
    InputError
        There is none, or `ruc embed --ray` has left some unfinished.
    """
    if not path.is_dir():
        return [path]
    if (unfinished := next(path.rglob(".*.unfinished"), None)) is not None:
        raise InputError(
            f"--features {path}: {unfinished.name} is unfinished; expected whole shards: give the command that "
            "makes it again, or remove it"
        )
    shards = sorted(part for part in path.rglob("*.parquet") if part.is_file() and not _is_other(path, part))
    if not shards:
        raise InputError(
            f"--features {path}: is a folder without .parquet files; expected shards with file_name and embedding"
        )
    return shards


def _is_other(folder: Path, part: Path) -> bool:
    """Whether it is hidden, or a table beside the shards."""
    inside = part.relative_to(folder).parts
    return part.name.startswith(("_", "skipped")) or any(name.startswith(".") for name in inside)


def read_embeddings(path: Path, images: Sequence[str] | None = None) -> Embeddings:
    """Read all shards; the memory is that of the values alone.

    The column of names is known by its heading or is the index of pandas; where `images` tells the names it's known by
    its values too, as `image.path` of `datasets`.

    Raises
    ------
    InputError
        There is no shard, no column of vectors or several, a row without one, rows of different lengths, or columns of
        which it can't be told whether they name the images.
    """
    shards = shard_files(path)
    values: list[NDArray[np.floating]] = []
    names: list[list[str] | None] = []
    for shard in shards:
        table = load_parquet(shard) if kind_of(shard) == "Parquet" else load_feather(shard)
        part = _vectors(shard, table)
        if values and part.shape[1] != values[0].shape[1]:
            raise InputError(
                f"--features {shard}: holds {part.shape[1]} features a row, and {shards[0].name} {values[0].shape[1]}; "
                "expected shards of one embedding"
            )
        values.append(part)
        names.append(_names(shard, table, images))
    named = [each for each in names if each is not None]
    if named and len(named) < len(names):
        without = shards[next(number for number, each in enumerate(names) if each is None)]
        raise InputError(f"--features {without}: has no column of file names, and other shards have")
    joined = values[0] if len(values) == 1 else np.concatenate(values)
    return Embeddings(joined, tuple(name for each in named for name in each) if named else None)


def shards_of(
    file_names: Sequence[str], features: NDArray[np.floating], hashes: Sequence[str]
) -> "Iterator[tuple[str, pa.Table]]":
    """Names and tables of the shards that hold these rows, see `shard_of`."""
    for number, start in enumerate(range(0, len(features), SHARD_ROWS)):
        rows = slice(start, start + SHARD_ROWS)
        yield f"part-{number:05}.parquet", shard_of(file_names[rows], features[rows], hashes[rows])


def shard_of(file_names: Sequence[str], features: NDArray[np.floating], hashes: Sequence[str]) -> "pa.Table":
    """One table of these rows: `file_name`, `embedding` and `content_hash` (SHA-1)."""
    import pyarrow as pa

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    return pa.table(
        {
            "file_name": pa.array(file_names, pa.string()),
            VECTORS: vectors,
            "content_hash": pa.array(hashes, pa.string()),
        }
    )


def _vectors(path: Path, table: "pa.Table") -> NDArray[np.floating]:
    """(n_rows, n_features) of the table's one column of vectors."""
    import pyarrow as pa
    import pyarrow.compute as compute

    lists = [field.name for field in table.schema if _is_list(pa.types, field.type)]
    if len(lists) > 1 and VECTORS in lists:
        lists = [VECTORS]
    if len(lists) != 1:
        found = ", ".join(lists) or "none"
        raise InputError(
            f"--features {path}: columns of vectors: {found}; expected one, or one that is called {VECTORS!r}"
        )
    column = table.column(lists[0]).combine_chunks()
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(f"--features {path}: row {row} has no {lists[0]}; expected a vector in each row")
    lengths = np.unique(compute.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(lengths) != 1:
        raise InputError(
            f"--features {path}: vectors of {lengths.min()} to {lengths.max()} values; expected one length"
            if len(lengths)
            else f"--features {path}: holds no row; expected a row an image"
        )
    flat = column.flatten()
    if flat.null_count:
        raise InputError(f"--features {path}: a vector has missing values; expected numbers alone")
    return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(column), int(lengths[0]))


def _is_list(types: Any, kind: "pa.DataType") -> bool:
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))


def _names(path: Path, table: "pa.Table", images: Sequence[str] | None) -> list[str] | None:
    import pyarrow as pa

    plain = {field.name: field.type for field in table.schema if not pa.types.is_struct(field.type)}
    heading = heading_of_names(plain)
    if heading is None and plain.get(PANDAS_INDEX) in (pa.string(), pa.large_string()):
        heading = PANDAS_INDEX
    if heading is not None:
        return [cell_text(name) for name in table.column(heading).to_pylist()]
    found = None if images is None else column_of_names(str(path), columns_of_arrow(table)[0], images)
    if found is None:
        return None
    logger.info(
        "%s: the column %r names the rows, since its values are names of the images", path, found.heading
    )
    return [name.strip() for name in found.cells]
