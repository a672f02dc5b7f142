"""Mapped arrays, and the memory that they take."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from ruc.mapped import let_go, row_blocks, rows_at
from ruc.readers import load_npy

STATUS = Path("/proc/self/status")
needs_linux = pytest.mark.skipif(
    not (STATUS.exists() and hasattr(mmap, "MADV_DONTNEED")), reason="memory is told by Linux alone"
)


def of_files() -> int:
    """MiB of this process's memory that are pages of files, on a disk or in shared memory."""
    lines = [line for line in STATUS.read_text().splitlines() if line.startswith(("RssFile", "RssShmem"))]
    return sum(int(line.split()[1]) for line in lines) // 1024


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    np.save(tmp_path / "rows.npy", np.arange(64 * 2**18, dtype=np.float32).reshape(-1, 2**10))  # 64 MiB
    return load_npy(tmp_path / "rows.npy", mapped=True)


@needs_linux
def test_what_was_looked_at_is_given_back_and_read_again(mapped: np.ndarray) -> None:
    before = of_files()
    total = mapped.sum(dtype=np.float64)
    assert of_files() - before > 50
    let_go(mapped[5:].T)  # a part of it is the same file
    assert of_files() - before < 10
    assert mapped.sum(dtype=np.float64) == total


@needs_linux
def test_blocks_are_all_rows_and_never_together_in_memory(mapped: np.ndarray) -> None:
    before, most, total = of_files(), 0, 0.0
    for part in row_blocks(mapped, 1000):
        total += mapped[part].sum(dtype=np.float64)
        most = max(most, of_files() - before)
    assert total == np.arange(64 * 2**18, dtype=np.float64).sum()
    assert most < 20


def test_arrays_in_memory_are_left_alone() -> None:
    rows = np.ones((5, 2))
    assert list(row_blocks(rows, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    let_go(rows)
    assert (rows == 1).all()


@pytest.mark.parametrize("as_array", [False, True])
def test_what_a_caller_wrote_into_a_map_stays(tmp_path: Path, as_array: bool) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((3000, 8), np.float32))
    copied = np.load(tmp_path / "rows.npy", mmap_mode="c")  # written to memory, and never to the file
    copied[:] = 1
    let_go(np.asarray(copied)[5:] if as_array else copied)
    assert (copied == 1).all()
    private = np.frombuffer(mmap.mmap(-1, 2**14, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
    private[:] = 1
    let_go(private)
    assert (private == 1).all()


@needs_linux
def test_rows_at_places_are_looked_at_block_by_block(mapped: np.ndarray) -> None:
    before = of_files()
    places = np.array([0, 5, 6, 4000, 4095, 8191, 8192, 16383])
    found = rows_at(mapped, places, 4096)
    assert of_files() - before < 10
    np.testing.assert_array_equal(found, np.asarray(mapped)[places])
    assert rows_at(mapped, np.zeros(0, np.int64), 4096).shape == (0, 1024)
