"""The one place that knows Ray: workers on all nodes of a cluster, which are given shard after shard."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ruc.errors import InputError, RucError

FAILED: Final = "failed"
QUIET: Final = {  # what fails is raised; and nothing is told to others
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_USAGE_STATS_ENABLED": "0",
}
EXTRA: Final = "pip install 'ruc[ray]'"


class Worker(Protocol):
    """Is made once in each process, where it may take its time, and then given one shard after another."""

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Do the work of a shard, which after a fault may be a second time; what is returned is small."""


@contextmanager
def ray_cluster(address: str) -> Iterator[None]:
    """Join a Ray cluster for as long as the block takes, or start one; one that was joined already is used.

    `address`: "local" (start one on this machine), "auto" (that which runs here), or that of a cluster's head:
    `host:6379`.

    Raises
    ------
    InputError
        Ray isn't installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(
            f"--ray {address} given, and Ray isn't installed; expected the extra: {EXTRA}"
        ) from error
    if ray.is_initialized():
        yield
        return
    for name, level in QUIET.items():
        os.environ.setdefault(name, level)
    try:
        ray.init(address, include_dashboard=None, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"--ray {address}: no Ray cluster there ({str(error).splitlines()[0]}); expected local, auto, or the "
            "address of its head, host:6379"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def over_shards(
    shards: Sequence[Mapping[str, Any]], worker: type[Worker], arguments: tuple[Any, ...], on_gpu: bool
) -> Iterator[dict[str, Any]]:
    """What workers return of each shard, in the order in which they are done.

    A worker takes one core, or one GPU; there are as many as the cluster has. What a lost node or a killed process
    had begun is done again elsewhere.

    Parameters
    ----------
    shards
        What each is given; it has to be what Arrow can hold.
    worker, arguments
        Its class, and what it is made with on each node.
    on_gpu
        Whether each takes a GPU.

    Raises
    ------
    InputError
        What a worker says can't be done.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, from_items

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    needed = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}
    n_most = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
    done = from_items([dict(shard) for shard in shards], override_num_blocks=len(shards)).map_batches(
        _OneByOne,
        fn_constructor_args=(worker, arguments),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=max(1, min(n_most, len(shards)))),
        **needed,
    )
    for row in done.iter_rows():
        if FAILED in row:
            raise InputError(row[FAILED])
        yield row


def device_for(asked: str) -> str:
    """The torch device of each worker: a GPU where one may be taken and any node of the cluster has one."""
    import ray

    return "cuda" if asked in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) >= 1 else "cpu"


class _OneByOne:
    """Gives a worker the one row of each batch."""

    def __init__(self, worker: type[Worker], arguments: tuple[Any, ...]) -> None:
        self._worker = worker(*arguments)

    def __call__(self, batch: Any) -> dict[str, list[Any]]:
        try:
            done = self._worker(batch.to_pylist()[0])
        except RucError as error:  # for the user, who doesn't see a worker's traceback
            return {FAILED: [str(error)]}
        return {name: [value] for name, value in done.items()}
