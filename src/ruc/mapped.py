"""Arrays in files that are mapped into memory: only what is looked at is there, and it's given back afterwards."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class FileOnly(np.memmap[Any, Any]):
    """A mapped file to which nothing is written, not in memory either, though it might be."""


def row_blocks(rows: NDArray[np.generic], n_rows: int) -> Iterator[slice]:
    """Which rows to look at next, at most `n_rows` of them, from the first to the last; see `let_go`."""
    for start in range(0, len(rows), n_rows):
        yield slice(start, min(start + n_rows, len(rows)))
        let_go(rows)


def rows_at(rows: NDArray[np.generic], places: NDArray[np.int64], n_rows: int) -> NDArray[Any]:
    """A copy of the rows at ascending places, looked at in blocks of at most `n_rows` of the rows; see `let_go`."""
    found = np.empty((len(places), *rows.shape[1:]), rows.dtype)
    for part in row_blocks(rows, n_rows):
        first, end = np.searchsorted(places, [part.start, part.stop])
        found[first:end] = rows[places[first:end]]
    return found


def let_go(array: NDArray[np.generic]) -> None:
    """Give back the memory of what was looked at of a mapped file; looked at again, it's read again.

    Nothing is done for an array that isn't mapped, nor for a map of somebody else's whose changes are in memory alone
    (mode "c": they would be lost), nor where the system has no such call, as Windows.
    """
    inner: object = array
    is_whole_in_file = False
    while isinstance(inner, np.ndarray):
        is_whole_in_file |= isinstance(inner, FileOnly) or (
            isinstance(inner, np.memmap) and inner.mode != "c"
        )
        inner = inner.base
    if is_whole_in_file and isinstance(inner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        inner.madvise(mmap.MADV_DONTNEED)
