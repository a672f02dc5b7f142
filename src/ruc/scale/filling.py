"""Have workers fill a folder with shards, from where it was left."""

from collections.abc import Mapping, Sequence
from typing import Any

from ruc.images.load import Skipped, check_skipped
from ruc.progress import progress
from ruc.scale.over_ray import Worker, over_shards
from ruc.scale.shard_folder import ShardFolder


def fill(
    shards: ShardFolder,
    planned: Sequence[Mapping[str, Any]],
    worker: type[Worker],
    arguments: tuple[Any, ...],
    on_gpu: bool,
    max_skipped: float,
    what: str,
    verbose: bool,
) -> tuple[tuple[str, str], ...]:
    """Do the shards that aren't there, and name what all of them lack.

    Returns (file_name, reason) of what was skipped, in the order of the shards.

    Parameters
    ----------
    shards
        Where workers put them.
    planned
        All shards, each with its `number` and its `n_rows`.
    worker, arguments, on_gpu
        See `over_shards`; a worker returns how many rows of a shard were `n_skipped`.
    max_skipped
        Largest share of the rows that may be: as soon as more are, nothing further is done.
    what, verbose
        What is being done, and whether progress is shown.

    Raises
    ------
    NothingToClusterError
        More than `max_skipped` of the rows, or all of them.
    """
    left = [shard for shard in planned if not shards.has(shard["number"])]
    n_rows = {shard["number"]: shard["n_rows"] for shard in planned}
    n_all = sum(n_rows.values())
    n_lost = sum(len(shards.skipped(number)) for number in n_rows if shards.has(number))
    with progress(what, sum(shard["n_rows"] for shard in left), "samples", verbose) as advance:
        for done in over_shards(left, worker, arguments, on_gpu) if left else ():
            advance(n_rows[done["number"]])
            n_lost += done["n_skipped"]
            if n_lost > max_skipped * n_all:
                break
    skipped = [pair for number in n_rows if shards.has(number) for pair in shards.skipped(number)]
    check_skipped([Skipped(*pair) for pair in skipped], n_all, max_skipped)
    shards.name_skipped(skipped)
    return tuple(skipped)
