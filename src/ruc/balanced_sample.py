"""A part of very many samples to fit on, in which small groups are nearly whole."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.given_features import BLOCK_ROWS, Loaded, load_named
from ruc.neighbors.centres import find_centres, nearest_centres
from ruc.readers import count_parquet
from ruc.runtime import Runtime
from ruc.tables.embeddings import holds_embeddings, shard_files
from ruc.tables.kinds import kind_of

logger = logging.getLogger(__name__)

N_CELLS: Final = 256  # a group that fills a part of one of them is taken whole, as long as others have more
LEAST_OF_A_CELL: Final = 50  # in the mean
ROWS_PER_CELL: Final = 256  # from which its centre is found
N_STEPS: Final = 20


@dataclass(frozen=True)
class Sample:
    """Some of the samples.

    Attributes
    ----------
    values
        (n_samples, n_features), in the order of all.
    names
        What they are called, or their row numbers among all.
    n_all
        How many samples there are in all.
    """

    values: NDArray[np.generic]
    names: tuple[str, ...]
    n_all: int


def balanced_sample(path: Path, n_wanted: int, runtime: Runtime) -> Sample:
    """Draw samples that are spread evenly over where there are some, a shard in memory at a time.

    A coarse k-means divides them into cells, of which each gives what it has, up to the number by which all together
    give `n_wanted`; within a cell they are drawn at random.

    `path`: features, see `load_named`. `n_wanted`: how many; all where there are no more.

    Raises
    ------
    InputError
        As `load_named` does, or shards are of different widths.
    """
    n_all = _count(path)
    if n_wanted >= n_all:
        return _pick(path, np.arange(n_all), n_all)
    generator = np.random.default_rng(runtime.numpy_seed("part to fit on"))
    n_cells = min(N_CELLS, -(-n_wanted // LEAST_OF_A_CELL))
    some = np.sort(generator.choice(n_all, min(n_all, ROWS_PER_CELL * n_cells), replace=False))
    few = np.asarray(_pick(path, some, n_all).values, np.float32)
    centres = find_centres(few, n_cells, runtime, "part to fit on", ROWS_PER_CELL, 1, N_STEPS)
    cells = [nearest_centres(np.asarray(block.values, np.float32), centres)[0] for block in _blocks(path)]
    rows = np.sort(_evenly(np.concatenate(cells), n_wanted, generator))
    logger.info("fitting on %d of %d samples, drawn evenly from %d cells", n_wanted, n_all, n_cells)
    return _pick(path, rows, n_all)


def _evenly(cells: NDArray[np.int64], n_wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """`n_wanted` rows, as many of each cell as it has, up to what makes that number."""
    order = generator.permutation(len(cells))
    by_cell = order[np.argsort(cells[order], kind="stable")]
    sizes = np.bincount(cells)
    rank = np.arange(len(cells)) - (np.cumsum(sizes) - sizes)[cells[by_cell]]  # of each within its cell
    turn = np.argsort(
        rank, kind="stable"
    )  # the first of every cell, the second of every cell that has one, …
    chosen: NDArray[np.int64] = by_cell[turn[:n_wanted]]
    return chosen


def _pick(path: Path, rows: NDArray[np.int64], n_all: int) -> Sample:
    """These rows, in rising order."""
    values: list[NDArray[np.generic]] = []
    names: list[str] = []
    first = 0
    for block in _blocks(path):
        end = first + len(block.values)
        here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)]
        values.append(np.asarray(block.values[here - first]))
        numbers = here.tolist()
        names.extend(
            map(str, numbers)
            if block.row_names is None
            else (block.row_names[row - first] for row in numbers)
        )
        first = end
    return Sample(np.concatenate(values), tuple(names), n_all)


def _count(path: Path) -> int:
    """How many samples there are; of shards by what they say, without reading them."""
    if holds_embeddings(path) and all(kind_of(shard) == "Parquet" for shard in shard_files(path)):
        return sum(map(count_parquet, shard_files(path)))
    return sum(len(block.values) for block in _blocks(path))


def _blocks(path: Path) -> Iterator[Loaded]:
    """The features, shard by shard."""
    if holds_embeddings(path):
        widths: set[int] = set()
        for shard in shard_files(path):
            loaded = load_named(shard)
            widths.add(loaded.values.shape[1])
            if len(widths) > 1:
                raise InputError(
                    f"--features {shard}: holds {loaded.values.shape[1]} features a row, and shards before "
                    "it another number; expected shards of one embedding"
                )
            yield loaded
        return
    loaded = load_named(path)
    for start in range(0, len(loaded.values), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield Loaded(loaded.values[rows], None if loaded.row_names is None else loaded.row_names[rows])
