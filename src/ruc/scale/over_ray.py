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

    A worker takes one core, or one GPU, until no shard is left for it; there are as many as the cluster has. What a
    lost node or a killed process had begun is done again elsewhere.

    Parameters
    ----------
    shards
        What each is given.
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

    needed = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}
    n_most = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
    held = ray.remote(max_restarts=-1, max_task_retries=-1, **needed)(_Held)
    made_of = worker, [ray.put(arguments)]  # in a list: fetched where they are needed, not with every shard
    actors = [held.remote() for _ in range(max(1, min(n_most, len(shards))))]
    # Asked to be there first: no shard waits for one that isn't.
    busy = {actor.do.remote(*made_of): actor for actor in actors}
    del actors
    left, n_missing = iter(shards), len(shards)
    while n_missing:
        (answer,), _ = ray.wait(list(busy))
        actor, done = busy.pop(answer), ray.get(answer)
        if (shard := next(left, None)) is not None:
            busy[actor.do.remote(*made_of, shard)] = actor
        del actor  # one that has nothing to do ends, and leaves its core to one that was lost
        if done is None:
            continue
        if FAILED in done:
            raise InputError(done[FAILED])
        n_missing -= 1
        yield done


def device_for(asked: str) -> str:
    """The torch device of each worker: a GPU where one may be taken and any node of the cluster has one."""
    import ray

    return "cuda" if asked in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) >= 1 else "cpu"


class _Held:
    """A worker in a process of its own, made when it is first asked: after a fault once more."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    def do(
        self, worker: type[Worker], arguments: Sequence[Any], shard: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """What the worker returns of a shard, or None where there is none; `arguments`: the reference to them."""
        import ray

        try:
            if self._worker is None:
                self._worker = worker(*ray.get(arguments[0]))
            return None if shard is None else self._worker(shard)
        except RucError as error:  # for the user, who doesn't see a worker's traceback
            return {FAILED: str(error)}
