"""What neighbours of all samples would cost at a billion: which shards each would have to ask, by counts.

    python experiments/neighbors_at_a_billion.py [--cells 100000] [--shards 1000] [--probes 2000] [--seed 0]

No features of a billion images are made. The centres of the cells are simulated (topics of unequal size in `--dims`
dimensions, every topic with the cells that its size gives it), samples are drawn around them, and counted is which
shards hold the cells that a sample would search. Three layouts: rows as they came, where every shard has some of every
cell; cells dealt to the shards at random; and cells near each other in one shard. From the counts follow the bytes that
are sent (features in half precision to each shard asked, places and similarities of the neighbours back) and the
products. A last line merges the best of several shards of real vectors and compares with those of the whole.
"""

import argparse

import numpy as np

from ruc.neighbors.centres import find_centres, nearest_centres
from ruc.runtime import Runtime

N_SAMPLES, N_FEATURES, N_NEIGHBORS = 1_000_000_000, 1280, 50
BYTES_BACK = 12  # of a neighbour: its place and its similarity
FLOPS = 130e9  # a second of one core, see benchmarks/README.md


def simulated_centres(n_cells: int, n_dims: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors around a thousand topics whose sizes fall as 1 / rank."""
    topics = generator.normal(0, 1, (1000, n_dims))
    shares = 1 / np.arange(1, 1001)
    of = generator.choice(1000, n_cells, p=shares / shares.sum())
    centres = topics[of] + generator.normal(0, 0.7, (n_cells, n_dims))
    return (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)


def shards_asked(
    centres: np.ndarray, shard_of: np.ndarray, probes: np.ndarray, n_searched: int
) -> tuple[float, float]:
    """How many shards hold the nearest cells of a sample, in the mean; and the busiest shard's work, to the mean's."""
    work = np.zeros(shard_of.max() + 1)
    asked = []
    for some in np.array_split(probes, max(1, len(probes) // 200)):
        nearest = np.argpartition(-(some @ centres.T), n_searched, axis=1)[:, :n_searched]
        asked += [len(np.unique(row)) for row in shard_of[nearest]]
        np.add.at(work, shard_of[nearest].ravel(), 1)
    return float(np.mean(asked)), float(work.max() / work.mean())


def near_each_other(centres: np.ndarray, n_shards: int, runtime: Runtime) -> np.ndarray:
    """Cells in the order of groups of near ones, cut into shards of the same number of cells."""
    coarse = find_centres(centres, n_shards, runtime, "shards of cells", 64, 1, 10)
    group, _ = nearest_centres(centres, coarse)
    along = np.argsort(coarse.numpy() @ np.linalg.svd(coarse.numpy(), full_matrices=False)[2][0])
    rank = np.empty(n_shards, np.int64)
    rank[along] = np.arange(n_shards)
    shard_of = np.empty(len(centres), np.int64)
    shard_of[np.argsort(rank[group], kind="stable")] = np.arange(len(centres)) * n_shards // len(centres)
    return shard_of


def merged_equals_whole(generator: np.random.Generator) -> bool:
    """The best of each of seven shards, and of these the best, against the best of all."""
    rows = generator.normal(0, 1, (3000, 32)).astype(np.float32)
    similar = rows[:100] @ rows.T
    places = np.arange(3000)
    best = [
        shard[np.argsort(-similar[:, shard], axis=1, kind="stable")[:, :N_NEIGHBORS]]
        for shard in np.array_split(places, 7)
    ]
    candidates = np.concatenate(best, axis=1)
    order = np.argsort(-np.take_along_axis(similar, candidates, 1), axis=1, kind="stable")[:, :N_NEIGHBORS]
    merged = np.take_along_axis(candidates, order, 1)
    return bool((merged == np.argsort(-similar, axis=1, kind="stable")[:, :N_NEIGHBORS]).all())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--probes", type=int, default=2000)
    parser.add_argument("--dims", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = np.random.default_rng(arguments.seed)
    centres = simulated_centres(arguments.cells, arguments.dims, generator)
    drawn = centres[generator.integers(0, len(centres), arguments.probes)]
    probes = drawn + generator.normal(0, 0.1, drawn.shape).astype(np.float32)
    layouts = {
        "cells at random": generator.permutation(len(centres)) * arguments.shards // len(centres),
        "cells near each other": near_each_other(centres, arguments.shards, Runtime("cpu", arguments.seed)),
    }
    sent, back = 2 * N_FEATURES, N_NEIGHBORS * BYTES_BACK
    a_cell = N_SAMPLES / len(centres)
    assigning = 2 * N_SAMPLES * len(centres) * N_FEATURES / FLOPS / 3600
    print(f"{N_SAMPLES:,} samples, {len(centres):,} cells of {a_cell:,.0f}, {arguments.shards} shards")
    print(f"to find each sample's cell: {assigning:,.0f} core hours")
    petabytes = N_SAMPLES * arguments.shards * (sent + back) / 1e15
    print(f"rows as they came: {arguments.shards} shards asked, {petabytes:.2f} PB sent")
    print(f"{'searched':>8} {'core hours':>10}   {'layout':21} {'asked':>6} {'TB sent':>8} {'busiest':>8}")
    for n_searched in (5, 20, 100):
        hours = 2 * N_SAMPLES * n_searched * a_cell * N_FEATURES / FLOPS / 3600
        for name, shard_of in layouts.items():
            asked, busiest = shards_asked(centres, shard_of, probes, n_searched)
            terabytes = N_SAMPLES * asked * (sent + back) / 1e12
            print(
                f"{n_searched:8} {hours:10,.0f}   {name:21} {asked:6.1f} {terabytes:8.1f} {busiest:8.1f}",
                flush=True,
            )
    print("the best of shards, merged, are the best of the whole:", merged_equals_whole(generator))


if __name__ == "__main__":
    main()
