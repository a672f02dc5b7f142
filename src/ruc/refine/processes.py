"""Retraining by several processes that `torchrun` has started, on the GPUs of one machine or of several.

The first process does everything; the others wait, and go through the retraining of networks beside it, each on a part
of every batch. What they draw, promote and learn is the same in all of them (see `ruc.networks.divided`).
"""

import gc
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist

from ruc.errors import InputError
from ruc.networks import State
from ruc.networks.divided import divided
from ruc.refine.ruc import refine
from ruc.refine.select import CleanSelection
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.refine.trained import Epoch, Trained
from ruc.runtime import Runtime
from ruc.torchrun import is_one_of_several

logger = logging.getLogger(__name__)

PATIENCE: Final = timedelta(days=30)  # the others wait while the first one embeds
PIECE: Final = 2**28  # bytes that are sent at once


@contextmanager
def processes() -> Iterator[bool]:
    """Whether this is the first process, or the only one; the others have done their part when the block begins.

    Raises
    ------
    InputError
        There are more processes on this machine than GPUs.
    """
    if not is_one_of_several():
        yield True
        return
    has_gpus = torch.cuda.is_available()
    if has_gpus:
        n_gpus, n_here = torch.cuda.device_count(), int(os.environ["LOCAL_WORLD_SIZE"])
        if n_here > n_gpus:
            raise InputError(
                f"{n_here} processes on a machine with {n_gpus} GPUs; expected one for each at most"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if has_gpus else "gloo", timeout=PATIENCE)
    try:
        if dist.get_rank() == 0:
            try:
                yield True
            finally:
                _send(None)
        else:
            _take_part()
            yield False
    finally:
        gc.collect()  # networks that were shared hold the group, whose threads have to end before the process does
        dist.destroy_process_group()


def refine_together(
    space: Space,
    start: CleanSelection,
    settings: RefineSettings,
    runtime: Runtime,
    on_epoch: Callable[[Epoch, Callable[[], State]], None] | None = None,
    resume: State | None = None,
) -> Trained:
    """`refine`, together with the other processes where there are some and networks on images are retrained."""
    if not (dist.is_available() and dist.is_initialized()):
        return refine(space, start, settings, runtime, on_epoch, resume)
    if not space.sees_more:
        logger.info("networks on features are retrained by one of the %d processes", dist.get_world_size())
        return refine(space, start, settings, runtime, on_epoch, resume)
    logger.info("%d processes: each retrains networks on a part of every batch", dist.get_world_size())
    _send((space, start, settings, runtime.device.type, runtime.seed, resume))
    return refine(space, start, settings, runtime, on_epoch, resume, divided)


def _take_part() -> None:
    """Go through every retraining of the first process, until it has no more."""
    while (task := _receive()) is not None:
        space, start, settings, device, seed, resume = task
        refine(space, start, settings, Runtime(device, seed), resume=resume, share=divided)


def _send(task: Any) -> None:
    buffer = io.BytesIO()
    torch.save(task, buffer)
    content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
    dist.broadcast(torch.tensor(len(content)), 0)
    for piece in torch.split(content, PIECE):
        dist.broadcast(piece, 0)


def _receive() -> Any:
    size = torch.tensor(0)
    dist.broadcast(size, 0)
    content = torch.empty(int(size), dtype=torch.uint8)
    for piece in torch.split(content, PIECE):
        dist.broadcast(piece, 0)
    device = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    # What the first process of the same command has sent, hence with objects.
    return torch.load(io.BytesIO(content.numpy().tobytes()), _to(device), weights_only=False)


def _to(device: str) -> Callable[[Any, str], Any]:
    """Where tensors go that were on a GPU of the first process: on this one's."""
    return lambda storage, location: storage if location == "cpu" else storage.cuda(device)
