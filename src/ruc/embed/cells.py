"""Neighbours of very many samples: each is compared with the samples of the cells around its own.

The inverted file of Jégou et al. 2011 (*Product quantization for nearest neighbor search*) without the quantisation,
for the case in which every sample asks: those of one cell ask together, so that all is a matrix product a cell. How
many cells have to be searched is not assumed but measured, on samples whose exact neighbours are looked up first.

A CPU that multiplies bfloat16 does it several times as fast as float32, but what comes out is bfloat16 as well. So
some more than the wanted neighbours are taken by it, and compared again in float32.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.embed.centres import find_centres, nearest_centres
from ruc.embed.top import top, top_unordered
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = ["neighbors_in_cells"]

logger = logging.getLogger(__name__)

BLOCK_VALUES = 16 * 1024 * 1024
ROWS_PER_CELL = 64  # from which its centre is found, which needn't be the best
N_PROBES = 1024  # samples whose exact neighbours are looked up: with 256 the recall came out up to 1% lower
WANTED_RECALL = 0.99
MOST_COMPARED = 100_000  # samples with each, even if that misses the wanted recall
CANDIDATES_PER_NEIGHBOR = (
    1.2  # where bfloat16 chooses; of 50 neighbours it then misses none (experiments/LOG.md)
)
ROWS = 20_000
FEW_ROWS = 16  # whose candidates fit the processor's cache


@dataclass(frozen=True)
class _Cells:
    """The samples in the order of their cells.

    Attributes
    ----------
    features
        (n_samples, n_features) as they were given.
    order, lengths
        (n_samples,) which row of the features is where, and the length of each row of the features.
    bounds
        (n_cells + 1,) where each cell begins.
    packed
        The features in that order, of unit length, in half the precision.
    level
        About the similarity of the last neighbour: numbers near zero are the finest.
    """

    features: NDArray[np.floating]
    order: NDArray[np.int64]
    lengths: NDArray[np.float32]
    bounds: NDArray[np.int64]
    packed: Tensor
    level: float


@dataclass(frozen=True)
class _Room:
    """Memory that is used again for every cell: fresh pages would cost as much as the products."""

    others: Tensor
    similar: Tensor


def neighbors_in_cells(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and cosine similarities of nearly all nearest neighbours; the recall is logged.

    Takes one copy of the features in half the precision, in the order of the cells, whatever the number of samples.

    Parameters
    ----------
    features
        (n_samples, n_features) finite rows, in memory or mapped.
    n_neighbors
        How many.
    runtime
        The device, the seed, whether progress is shown.
    """
    n_samples = len(features)
    n_cells = round(n_samples**0.5)
    centres = find_centres(features, n_cells, runtime, "neighbour cells", ROWS_PER_CELL, most_starts=1)
    cell_of, _ = nearest_centres(features, centres)
    around = torch.cdist(centres, centres).argsort(dim=1).cpu().numpy()
    probes, exact, level = _exact_neighbors(features, n_neighbors, runtime)
    n_searched = _how_many_cells(cell_of[probes], cell_of[exact], around, n_samples)
    cells = _pack(features, cell_of, n_cells, level, runtime)
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)
    room = _Room(cells.packed.new_empty(0), cells.packed.new_empty(0))
    with progress("neighbours", n_samples, "samples", runtime.verbose) as advance:
        for cell in range(n_cells):
            first, end = int(cells.bounds[cell]), int(cells.bounds[cell + 1])
            if first == end:
                continue
            places = _places(cells.bounds, around[cell], n_searched, n_neighbors)
            rows = cells.order[first:end]
            indices[rows], similarities[rows] = _search(cells, first, end, places, n_neighbors, room)
            advance(len(rows))
    recall = np.mean([np.isin(one, other).mean() for one, other in zip(exact, indices[probes], strict=True)])
    logger.info(
        "neighbours of %d samples: approximate, %d of %d cells searched for each, recall %.1f%% on %d samples",
        n_samples, n_searched, n_cells, 100 * recall, len(probes),
    )  # fmt: skip
    return indices, similarities


