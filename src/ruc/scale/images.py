"""The images of a source in shards, as they travel to the workers."""

import pickle
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.images.load import Skipped, stream_batches
from ruc.images.reading import Reading
from ruc.images.source import ImageSource

SHARD_IMAGES: Final = 1024  # as much work as a fault may cost; of whole batches


def image_shards(source: ImageSource) -> list[dict[str, Any]]:
    """What workers are given of a source: names, and where the images are."""
    return [_shard(source, number) for number in range(-(-len(source) // SHARD_IMAGES))]


def source_of(shard: Mapping[str, Any], reading: Reading) -> ImageSource:
    """The images of a shard."""
    return ImageSource(tuple(shard["file_names"]), pickle.loads(shard["items"]), reading)


def why_skipped(source: ImageSource) -> tuple[Skipped, ...]:
    """The reasons, where no image of a shard can be read."""

    def prepare(image: Any) -> NDArray[np.uint8]:
        return np.empty(0, np.uint8)

    return tuple(one for batch in stream_batches(source, prepare, len(source)) for one in batch.skipped)


def _shard(source: ImageSource, number: int) -> dict[str, Any]:
    rows = slice(number * SHARD_IMAGES, (number + 1) * SHARD_IMAGES)
    names = list(source.file_names[rows])
    return {
        "number": number,
        "n_rows": len(names),
        "file_names": names,
        "items": pickle.dumps(source.items[rows]),
    }
