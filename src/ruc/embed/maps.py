"""Maps of the first blocks of packaged networks: what their last blocks are retrained on, and predict from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.embed.packaged import load_network, preprocessing
from ruc.errors import NothingToClusterError
from ruc.images.load import Batch, stream_batches
from ruc.images.source import ImageSource
from ruc.images.views import ViewPolicy, random_view, strong_view, to_float
from ruc.networks import Cut, FirstBlocks, LastBlocks, channels_last
from ruc.runtime import Runtime

N_WEAK, N_STRONG = 4, 3  # views of each image beside the plain one
MEMORY = 2 * 2**30  # bytes that kept maps may take
VALUE = np.dtype(np.float16).itemsize
BATCH, ACCELERATOR_BATCH = 4, 64


def load_blocks(cuts: Sequence[Cut], runtime: Runtime) -> tuple[FirstBlocks, tuple[LastBlocks, ...]]:
    """The frozen parts of packaged networks as one module, and of each network the part that learns.

    Raises
    ------
    WeightsError
        See `load_network`.
    """
    networks = [load_network(cut.name) for cut in cuts]
    first = FirstBlocks(cuts, networks).eval().requires_grad_(False)
    blocks = tuple(LastBlocks(cut, network) for cut, network in zip(cuts, networks, strict=True))
    return channels_last(first, runtime.device), blocks


def cuts_of(about: Mapping[str, Any]) -> tuple[Cut, ...]:
    """Where the networks of a pair with this configuration are cut; one for both where they're copies of one."""
    return tuple(dict.fromkeys(Cut(**about[network]["cut"]) for network in ("network", "peer")))


def stream_images(source: ImageSource, cut: Cut, runtime: Runtime) -> Iterator[Batch]:
    """Batches of uint8 images (b, 3, side, side), decoded while the caller computes."""
    size = BATCH if runtime.device.type == "cpu" else ACCELERATOR_BATCH
    return stream_batches(source, preprocessing(cut.side).prepare, size, cut.side)


@torch.inference_mode()
def maps_of(batch: Batch, first: FirstBlocks, runtime: Runtime) -> Tensor:
    """What retrained networks take of a batch, rounded as the maps that they learned from."""
    images = to_float(torch.from_numpy(batch.images).to(runtime.device))
    maps: Tensor = first(images)
    return maps.half().float() if len(first.parts) else maps


def all_pixels(source: ImageSource, cut: Cut, runtime: Runtime) -> NDArray[np.uint8]:
    """(n_images, 3, side, side) of images that can all be read."""
    return np.concatenate([_whole(batch).images for batch in stream_images(source, cut, runtime)])


def n_views_of(n_samples: int, cuts: Sequence[Cut]) -> tuple[int, int]:
    """How many weak and strong views of each image there is memory for; 0 of both where there isn't for one of each."""
    affordable = MEMORY // (n_samples * sum(cut.stop - cut.start for cut in cuts) * VALUE) - 1
    if affordable >= N_WEAK + N_STRONG:
        return N_WEAK, N_STRONG
    return (0, 0) if affordable < 2 else (-(-affordable // 2), affordable // 2)


def map_views(
    source: ImageSource,
    first: FirstBlocks,
    policy: ViewPolicy,
    n_views: tuple[int, int],
    generator: torch.Generator,
    runtime: Runtime,
) -> Tensor:
    """The maps of the plain image, of weak views and of strong ones.

    `n_views`: how many weak and strong ones. `generator`: what views are drawn by.

    Returns (1 + n_weak + n_strong, n_images, values of all maps) float16, on the CPU.

    Raises
    ------
    NothingToClusterError
        An image can no longer be read.
    """
    found = []
    for batch in stream_images(source, first.cuts[0], runtime):
        plain = to_float(torch.from_numpy(_whole(batch).images).to(runtime.device))
        views = [
            plain,
            *(random_view(plain, policy, generator) for _ in range(n_views[0])),
            *(strong_view(plain, policy, generator) for _ in range(n_views[1])),
        ]
        with torch.inference_mode():
            found.append(torch.stack([first(view).half().cpu() for view in views]))
    return torch.cat(found, dim=1)


def _whole(batch: Batch) -> Batch:
    """The batch, of which nothing may be lost."""
    if batch.skipped:
        lost = batch.skipped[0]
        raise NothingToClusterError(
            f"{lost.file_name} can no longer be read ({lost.reason}); expected the images as they were when they were "
            "embedded: repeat the command"
        )
    return batch
