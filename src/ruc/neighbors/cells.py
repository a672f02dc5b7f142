"""Neighbours of very many samples: each is compared with those of the cells whose centres are nearest to it.

The inverted file of Jégou et al. 2011 (*Product quantization for nearest neighbor search*) without the quantisation,
for the case in which every sample asks: those that search a cell search it together, so that all is a matrix product
a cell. How many cells have to be searched is not assumed but measured, on samples whose exact neighbours are looked
up first.

What a sample finds in its own cell says how similar another must be at least. So of each product only the few values
above that bound are kept, and the nearest of these are compared again in float32: the product may be in bfloat16,
which a CPU that has it multiplies several times as fast.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from ruc.neighbors.centres import find_centres, nearest_centres
from ruc.neighbors.top import positive, top_unordered
from ruc.progress import progress
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

BLOCK_VALUES = 1024 * 1024  # of larger products each would be written to fresh pages
ROWS_PER_CELL, N_STEPS = 64, 20  # from which, and in which, its centre is found, which needn't be the best
N_PROBES = 1024  # samples whose exact neighbours are looked up: with 256 the recall came out up to 1% lower
WANTED_RECALL = 0.99  # of neighbours; what less costs: experiments/LOG.md, "neighbours of very many samples"
MOST_COMPARED = 50_000  # samples with each, even if that misses the wanted recall
CANDIDATES_PER_NEIGHBOR = (
    1.2  # where bfloat16 chooses; of 50 neighbours it then misses none (experiments/LOG.md)
)
BOUND_SAMPLES = 2_000  # of the nearest cells, among which a sample finds the bound for all others
ROUNDING = 0.004  # as far as bfloat16 moves a similarity and a bound at most, together
ASKERS = 32_768  # samples that search at the same time
MOST_PAIRS = 16 * 1024 * 1024  # held of what they find: of common features it's half of that
BLOCK_ROWS = 20_000  # at a time, for the memory
SIDE = (
    256  # sides of products are multiples of it: a CPU keeps a kernel, a megabyte, for each of 1,024 shapes
)
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
    centres
        (n_cells, n_features) float32.
    packed
        The features in that order, of unit length, in half the precision.
    """

    features: NDArray[np.floating]
    order: NDArray[np.int64]
    lengths: NDArray[np.float32]
    bounds: NDArray[np.int64]
    centres: Tensor
    packed: Tensor

    def members(self, cell: int) -> Tensor:
        """The samples of one cell, as they are packed."""
        return self.packed[self.bounds[cell] : self.bounds[cell + 1]]


@dataclass(frozen=True)
class _Found:
    """Pairs of a sample that asks, by its number among these, and the place of one that is similar enough to it."""

    askers: NDArray[np.int32]
    places: NDArray[np.int32]
    similarities: NDArray[np.float32]

    def best(self, n_askers: int, n_wanted: int) -> tuple["_Found", NDArray[np.int64]]:
        """The most similar of each asker, best first, and which rank each of these has."""
        best_first = np.argsort(4.0 * self.askers - self.similarities)  # which differ by less than 4
        askers = self.askers[best_first]
        ranks = np.arange(len(askers)) - np.searchsorted(askers, np.arange(n_askers))[askers]
        kept = best_first[ranks < n_wanted]
        return _Found(self.askers[kept], self.places[kept], self.similarities[kept]), ranks[ranks < n_wanted]

    @classmethod
    def together(cls, parts: list["_Found"]) -> "_Found":
        """All pairs of several."""
        return cls(
            np.concatenate([part.askers for part in parts]),
            np.concatenate([part.places for part in parts]),
            np.concatenate([part.similarities for part in parts]),
        )


