"""Neighbours of very many samples: each is compared with those of the cells whose centres are nearest to it.

The inverted file of Jégou et al. 2011 (*Product quantization for nearest neighbor search*) without the quantisation,
for the case in which every sample asks: those that search a cell search it together, so that all is a matrix product
a cell.

What a sample finds in its own cell says how similar another must be at least. So of each product only the few values
above that bound are kept, and a cell is searched where its centre comes close enough to the bound: samples in crowds
search few cells, lonely ones many. How close is not assumed but measured, on samples whose exact neighbours are looked
up first. The nearest that were found are compared as they are: the products are along the directions in which the
samples are longest alone, a few of very many features, and in bfloat16 where these are still many and the hardware
multiplies it. How few will do is measured on the same samples.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from ruc.mapped import row_blocks, rows_at
from ruc.neighbors.centres import find_centres, nearest_centres
from ruc.neighbors.top import positive, top_unordered
from ruc.progress import progress
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

BLOCK_VALUES = 1024 * 1024  # of larger products each would be written to fresh pages
CELLS = (
    2.0  # times the root of the samples: of finer ones fewer samples have to be compared (experiments/LOG.md)
)
ROWS_PER_CELL, N_STEPS = 64, 10  # from which, and in which, its centre is found, which needn't be the best
N_PROBES = 1024  # samples whose exact neighbours are looked up: with 256 the recall came out up to 1% lower
WANTED_RECALL = 0.99  # of neighbours; what less costs: experiments/LOG.md, "neighbours of very many samples"
MOST_COMPARED = 50_000  # samples with each, even if that misses the wanted recall
DIRECTIONS = (64, 96, 128, 192, 256, 384)  # which numbers of them are tried, the first that will do
CANDIDATES_PER_NEIGHBOR = (1.25, 1.5, 2.0)  # that these choose, as few as will do (experiments/LOG.md)
WANTED_AMONG_THEM = 0.995  # of the neighbours
WORTH_IT = 1.5  # times as many features, for a second comparison to cost less than it saves
DIRECTION_PROBES = 4  # every fourth of the probes tells
MOST_LOOKED_AT = 20_000  # samples whose leading directions stand for those of all
WORTH_ROUNDING = 192  # directions, whose products take most of the time (the same, "neighbours in bfloat16")
BOUND_SAMPLES = 2_000  # of the nearest cells, among which a sample finds the bound for all others
BOUND_GROUP = 4  # of these of which the nearest stands for all: the bound is hardly lower, and found sooner
LIKE_MEMBERS, LIKE_PLACES = 64, 128  # what the numbers of rows of products in bfloat16 are multiples of
# Of how many numbers of a precision a bound is the sum, and how far that moves a similarity and the bound at most.
BOUND_PARTS = {torch.float32: 1, torch.bfloat16: 2}
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 1e-5}
ASKERS = 32_768  # samples that search at the same time
MOST_PAIRS = 16 * 1024 * 1024  # held of what they find: of common features it's half of that
BLOCK_ROWS = 20_000  # at a time, for the memory
BLOCK_COLUMNS = 16  # of 64 bytes, as much as comes from memory at once
SHARED_ROWS = 1024  # of one cell, which have many candidates in common
TURN_ROWS = 400_000  # of a mapped file, of which candidates are read at a time: each brings its surroundings
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
        (n_cells, n_directions) float32, of samples that are of unit length as they are seen along the directions.
    packed
        (n_samples, n_directions + n_parts) in the precision of the products: the features in that order, of unit length
        before they were seen along a few directions. Behind them is -1, for the parts of a bound that a product with
        them is to be less.
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

    def seen(self, packed: Tensor) -> Tensor:
        """Packed rows without what is behind them."""
        return packed[:, : self.centres.shape[1]]

    def closeness(self, rows: Tensor) -> Tensor:
        """(n_rows, n_cells) larger where the distance to the centre is smaller; rows are `seen`."""
        halves = self.centres.square().sum(dim=1) / 2
        near = normalize(rows.float(), dim=1).to(rows.dtype) @ self.centres.to(rows.dtype).T
        return near.float() - halves

    def above(self, cell: int, places: Tensor, bounds: Tensor) -> Tensor:
        """(n_members, n_places) by how much each member is more similar to each place than its bound."""
        low, high = int(self.bounds[cell]), int(self.bounds[cell + 1])
        n_members, n_places = high - low, len(places)
        if self.packed.dtype != torch.float32:
            # For every new shape of a product of bfloat16 a kernel is compiled, so there shall be few.
            high = low - n_members // -LIKE_MEMBERS * LIKE_MEMBERS
            places = torch.cat([places, places[:1].expand(-n_places % LIKE_PLACES)])
        rows = self.packed[places]
        left = bounds.clone()
        for column in range(-BOUND_PARTS[rows.dtype], 0):
            rows[:n_places, column] = left
            left -= rows[:n_places, column]
        return (self.packed[low:high] @ rows.T)[:n_members, :n_places].float()


@dataclass(frozen=True)
class _Found:
    """Pairs of a sample that asks, by its number among these, and the place of one that is similar enough to it."""

    askers: NDArray[np.int32]
    places: NDArray[np.int32]
    similarities: NDArray[np.float32]

    def best(self, n_askers: int, n_wanted: int) -> tuple["_Found", NDArray[np.int32]]:
        """The most similar of each asker, best first, and which rank each of these has."""
        place = 4.0 * self.askers  # in float64
        place -= self.similarities  # which differ by less than 4
        best_first = np.argsort(place)
        del place
        askers = self.askers[best_first]
        ranks = np.arange(len(askers), dtype=np.int32)
        ranks -= np.searchsorted(askers, np.arange(n_askers)).astype(np.int32)[askers]
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

    Takes one copy of the features along a few directions, in the order of the cells.

    `features`: (n_samples, n_features) finite rows, in memory or mapped.
    """
    n_samples = len(features)
    generator = np.random.default_rng(runtime.numpy_seed("neighbour probes"))
    probes = np.sort(generator.choice(n_samples, min(N_PROBES, n_samples), replace=False))
    exact = _nearest_of(probes, features, n_neighbors, runtime)
    directions, n_candidates = _few_directions(probes, features, exact, runtime)
    n_directions = features.shape[1] if directions is None else directions.shape[1]
    precision = _precision(n_directions, runtime)
    if precision != torch.float32:
        n_candidates = max(n_candidates, min(round(CANDIDATES_PER_NEIGHBOR[0] * n_neighbors), n_samples - 1))
    seen, lengths = _seen_along(features, directions, BOUND_PARTS[precision], runtime)
    along = seen[:, : -BOUND_PARTS[precision]]
    n_cells = min(round(CELLS * n_samples**0.5), n_samples)
    with runtime.rounded_products():
        centres = find_centres(along, n_cells, runtime, "neighbour cells", ROWS_PER_CELL, 1, N_STEPS)
        cell_of, _ = nearest_centres(along, centres)
    order = np.argsort(cell_of, kind="stable")
    bounds = np.concatenate([[0], np.bincount(cell_of, minlength=n_cells).cumsum()])
    _reorder(seen, order)
    packed = torch.from_numpy(seen).to(runtime.device, precision)
    del seen, along
    cells = _Cells(features, order, lengths, bounds, centres, packed)
    pools = _pools(cells, n_candidates)
    asking = cells.packed[np.argsort(order)[probes]]
    promise = torch.cat(
        [
            _promise(cells, row[None], pools[cell], n_candidates)[0]
            for row, cell in zip(asking, cell_of[probes], strict=True)
        ]
    )
    least = _least_promise(promise, cell_of[exact], np.diff(bounds))
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)

    def search(first: int) -> int:
        """For the next samples in the order of the cells; returns how many they were."""
        end = min(first + ASKERS, n_samples)
        found = _search(cells, first, end, pools, least, n_candidates)
        rows = cells.order[first:end]
        indices[rows], similarities[rows] = _nearest(cells, first, end, found, n_neighbors, n_candidates)
        return end - first

    with (
        progress("neighbours", n_samples, "samples", runtime.verbose) as advance,
        runtime.side_by_side(2) as run,
    ):
        for n_done in run(search, range(0, n_samples, ASKERS)):
            advance(n_done)
    recall = _share_found(exact, indices[probes])
    logger.info(
        "neighbours of %d samples: approximate, %.0f of %d cells searched for each along %d of %d directions, recall "
        "%.1f%% on %d samples",
        n_samples, (promise >= least).sum() / len(probes), n_cells, n_directions, features.shape[1],
        100 * recall, len(probes),
    )  # fmt: skip
    return indices, similarities


