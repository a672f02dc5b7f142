"""Decoding many images in parallel: all of them into one small array, or batch after batch."""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.errors import InputError, NothingToClusterError, UnreadableImageError
from ruc.images.damage import DAMAGED
from ruc.images.decode import decode, size_of
from ruc.images.opening import pillow_warnings_ignored
from ruc.images.packed import Stored, open_stored
from ruc.images.source import ImageSource
from ruc.progress import progress

if TYPE_CHECKING:  # it imports torch, which takes seconds and is not needed here
    from ruc.runtime import Runtime

T = TypeVar("T")

SMALLEST_SIZE = 16
LARGEST_SIZE = 32
SIZE_SAMPLE = 64
MODES = {1: "L", 3: "RGB"}


class Skipped(NamedTuple):
    """An image that could not be read, and why, in plain words."""

    file_name: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """Images of one size in memory.

    Attributes
    ----------
    file_names
        Of the images that could be read, in the order of the source.
    pixels
        (n_images, C, size, size) uint8; unless it was asked for, C is 1 when all images are grey, else 3.
    skipped
        The images that could not be read.
    indices
        (n_images,) int64: where in the source each image is.
    """

    file_names: tuple[str, ...]
    pixels: NDArray[np.uint8]
    skipped: tuple[Skipped, ...]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Some images of a source: (b, …) as `prepare` made them, where they are in it, and those that are lost."""

    images: NDArray[Any]
    indices: NDArray[np.int64]
    skipped: tuple[Skipped, ...]


def plain_view(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The plain view (RUC, section 3.2): shorter side resized to `size`, antialiased, and the centre cropped.

    Returns (3, size, size), or (1, size, size) of a grey image, uint8.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # Resizing the box alone, not the image and then cropping: a panorama would grow to be huge.
    square = image.resize(
        (size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side), reducing_gap=3.0
    )
    pixels = np.asarray(square)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def load_pixels(
    source: ImageSource,
    size: int,
    runtime: "Runtime",
    max_skipped: float = 0.10,
    n_channels: int | None = None,
) -> ImageSet:
    """Read all images at one size into one array, decoding in parallel.

    Parameters
    ----------
    size
        Side of the square images in pixels.
    n_channels
        1 (colours become their luma) or 3 (greys are repeated), as a network takes them; None: 1 when all images are
        grey, else 3.

    Raises
    ------
    NothingToClusterError
        More than `max_skipped` of the images, or all of them, cannot be read.
    """
    indices: list[int] = []
    skipped: list[Skipped] = []
    pixels = np.empty((len(source), n_channels or 1, size, size), dtype=np.uint8)

    def prepare(image: Image.Image) -> NDArray[np.uint8]:
        if n_channels is None:
            return _compact(plain_view(image, size))
        return plain_view(image.convert(MODES[n_channels]), size)

    with progress("reading", len(source), "images", runtime.verbose) as advance:
        for index, view in enumerate(_decoded(source, prepare, size)):
            advance(1)
            if isinstance(view, Skipped):
                skipped.append(view)
                continue
            if len(view) > pixels.shape[1]:  # the first image in colour: until here all were grey
                pixels = _in_colour(pixels, len(indices))
            pixels[len(indices)] = view
            indices.append(index)
    check_skipped(skipped, len(source), max_skipped)
    return ImageSet(
        tuple(source.file_names[index] for index in indices),
        pixels[: len(indices)],
        tuple(skipped),
        np.asarray(indices, dtype=np.int64),
    )


def stream_batches(
    source: ImageSource,
    prepare: Callable[[Image.Image], NDArray[Any]],
    batch_size: int,
    shorter_side: int | None = None,
) -> Iterator[Batch]:
    """Decode and prepare batch after batch, in order, while the caller computes on the last one.

    Two batches at most are held ahead, so memory does not grow with the number of images. Consume or close
    the iterator: its threads live as long.

    Parameters
    ----------
    prepare
        Makes an array of an upright "L" or "RGB" image, always of one shape. Runs in several threads.
    batch_size
        Images a batch; fewer come out where some cannot be read, and a batch can be empty.
    shorter_side
        See `decode`.
    """
    images: list[NDArray[Any]] = []
    indices: list[int] = []
    skipped: list[Skipped] = []
    for index, image in enumerate(_decoded(source, prepare, shorter_side, ahead=2 * batch_size)):
        if isinstance(image, Skipped):
            skipped.append(image)
        else:
            images.append(image)
            indices.append(index)
        if (index + 1) % batch_size == 0 or index + 1 == len(source):
            stacked = np.stack(images) if images else np.empty(0)
            yield Batch(stacked, np.asarray(indices, dtype=np.int64), tuple(skipped))
            images, indices, skipped = [], [], []


def check_skipped(skipped: list[Skipped], n_images: int, max_skipped: float) -> None:
    """Raise `NothingToClusterError` when more than the share `max_skipped`, or all images, are lost."""
    if not 0 <= max_skipped <= 1:
        raise InputError(f"max_skipped is {max_skipped}; expected a share of the images, 0 to 1")
    if len(skipped) <= max_skipped * n_images and len(skipped) < n_images:
        return
    reasons = Counter(image.reason.partition(":")[0] for image in skipped).most_common()
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons)
    lost = f"{len(skipped)} of {n_images} images cannot be read ({counted}; the first is {skipped[0].file_name!r}), "
    if len(skipped) == n_images:
        raise NothingToClusterError(lost + "so none is left; mend them, or the names of them in the list")
    raise NothingToClusterError(
        f"{lost}more than the share of {max_skipped:g} allowed; mend or remove them, or raise --max-skipped "
        "(max_skipped=)"
    )


def choose_size(source: ImageSource, largest: int = LARGEST_SIZE) -> int:
    """The size at which to learn from scratch: that of the images themselves, within 16 … `largest` pixels.

    The median of the shorter sides of up to 64 images, evenly spread, is read from their headers. Small images keep
    their size (MNIST 28, CIFAR 32). Photographs come out at `largest`: by default at the side a small network on a CPU
    can afford, and at which a few thousand photographs show as much as at twice that (experiments/LOG.md).
    Images below 16 pixels (scikit-learn's 8-pixel digits) are enlarged to 16, so that three halvings leave
    2 x 2 pixels.
    """
    n_sampled = min(SIZE_SAMPLE, len(source))
    sides = []
    with pillow_warnings_ignored:
        for index in np.linspace(0, len(source) - 1, n_sampled).astype(int):
            try:
                sides.append(min(size_of(source.items[index], source.reading)))
            except UnreadableImageError:
                continue
    median = int(np.median(sides)) if sides else largest
    return min(max(median, SMALLEST_SIZE), largest)


def content_hashes(source: ImageSource) -> list[str]:
    """SHA-1 of the bytes of each file or array row, to tell exact copies; "" where a file cannot be opened.

    Bytes, not pixels: as fast as the disk, and a copy in the plain sense of the word. The same picture in
    another encoding is a near copy, for features to find.
    """
    with ThreadPoolExecutor(n_workers()) as pool:
        return list(pool.map(_sha1, source.items))


def open_thumbnail(source: ImageSource, index: int, size: int) -> Image.Image:
    """One whole image in RGB, no side longer than `size` pixels; raises `UnreadableImageError`."""
    with pillow_warnings_ignored:
        image = decode(source.items[index], size, source.reading).convert("RGB")
    image.thumbnail((size, size))
    return image


def _decoded(
    source: ImageSource,
    prepare: Callable[[Image.Image], T],
    shorter_side: int | None,
    ahead: int = 256,
) -> Iterator[T | Skipped]:
    """Each image of the source prepared, or `Skipped`, in order; at most `ahead` are waiting."""

    def work(index: int) -> T | Skipped:
        try:
            image = decode(source.items[index], shorter_side, source.reading)
        except UnreadableImageError as error:
            return Skipped(source.file_names[index], str(error))
        if source.watcher is not None:
            name, item = source.file_names[index], source.items[index]
            source.watcher.look_at(name, item, image, shorter_side, source.reading)
        return prepare(image)

    waiting: deque[Future[T | Skipped]] = deque()
    pool = ThreadPoolExecutor(n_workers(), thread_name_prefix="decode")
    with pillow_warnings_ignored:
        try:
            for index in range(len(source)):
                waiting.append(pool.submit(work, index))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def n_workers() -> int:
    """One thread for each core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compact(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One channel where red, green and blue are equal."""
    return (
        view[:1]
        if np.array_equal(view[0], view[-1]) and np.array_equal(view[0], view[len(view) // 2])
        else view
    )


def _in_colour(grey: NDArray[np.uint8], n_filled: int) -> NDArray[np.uint8]:
    colour = np.empty((len(grey), 3, *grey.shape[2:]), dtype=np.uint8)
    colour[:n_filled] = grey[:n_filled]
    return colour


def _sha1(item: Stored | NDArray[Any]) -> str:
    if isinstance(item, np.ndarray):
        return hashlib.sha1(item.tobytes(), usedforsecurity=False).hexdigest()
    try:
        with open_stored(item) as file:
            return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
    except (UnreadableImageError, *DAMAGED):
        return ""