def neighbors_in_cells(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and cosine similarities of nearly all nearest neighbours; the recall is logged.

    Takes one copy of the features in half the precision, in the order of the cells, whatever the number of samples.

    `features`: (n_samples, n_features) finite rows, in memory or mapped.
    """
    n_samples = len(features)
    n_cells = round(n_samples**0.5)
    centres = find_centres(features, n_cells, runtime, "neighbour cells", ROWS_PER_CELL, 1, N_STEPS)
    cell_of, _ = nearest_centres(features, centres)
    probes, exact = _exact_neighbors(features, n_neighbors, runtime)
    asking, _ = _unit(features[probes], runtime.device)
    n_searched = _how_many_cells(_closeness(asking, centres), cell_of[exact], n_samples)
    cells = _pack(features, cell_of, centres, runtime)
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)
    n_candidates = min(round(CANDIDATES_PER_NEIGHBOR * n_neighbors), n_samples - 1)
    pools = _pools(cells, n_candidates)
    n_searched = max(n_searched, *map(len, pools))
    with progress("neighbours", n_samples, "samples", runtime.verbose) as advance:
        for first in range(0, n_samples, ASKERS):
            end = min(first + ASKERS, n_samples)
            found = _search(cells, first, end, pools, n_searched, n_candidates)
            rows = cells.order[first:end]
            indices[rows], similarities[rows] = _nearest(cells, first, end, found, n_neighbors, n_candidates)
            advance(end - first)
    recall = np.mean([np.isin(one, other).mean() for one, other in zip(exact, indices[probes], strict=True)])
    logger.info(
        "neighbours of %d samples: approximate, %d of %d cells searched for each, recall %.1f%% on %d samples",
        n_samples, n_searched, n_cells, 100 * recall, len(probes),
    )  # fmt: skip
    return indices, similarities


def _exact_neighbors(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Some samples, and their nearest neighbours (n_probes, n_neighbors)."""
    generator = np.random.default_rng(runtime.numpy_seed("neighbour probes"))
    probes = np.sort(generator.choice(len(features), min(N_PROBES, len(features)), replace=False))
    asking, _ = _unit(features[probes], runtime.device)
    best = torch.full((len(probes), n_neighbors), -torch.inf, device=runtime.device)
    found = torch.zeros((len(probes), n_neighbors), dtype=torch.int64, device=runtime.device)
    for start in range(0, len(features), BLOCK_ROWS):
        block, _ = _unit(features[start : start + BLOCK_ROWS], runtime.device)
        similar = asking @ block.T
        own = np.flatnonzero((probes >= start) & (probes < start + BLOCK_ROWS))
        similar[torch.from_numpy(own), torch.from_numpy(probes[own] - start)] = -torch.inf
        here = torch.arange(start, start + len(block), device=runtime.device).expand(len(probes), -1)
        best, chosen = torch.cat([best, similar], dim=1).topk(n_neighbors, dim=1)
        found = torch.cat([found, here], dim=1).gather(1, chosen)
    return probes, found.cpu().numpy()


def _closeness(rows: Tensor, centres: Tensor) -> Tensor:
    """(n_rows, n_centres) larger where the distance is smaller."""
    return torch.addmm(centres.square().sum(dim=1) / 2, rows, centres.T, beta=-1)


def _how_many_cells(closeness: Tensor, cell_of_neighbors: NDArray[np.int64], n_samples: int) -> int:
    """How many of the nearest cells hold 99% of some samples' neighbours, as far as that is affordable."""
    n_cells = closeness.shape[1]
    ranks = closeness.argsort(dim=1, descending=True).argsort(dim=1).cpu().numpy()
    needed = np.sort(np.take_along_axis(ranks, cell_of_neighbors, axis=1).ravel()) + 1
    affordable = max(1, int(n_cells * MOST_COMPARED / n_samples))
    return min(affordable, int(needed[int(np.ceil(WANTED_RECALL * len(needed))) - 1]))


def _pack(
    features: NDArray[np.floating], cell_of: NDArray[np.int64], centres: Tensor, runtime: Runtime
) -> _Cells:
    """Put the samples in the order of their cells."""
    order = np.argsort(cell_of, kind="stable")
    bounds = np.concatenate([[0], np.bincount(cell_of, minlength=len(centres)).cumsum()])
    quick = runtime.device.type == "cpu" and runtime.autocast_dtype == torch.bfloat16
    dtype = torch.bfloat16 if quick else torch.float16
    packed = torch.empty(features.shape, dtype=dtype, device=runtime.device)
    lengths = np.empty(len(features), np.float32)
    for start in range(0, len(order), BLOCK_ROWS):
        rows = order[start : start + BLOCK_ROWS]
        packed[start : start + BLOCK_ROWS], length = _unit(features[rows], runtime.device)
        lengths[rows] = length.cpu().numpy()
    return _Cells(features, order, lengths, bounds, centres, packed)


def _unit(rows: NDArray[np.floating], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of unit length in float32, and how long they were."""
    given = torch.from_numpy(np.asarray(rows, np.float32).copy()).to(device)
    lengths = given.norm(dim=1).clamp_min(1e-12)
    return given / lengths[:, None], lengths


def _pools(cells: _Cells, n_candidates: int) -> list[NDArray[np.int64]]:
    """For each cell itself, and with it the nearest others where it has too few samples for the candidates."""
    around = torch.cdist(cells.centres, cells.centres).fill_diagonal_(-1).argsort(dim=1).cpu().numpy()
    sizes = np.diff(cells.bounds)[around].cumsum(axis=1)
    enough = np.minimum((sizes <= max(n_candidates, BOUND_SAMPLES)).sum(axis=1) + 1, len(around))
    return [near[:n] for near, n in zip(around, enough, strict=True)]


def _search(
    cells: _Cells,
    first: int,
    end: int,
    pools: list[NDArray[np.int64]],
    n_searched: int,
    n_candidates: int,
) -> _Found:
    """What the samples from `first` to `end` find in the cells nearest to each: at least `n_candidates`."""
    n_cells, n_askers = len(pools), end - first
    nearest = np.empty((n_askers, n_searched), np.int32)
    bounds = torch.empty(n_askers, dtype=_dtype(cells.packed), device=cells.packed.device)
    for cell in range(n_cells):
        low, high = max(first, int(cells.bounds[cell])), min(end, int(cells.bounds[cell + 1]))
        if low < high:
            rows = cells.packed[low:high]
            nearest[low - first : high - first] = _nearest_cells(cells, rows, pools[cell], n_searched)
            bounds[low - first : high - first] = _bounds(cells, rows, pools[cell], n_candidates)
    by_cell = np.argsort(nearest, axis=None, kind="stable")
    ends = np.searchsorted(nearest.ravel()[by_cell], np.arange(n_cells + 1))
    found: list[_Found] = []
    for cell in range(n_cells):
        asking = by_cell[ends[cell] : ends[cell + 1]] // n_searched
        n_members = int(cells.bounds[cell + 1] - cells.bounds[cell])
        step = max(SIDE, BLOCK_VALUES // max(1, n_members) // SIDE * SIDE)
        for start in range(0, len(asking) if n_members else 0, step):
            found.append(_search_cell(cells, cell, first, asking[start : start + step], bounds))
            if sum(len(part.askers) for part in found) > MOST_PAIRS:
                found = [_crowded(_Found.together(found), bounds, n_candidates)]
    return _Found.together(found)


def _nearest_cells(
    cells: _Cells, rows: Tensor, pool: NDArray[np.int64], n_searched: int
) -> NDArray[np.int64]:
    """(n_rows, n_searched) cells, those of the pool among them."""
    closeness = _closeness(rows.float(), cells.centres)
    closeness[:, torch.from_numpy(pool).to(rows.device)] = torch.inf
    nearest: NDArray[np.int64] = closeness.topk(n_searched, dim=1).indices.cpu().numpy()
    return nearest


def _bounds(cells: _Cells, rows: Tensor, pool: NDArray[np.int64], n_candidates: int) -> Tensor:
    """(n_rows,) how similar a sample must be to be among the nearest that a row finds near its own cell."""
    members = torch.cat([cells.members(cell) for cell in pool])
    asking = _padded(rows)
    similar = _product(_padded(members), asking, asking.new_zeros(len(asking)))[: len(members), : len(rows)].T
    nearest = top_unordered(similar, n_candidates + 1)  # it finds itself, too
    return similar.gather(1, nearest).amin(dim=1).float() - ROUNDING


def _search_cell(cells: _Cells, cell: int, first: int, asking: NDArray[np.int64], bounds: Tensor) -> _Found:
    """What the samples that search this cell find in it, except themselves."""
    place, end = int(cells.bounds[cell]), int(cells.bounds[cell + 1])
    askers = torch.from_numpy(np.pad(asking, (0, -len(asking) % SIDE))).to(bounds.device)
    around = cells.packed[place : end + (place - end) % SIDE]
    above = _product(around, cells.packed[first + askers], bounds[askers])
    members, columns = positive(above[: end - place, : len(asking)])
    askers, places = askers[columns], members + place
    similar = above[members, columns].float() + bounds[askers].float()
    other = first + askers != places
    return _Found(
        askers[other].to(torch.int32).cpu().numpy(),
        places[other].to(torch.int32).cpu().numpy(),
        similar[other].cpu().numpy(),
    )


def _crowded(found: _Found, bounds: Tensor, n_candidates: int) -> _Found:
    """Only the best that was found. Whoever has enough of them looks for still better ones: `bounds` is raised."""
    best, ranks = found.best(len(bounds), n_candidates)
    last = ranks == n_candidates - 1
    raised = torch.from_numpy(best.similarities[last]).to(bounds.device) + ROUNDING
    bounds[torch.from_numpy(best.askers[last]).long().to(bounds.device)] = raised.to(bounds.dtype)
    return best


def _padded(rows: Tensor) -> Tensor:
    return pad(rows, (0, 0, 0, -len(rows) % SIDE))


def _product(members: Tensor, rows: Tensor, bounds: Tensor) -> Tensor:
    """(n_members, n_rows) similarities above the row's bound; numbers near zero are the finest.

    In bfloat16 it's twice as fast with the many as the left factor.
    """
    dtype = _dtype(members)
    return torch.addmm(bounds.to(dtype), members.to(dtype), rows.to(dtype).T, beta=-1)


def _dtype(packed: Tensor) -> torch.dtype:
    """In which half precision is multiplied."""
    return torch.bfloat16 if packed.dtype == torch.bfloat16 else torch.float32


def _nearest(
    cells: _Cells, first: int, end: int, found: _Found, n_neighbors: int, n_candidates: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of what was found the nearest, as rows of the features, and how similar they are."""
    best, ranks = found.best(end - first, n_candidates)
    candidates = np.full((end - first, n_candidates), -1)
    candidates[best.askers, ranks] = cells.order[best.places]
    similar = _compare(cells, cells.order[first:end], candidates)
    similar[candidates < 0] = -np.inf
    first_best = np.argsort(-similar, axis=1, kind="stable")[:, :n_neighbors]
    indices, similarities = (np.take_along_axis(each, first_best, axis=1) for each in (candidates, similar))
    return indices, similarities.clip(-1.0, 1.0)


def _compare(cells: _Cells, rows: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n_rows, n_candidates) cosine similarities in float32."""
    similar = np.empty(candidates.shape, np.float32)
    for start in range(0, len(rows), FEW_ROWS):
        few, theirs = rows[start : start + FEW_ROWS], candidates[start : start + FEW_ROWS]
        asking, asked = cells.features[few][:, :, None], cells.features[theirs]
        similar[start : start + FEW_ROWS] = np.matmul(asked, asking)[:, :, 0]
        similar[start : start + FEW_ROWS] /= cells.lengths[few][:, None] * cells.lengths[theirs]
    return similar