def _share_found(wanted: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(wanted, found, strict=True)]))


def _nearest_of(
    probes: NDArray[np.int64],
    features: NDArray[np.floating],
    n_neighbors: int,
    runtime: Runtime,
    directions: Tensor | None = None,
) -> NDArray[np.int64]:
    """The neighbours (n_probes, n_neighbors) of some samples, nearest first, as all features or directions see them."""

    def seen(rows: NDArray[np.floating]) -> Tensor:
        unit, _ = _unit(rows, runtime.device)
        return unit if directions is None else unit @ directions

    asking = seen(features[probes])
    best = torch.full((len(probes), n_neighbors), -torch.inf, device=runtime.device)
    found = torch.zeros((len(probes), n_neighbors), dtype=torch.int64, device=runtime.device)
    for part in row_blocks(features, BLOCK_ROWS):
        start, block = part.start, seen(features[part])
        similar = asking @ block.T
        own = np.flatnonzero((probes >= start) & (probes < start + BLOCK_ROWS))
        similar[torch.from_numpy(own), torch.from_numpy(probes[own] - start)] = -torch.inf
        nearest = top_unordered(similar, min(n_neighbors, len(block)))
        best, chosen = torch.cat([best, similar.gather(1, nearest)], dim=1).topk(n_neighbors, dim=1)
        found = torch.cat([found, nearest + start], dim=1).gather(1, chosen)
    return found.cpu().numpy()