def _exact_neighbors(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Some samples, their nearest neighbours (n_probes, n_neighbors), and the median similarity of the last one."""
    generator = np.random.default_rng(runtime.numpy_seed("neighbour probes"))
    probes = np.sort(generator.choice(len(features), min(N_PROBES, len(features)), replace=False))
    asking, _ = _unit(features[probes], runtime.device)
    best = torch.full((len(probes), n_neighbors), -torch.inf, device=runtime.device)
    found = torch.zeros((len(probes), n_neighbors), dtype=torch.int64, device=runtime.device)
    for start in range(0, len(features), ROWS):
        block, _ = _unit(features[start : start + ROWS], runtime.device)
        similar = asking @ block.T
        own = np.flatnonzero((probes >= start) & (probes < start + ROWS))
        similar[torch.from_numpy(own), torch.from_numpy(probes[own] - start)] = -torch.inf
        here = torch.arange(start, start + len(block), device=runtime.device).expand(len(probes), -1)
        best, chosen = torch.cat([best, similar], dim=1).topk(n_neighbors, dim=1)
        found = torch.cat([found, here], dim=1).gather(1, chosen)
    return probes, found.cpu().numpy(), float(best[:, -1].median())


def _how_many_cells(
    cell_of_probes: NDArray[np.int64],
    cell_of_neighbors: NDArray[np.int64],
    around: NDArray[np.int64],
    n_samples: int,
) -> int:
    """How many of the cells around a sample's own hold 99% of its neighbours, as far as that is affordable."""
    ranks = np.argsort(around[cell_of_probes], axis=1)  # of every cell, as seen from the probe's own
    needed = np.sort(np.take_along_axis(ranks, cell_of_neighbors, axis=1).ravel()) + 1
    affordable = max(1, int(len(around) * MOST_COMPARED / n_samples))
    return min(affordable, int(needed[int(np.ceil(WANTED_RECALL * len(needed))) - 1]))


def _pack(
    features: NDArray[np.floating], cell_of: NDArray[np.int64], n_cells: int, level: float, runtime: Runtime
) -> _Cells:
    """Put the samples in the order of their cells."""
    order = np.argsort(cell_of, kind="stable")
    bounds = np.concatenate([[0], np.bincount(cell_of, minlength=n_cells).cumsum()])
    quick = runtime.device.type == "cpu" and runtime.autocast_dtype == torch.bfloat16
    dtype = torch.bfloat16 if quick else torch.float16
    packed = torch.empty(features.shape, dtype=dtype, device=runtime.device)
    lengths = np.empty(len(features), np.float32)
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        packed[start : start + ROWS], length = _unit(features[rows], runtime.device)
        lengths[rows] = length.cpu().numpy()
    return _Cells(features, order, lengths, bounds, packed, level)


def _unit(rows: NDArray[np.floating], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of unit length in float32, and how long they were."""
    given = torch.from_numpy(np.asarray(rows, np.float32).copy()).to(device)
    lengths = given.norm(dim=1).clamp_min(1e-12)
    return given / lengths[:, None], lengths


def _places(
    bounds: NDArray[np.int64], around: NDArray[np.int64], n_searched: int, n_neighbors: int
) -> NDArray[np.int64]:
    """Where the samples of the nearest cells are: the wanted number of cells, and more where these are too empty."""
    sizes = np.diff(bounds)[around].cumsum()
    n_searched = max(n_searched, int(np.searchsorted(sizes, n_neighbors + 1)) + 1)
    return np.concatenate([np.arange(bounds[c], bounds[c + 1]) for c in np.sort(around[:n_searched])])


def _search(
    cells: _Cells, first: int, end: int, places: NDArray[np.int64], n_neighbors: int, room: _Room
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest of the samples at `places` for each of those from `first` to `end`: rows of the features."""
    own = int(np.searchsorted(places, first)) - first  # a cell is always among those around it
    quick = cells.packed.dtype == torch.bfloat16
    there = torch.from_numpy(places).to(cells.packed.device)
    others = torch.index_select(cells.packed, 0, there, out=room.others.resize_(0))
    others = others if quick else others.float()
    found, similarities = [], []
    step = max(1, BLOCK_VALUES // len(places))
    for low in range(first, end, step):
        rows = torch.arange(low, min(low + step, end), device=others.device)
        if quick:
            similar = _quickly(others, cells.packed[rows], cells.level, room)
            similar[rows - low, rows + own] = -torch.inf
            n_candidates = min(round(CANDIDATES_PER_NEIGHBOR * n_neighbors), len(places) - 1)
            candidates = cells.order[places[top_unordered(similar, n_candidates).numpy()]]
            values = _compare(cells, cells.order[rows.numpy()], candidates)
            best = np.argsort(-values, axis=1, kind="stable")[:, :n_neighbors]
            found.append(np.take_along_axis(candidates, best, axis=1))
            similarities.append(np.take_along_axis(values, best, axis=1))
        else:
            similar = cells.packed[rows].float() @ others.T
            similar[rows - low, rows + own] = -torch.inf
            largest, columns = top(similar, n_neighbors)
            found.append(cells.order[places[columns.cpu().numpy()]])
            similarities.append(largest.cpu().numpy())
    return np.concatenate(found), np.concatenate(similarities).clip(-1.0, 1.0)


def _quickly(others: Tensor, rows: Tensor, level: float, room: _Room) -> Tensor:
    """(n_rows, n_others) similarities above a level, in bfloat16: twice as fast with the many as the left factor."""
    around = torch.tensor([level], dtype=others.dtype)
    return torch.addmm(around, others, rows.T, beta=-1, out=room.similar.resize_(0)).T


def _compare(cells: _Cells, rows: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n_rows, n_candidates) cosine similarities in float32."""
    similar = np.empty(candidates.shape, np.float32)
    for start in range(0, len(rows), FEW_ROWS):
        few, theirs = rows[start : start + FEW_ROWS], candidates[start : start + FEW_ROWS]
        asking, asked = cells.features[few][:, :, None], cells.features[theirs]
        similar[start : start + FEW_ROWS] = np.matmul(asked, asking)[:, :, 0]
        similar[start : start + FEW_ROWS] /= cells.lengths[few][:, None] * cells.lengths[theirs]
    return similar
