"""A network that was trained elsewhere, ready to embed: images straight from the files, at the size that it takes."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ruc.embed.preprocessing import Preprocessing
from ruc.images.load import Skipped, check_skipped, stream_batches
from ruc.images.source import ImageSource
from ruc.networks import State
from ruc.progress import progress
from ruc.runtime import Runtime

BATCHES_KEPT_TOGETHER = 32  # so much work a kill may cost
BATCHES_PER_CORE = 4  # read before they're computed, each by one core
CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 8, 64  # a CPU is a little faster when a batch stays in its cache


class Backbone(nn.Module):
    """Images in, unit-norm features out: normalisation and network in one differentiable module."""

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, center: Tensor | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.scale = preprocessing.scale
        self.center: Tensor | None
        self.register_buffer("center", center, persistent=False)
        self.mean = nn.Buffer(torch.tensor(preprocessing.mean).view(-1, 1, 1), persistent=False)
        self.std = nn.Buffer(torch.tensor(preprocessing.std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, height, width) in [0, 1] to (n, n_features) of norm 1."""
        features = self.network((images * self.scale - self.mean) / self.std)
        return around(nn.functional.normalize(features.float(), dim=1), self.center)


def around(features: Tensor, center: Tensor | None) -> Tensor:
    """Unit-norm rows seen from a point among them, at unit length again; None: as they are."""
    return features if center is None else nn.functional.normalize(features - center, dim=1)


class Embedded(NamedTuple):
    """The features of a source.

    Attributes
    ----------
    features
        (n, n_features) float32, rows of norm 1.
    indices
        (n,) int64: where in the source each of them is.
    skipped
        The images that could not be read.
    """

    features: NDArray[np.float32]
    indices: NDArray[np.int64]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class FrozenEmbedder:
    """A frozen network with what it wants done to images.

    Attributes
    ----------
    name
        How it is called in settings and reports.
    preprocessing
        From an image to the pixels that it takes.
    compute
        (n, 3, height, width) uint8 to (n, n_features) float32 of norm 1.
    origin
        What `frozen_from_state` needs to find it again; `origin["kind"]` names where.
    batch_size
        How many images it's given at a time.
    module
        The same as `compute`, of float images in [0, 1], with gradients; None where there are none.
    center
        (n_features,) the mean of the features of the images that were clustered: from there features are seen, since
        what all images have in common tells none apart. None: they are as the network makes them.
    """

    name: str
    preprocessing: Preprocessing
    compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    origin: Mapping[str, Any]
    batch_size: int = CPU_BATCH_SIZE
    module: Backbone | None = None
    center: Tensor | None = None

    def centered_at(self, center: Tensor) -> "FrozenEmbedder":
        """The same, but for where its features are seen from."""
        module = None
        if self.module is not None:
            where = center.to(self.module.mean.device)
            module = Backbone(self.module.network, self.preprocessing, where).to(where.device).eval()
        return replace(self, center=center, module=module)

    def embed(
        self,
        source: ImageSource,
        runtime: Runtime,
        max_skipped: float = 0.10,
        batch_size: int | None = None,
        known: Mapping[int, NDArray[np.float32]] = MappingProxyType({}),
        keep: Callable[[NDArray[np.int64], NDArray[np.float32]], None] | None = None,
    ) -> Embedded:
        """Embed all images of a source, decoding in parallel with the network; memory does not grow with them.

        Parameters
        ----------
        known
            Features that are there already, by the image's place in the source: those images aren't read.
        keep
            Is given places and features of all others, now and then, as soon as there are some.

        Raises
        ------
        NothingToClusterError
            More than the share `max_skipped` of the images, or all of them, cannot be read.
        """
        unknown = np.setdiff1d(np.arange(len(source)), list(known))
        indices = [np.array(sorted(known), dtype=np.int64)]
        features = [np.array([known[place] for place in indices[0]], np.float32)] if known else []
        skipped: list[Skipped] = []
        n_kept = 1
        # A batch a core: of so small a batch two cores together would make little more than one.
        n_cores = torch.get_num_threads() if self.module is not None and runtime.device.type == "cpu" else 1
        batches = stream_batches(
            source.take(unknown),
            self.preprocessing.prepare,
            batch_size or self.batch_size,
            self.preprocessing.shorter_side,
        )
        with (
            progress("embedding", len(unknown), "images", runtime.verbose and len(unknown) > 0) as advance,
            runtime.side_by_side(n_cores) as at_once,
        ):
            while group := list(islice(batches, BATCHES_PER_CORE * n_cores if n_cores > 1 else 1)):
                n_done = sum(len(batch.indices) + len(batch.skipped) for batch in group)
                skipped.extend(each for batch in group for each in batch.skipped)
                # Once too many are lost the rest is decoded for the count alone.
                if len(skipped) <= max_skipped * len(source):
                    read = [batch for batch in group if len(batch.indices)]
                    features.extend(at_once(self.compute, [batch.images for batch in read]))
                    indices.extend(unknown[batch.indices] for batch in read)
                    if keep is not None and len(indices) - n_kept >= BATCHES_KEPT_TOGETHER:
                        keep(
                            np.concatenate(indices[n_kept:]),
                            np.concatenate(features[-(len(indices) - n_kept) :]),
                        )
                        n_kept = len(indices)
                advance(n_done)
        if keep is not None and n_kept < len(indices):
            keep(np.concatenate(indices[n_kept:]), np.concatenate(features[-(len(indices) - n_kept) :]))
        check_skipped(skipped, len(source), max_skipped)
        places = np.concatenate(indices)
        order = np.argsort(places)
        return Embedded(self._seen(np.concatenate(features)[order]), places[order], tuple(skipped))

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """Embed (n, C, height, width) uint8 images, C 1 or 3, that are in memory; resized where they have to be."""
        features = []
        for start in range(0, len(pixels), self.batch_size):
            batch = pixels[start : start + self.batch_size]
            features.append(
                self.compute(np.stack([self.preprocessing.prepare(_image(each)) for each in batch]))
            )
        return self._seen(np.concatenate(features))

    def state(self) -> State:
        """Where the weights are, which are not copied; and the centre."""
        return State(dict(self.origin), {} if self.center is None else {"center": self.center})

    def _seen(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        seen: NDArray[np.float32] = around(torch.from_numpy(features), self.center).numpy()
        return seen


def of_module(
    name: str,
    network: nn.Module,
    preprocessing: Preprocessing,
    origin: Mapping[str, Any],
    runtime: Runtime,
    mixed_precision: bool,
) -> FrozenEmbedder:
    """The embedder of a torch network: (n, 3, height, width) normalised images to (n, n_features).

    `mixed_precision`: whether it may compute in bfloat16 where the hardware multiplies that.
    """
    module = Backbone(network, preprocessing).eval().requires_grad_(False).to(runtime.device)

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = torch.from_numpy(images).to(runtime.device).float() / 255
        with torch.inference_mode(), runtime.autocast() if mixed_precision else nullcontext():
            features: NDArray[np.float32] = module(batch).float().cpu().numpy()
        return features

    on_cpu = runtime.device.type == "cpu"
    batch_size = CPU_BATCH_SIZE if on_cpu else ACCELERATOR_BATCH_SIZE
    return FrozenEmbedder(name, preprocessing, compute, origin, batch_size, module)


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
