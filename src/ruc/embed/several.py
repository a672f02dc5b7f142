"""Several embedders of the same images, and what any fitted embedder makes of a source of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ruc.embed.embedder import Embedder
from ruc.embed.frozen import Embedded, FrozenEmbedder
from ruc.embed.known import embedder_from_state, frozen_from_state, is_frozen
from ruc.images.load import load_pixels
from ruc.images.source import ImageSource
from ruc.networks import State
from ruc.runtime import Runtime
from ruc.side_by_side import join

KIND = "several"


@dataclass(frozen=True)
class SeveralEmbedders:
    """Fitted embedders; the features of all of them side by side are the embedding.

    Attributes
    ----------
    parts
        At least two.
    sizes
        For each the side of the images that it takes in memory; None of those that read images themselves.
    widths
        For each the number of its features.
    """

    parts: tuple[Embedder | FrozenEmbedder, ...]
    sizes: tuple[int | None, ...]
    widths: tuple[int, ...]

    def embed(self, source: ImageSource, runtime: Runtime, max_skipped: float = 0.10) -> Embedded:
        """Embed all images of a source that every part can read.

        Raises
        ------
        NothingToClusterError
            More than the share `max_skipped` of the images, or all of them, cannot be read.
        """
        pairs = zip(self.parts, self.sizes, strict=True)
        each = [embed_source(part, source, size, runtime, max_skipped) for part, size in pairs]
        features, indices = side_by_side([one.features for one in each], [one.indices for one in each])
        lost = {skipped.file_name: skipped for one in reversed(each) for skipped in one.skipped}
        return Embedded(features, indices, tuple(lost[name] for name in source.file_names if name in lost))

    def state(self) -> State:
        """Everything needed to make it again; the parts' tensors are numbered."""
        states = [part.state() for part in self.parts]
        parts = [
            {"embedder": state.config, "image_size": size, "n_features": width}
            for state, size, width in zip(states, self.sizes, self.widths, strict=True)
        ]
        tensors = {
            f"{number}.{name}": tensor
            for number, state in enumerate(states)
            for name, tensor in state.weights.items()
        }
        return State({"kind": KIND, "parts": parts}, tensors)


def parts_of(state: State) -> list[tuple[State, int | None, int]]:
    """Of each of the embedders its state, the side of the images that it takes, and the number of its features."""
    return [
        (State(part["embedder"], state.under(str(number))), part["image_size"], part["n_features"])
        for number, part in enumerate(state.config["parts"])
    ]


def fitted_from_state(
    state: State, runtime: Runtime, image_size: int | None
) -> tuple[Embedder | FrozenEmbedder | SeveralEmbedders, int | None]:
    """The embedder whose `state()` this is, of whatever kind, and the side of the images that it takes in memory."""
    if state.config["kind"] == KIND:
        states, sizes, widths = zip(*parts_of(state), strict=True)
        return SeveralEmbedders(tuple(_single(each, runtime) for each in states), sizes, widths), None
    return _single(state, runtime), None if is_frozen(state) else image_size


def _single(state: State, runtime: Runtime) -> Embedder | FrozenEmbedder:
    return frozen_from_state(state, runtime) if is_frozen(state) else embedder_from_state(state)


def embed_source(
    embedder: Embedder | FrozenEmbedder | SeveralEmbedders,
    source: ImageSource,
    image_size: int | None,
    runtime: Runtime,
    max_skipped: float,
) -> Embedded:
    """Embed all images of a source, in memory at `image_size` where the embedder wants them so."""
    if isinstance(embedder, FrozenEmbedder | SeveralEmbedders):
        return embedder.embed(source, runtime, max_skipped)
    assert image_size is not None
    images = load_pixels(source, image_size, runtime, max_skipped, embedder.n_channels)
    return Embedded(embedder.transform(images.pixels, runtime), images.indices, images.skipped)


def side_by_side(
    features: Sequence[NDArray[np.float32]], indices: Sequence[NDArray[np.int64]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The rows that all have, joined, and where they are in the source; each has its indices in rising order."""
    common = reduce(np.intersect1d, indices)
    pairs = zip(features, indices, strict=True)
    return join([rows[np.searchsorted(own, common)] for rows, own in pairs]), common