def _few_directions(
    probes: NDArray[np.int64], features: NDArray[np.floating], exact: NDArray[np.int64], runtime: Runtime
) -> tuple[Tensor | None, int]:
    """Orthonormal columns along which the candidates hold nearly all neighbours, and how many candidates these are.

    None where that takes nearly all directions: then the candidates are the neighbours. Of very many directions no more
    than the largest number is taken, whatever they hold.
    """
    (n_samples, n_features), n_neighbors = features.shape, exact.shape[1]
    numbers = [min(round(each * n_neighbors), n_samples - 1) for each in CANDIDATES_PER_NEIGHBOR]
    some, _ = _unit(features[:: -(-n_samples // MOST_LOOKED_AT)], runtime.device)
    longest_last = torch.linalg.eigh(some.T @ some).eigenvectors
    few, wanted = probes[::DIRECTION_PROBES], exact[::DIRECTION_PROBES]
    for n_directions in DIRECTIONS:
        if WORTH_IT * n_directions > n_features:
            return None, n_neighbors
        directions = longest_last[:, -n_directions:].flip(1).contiguous()
        candidates = _nearest_of(few, features, numbers[-1], runtime, directions)
        for n_candidates in numbers:
            if _share_found(wanted, candidates[:, :n_candidates]) >= WANTED_AMONG_THEM:
                return directions, n_candidates
    return directions, numbers[-1]


def _precision(n_directions: int, runtime: Runtime) -> torch.dtype:
    """Of the products along so many directions."""
    return (runtime.autocast_dtype if n_directions >= WORTH_ROUNDING else None) or torch.float32


def _least_promise(
    promise: Tensor, cell_of_neighbors: NDArray[np.int64], cell_sizes: NDArray[np.int64]
) -> float:
    """What cells must promise at least: those that do hold 99% of some samples' neighbours, or are all affordable ones.

    `promise`: (n_probes, n_cells) from `_promise`.
    """
    of_neighbors = promise.gather(1, torch.from_numpy(cell_of_neighbors).to(promise.device)).flatten()
    wanted = of_neighbors.sort(descending=True).values[int(np.ceil(WANTED_RECALL * len(of_neighbors))) - 1]
    best_first = promise.flatten().sort(descending=True)
    compared = cell_sizes[best_first.indices.cpu().numpy() % promise.shape[1]].cumsum() / len(promise)
    n_affordable = int(np.searchsorted(compared, MOST_COMPARED, side="right"))
    return max(float(wanted), float(best_first.values[max(n_affordable, 1) - 1]))


def _seen_along(
    features: NDArray[np.floating], directions: Tensor | None, n_parts: int, runtime: Runtime
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of unit length along the directions, with as many -1 behind them, and how long the rows were."""
    n_directions = features.shape[1] if directions is None else directions.shape[1]
    seen = np.full((len(features), n_directions + n_parts), -1, np.float32)
    lengths = np.empty(len(features), np.float32)
    for part in row_blocks(features, BLOCK_ROWS):
        unit, length = _unit(features[part], runtime.device)
        seen[part, :n_directions] = (unit if directions is None else unit @ directions).cpu().numpy()
        lengths[part] = length.cpu().numpy()
    return seen, lengths


def _reorder(rows: NDArray[np.float32], order: NDArray[np.int64]) -> None:
    """Put the rows in this order where they are: two copies of very many are more memory than all else takes."""
    for start in range(0, rows.shape[1], BLOCK_COLUMNS):
        columns = slice(start, start + BLOCK_COLUMNS)
        rows[:, columns] = rows[order, columns]


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
    least: float,
    n_candidates: int,
) -> _Found:
    """What the samples from `first` to `end` find in the cells that promise each enough: at least `n_candidates`."""
    n_cells = len(pools)
    searching: list[NDArray[np.int32]] = []
    searched: list[NDArray[np.int32]] = []
    bounds = torch.empty(end - first, device=cells.packed.device)
    for cell in range(n_cells):
        low, high = max(first, int(cells.bounds[cell])), min(end, int(cells.bounds[cell + 1]))
        if low < high:
            part = slice(low - first, high - first)
            promise, bounds[part] = _promise(cells, cells.packed[low:high], pools[cell], n_candidates)
            rows, promising = (promise >= least).nonzero(as_tuple=True)
            searching.append((rows + part.start).to(torch.int32).cpu().numpy())
            searched.append(promising.to(torch.int32).cpu().numpy())
    cell_of_search = np.concatenate(searched)
    by_cell = np.argsort(cell_of_search, kind="stable")
    ends = np.searchsorted(cell_of_search[by_cell], np.arange(n_cells + 1))
    askers = np.concatenate(searching)[by_cell]
    found: list[_Found] = []
    n_found = 0
    for cell in range(n_cells):
        asking = askers[ends[cell] : ends[cell + 1]]
        n_members = int(cells.bounds[cell + 1] - cells.bounds[cell])
        step = max(1, BLOCK_VALUES // max(1, n_members))
        for start in range(0, len(asking) if n_members else 0, step):
            found.append(_search_cell(cells, cell, first, asking[start : start + step], bounds))
            n_found += len(found[-1].askers)
            if n_found > MOST_PAIRS:
                found = [_crowded(_Found.together(found), bounds, n_candidates, ROUNDING[cells.packed.dtype])]
                n_found = len(found[0].askers)
    return _Found.together(found)


def _promise(
    cells: _Cells, rows: Tensor, pool: NDArray[np.int64], n_candidates: int
) -> tuple[Tensor, Tensor]:
    """(n_rows, n_cells) how much closer each cell is than another sample must be, and (n_rows,) that bound.

    The pool was looked into for the bound, and promises anything.
    """
    bounds = _bounds(cells, rows, pool, n_candidates)
    promise = cells.closeness(cells.seen(rows)) - bounds[:, None]
    promise[:, torch.from_numpy(pool).to(rows.device)] = torch.inf
    return promise, bounds


def _bounds(cells: _Cells, rows: Tensor, pool: NDArray[np.int64], n_candidates: int) -> Tensor:
    """(n_rows,) how similar a sample must be to be among the nearest that a row finds near its own cell."""
    members = torch.cat([cells.members(cell) for cell in pool])
    similar = cells.seen(members).float() @ cells.seen(rows).float().T
    n_groups = len(similar) // BOUND_GROUP
    n_nearest = n_candidates + 1  # it finds itself, too
    if n_groups >= n_nearest:
        similar = similar[: n_groups * BOUND_GROUP].view(BOUND_GROUP, n_groups, len(rows)).amax(dim=0)
    nearest = similar.T.contiguous().topk(n_nearest, dim=1, sorted=False)
    return nearest.values.amin(dim=1) - ROUNDING[rows.dtype]


def _search_cell(cells: _Cells, cell: int, first: int, asking: NDArray[np.int32], bounds: Tensor) -> _Found:
    """What the samples that search this cell find in it, except themselves."""
    askers = torch.from_numpy(asking).long().to(bounds.device)
    above = cells.above(cell, first + askers, bounds[askers])
    members, columns = positive(above)
    askers, places = askers[columns], members + int(cells.bounds[cell])
    similar = above[members, columns] + bounds[askers]
    other = first + askers != places
    return _Found(
        askers[other].to(torch.int32).cpu().numpy(),
        places[other].to(torch.int32).cpu().numpy(),
        similar[other].cpu().numpy(),
    )


def _crowded(found: _Found, bounds: Tensor, n_candidates: int, rounding: float) -> _Found:
    """Only the best that was found. Whoever has enough of them looks for still better ones: `bounds` is raised."""
    best, ranks = found.best(len(bounds), n_candidates)
    last = ranks == n_candidates - 1
    raised = torch.from_numpy(best.similarities[last]).to(bounds.device) + rounding
    bounds[torch.from_numpy(best.askers[last]).long().to(bounds.device)] = raised
    return best


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
    for start in range(0, len(rows), SHARED_ROWS):
        part = slice(start, start + SHARED_ROWS)
        # Of -1, where too few were found, whoever is first is compared; it isn't kept.
        different, which = np.unique(candidates[part].clip(min=0), return_inverse=True)
        theirs, asking = rows_at(cells.features, different, TURN_ROWS), cells.features[rows[part]]
        which = which.reshape(-1, candidates.shape[1])
        for few in row_blocks(which, FEW_ROWS):
            similar[part][few] = np.matmul(theirs[which[few]], asking[few][:, :, None])[:, :, 0]
        similar[part] /= cells.lengths[rows[part], None] * cells.lengths[candidates[part]]
    return similar
