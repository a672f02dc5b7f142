"""Arrays in files that are mapped into memory: only what is looked at is there, and it's given back afterwards."""

import mmap
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def row_blocks(rows: NDArray[np.generic], n_rows: int) -> Iterator[slice]:
    """Which rows to look at next, at most `n_rows` of them, from the first to the last; see `let_go`."""
    for start in range(0, len(rows), n_rows):
        yield slice(start, min(start + n_rows, len(rows)))
        let_go(rows)


def let_go(array: NDArray[np.generic]) -> None:
    """Give back the memory of what was looked at of a mapped file; looked at again, it's read again.

    Nothing must have been written to the array. Nothing is done for one that isn't mapped, nor where the system has no
    such call, as Windows.
    """
    inner: object = array
    while isinstance(inner, np.ndarray):
        inner = inner.base
    if isinstance(inner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        inner.madvise(mmap.MADV_DONTNEED)
