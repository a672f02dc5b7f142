"""Image space of a run: which networks are retrained, how much of them, and from what."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.maps import MEMORY, all_pixels, load_blocks, map_views, n_views_of
from ruc.embed.packaged import PACKAGES
from ruc.embed.scratch import choose_policy
from ruc.embed.several import SeveralEmbedders
from ruc.embedding import Embedding
from ruc.errors import InputError
from ruc.images.load import choose_size, load_pixels
from ruc.images.source import ImageSource
from ruc.images.views import PAPER, PHOTO, ViewPolicy
from ruc.networks import Cut, FirstBlocks, State
from ruc.networks.efficientnet_lite import VARIANTS, block_shapes
from ruc.networks.last_blocks import last_size
from ruc.progress import progress
from ruc.refine.map_space import MapSpace
from ruc.refine.spaces import Backbones, ImageSpace, Space
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

SIDE = 160  # pixels
MOST_PIXELS = 8 * 2**30  # bytes of images that an accelerator may hold
CHUNK = 256  # images whose views are made again when a run was interrupted
N_LOOKED_AT = 1000  # images, for what their views may change


def packaged_names(embedded: Embedding) -> tuple[str, ...]:
    """The packaged networks among the embedders, at most two: those whose blocks can be retrained."""
    embedder = embedded.embedder
    parts = embedder.parts if isinstance(embedder, SeveralEmbedders) else (embedder,)
    names = [part.name for part in parts if isinstance(part, FrozenEmbedder) and part.name in PACKAGES]
    return tuple(names[:2])


def space_of_packaged(
    names: Sequence[str],
    source: ImageSource,
    side: int | None,
    runtime: Runtime,
    kept: Checkpoints,
) -> Space:
    """Image space on packaged networks: of several, each of the two networks of RUC starts from another one.

    On an accelerator whole networks learn from images, where these fit. Elsewhere the last blocks do, from maps of a
    few views that are made once: on a processor the first blocks would take most of the time in every epoch.

    Parameters
    ----------
    names
        One or two packaged networks.
    source
        The images, all of which can be read.
    side
        In pixels; None: 160.
    kept
        Checkpoints: maps that are there already are taken from them.

    Raises
    ------
    InputError
        There are more images than the maps of a plain, a weak and a strong view of each fit in memory.
    """
    side = side or SIDE
    policy = _policy(source, runtime)
    is_whole = _learns_whole(len(source) * 3 * side * side, runtime)
    cuts = _cuts(names, side, is_whole)
    first, blocks = load_blocks(cuts, runtime)
    backbones: Backbones = blocks[0], blocks[-1]
    if is_whole:
        return ImageSpace(all_pixels(source, cuts[0], runtime), backbones, policy, runtime)
    n_views = n_views_of(len(source), cuts)
    if not all(n_views):
        most = MEMORY // (3 * 2 * cuts[-1].stop)
        raise InputError(
            f"--space image given for {len(source)} images; expected at most {most} with {'+'.join(names)} at {side} "
            "pixels, whose maps are held in memory: --space feature, or a smaller --image-size"
        )
    maps = maps_of_views(source, first, policy, n_views, runtime, kept)
    logger.info("maps of %d views of each image: %d MiB", len(maps), maps.nbytes // 2**20)
    return MapSpace(maps, n_views[0], backbones)


def maps_of_views(
    source: ImageSource,
    first: FirstBlocks,
    policy: ViewPolicy,
    n_views: tuple[int, int],
    runtime: Runtime,
    kept: Checkpoints,
) -> NDArray[np.float16]:
    """The maps of all images, (1 + n_weak + n_strong, n_images, values of all maps); see `map_views`.

    Chunks of images whose maps were kept are taken from the checkpoints, the others' are left there.
    """
    starts = range(0, len(source), CHUNK)
    kept = replace(kept.of("views"), fits=dict.fromkeys(map(str, starts), kept.fits.get("embedding", "")))
    maps = np.empty((1 + sum(n_views), len(source), max(cut.stop for cut in first.cuts)), np.float16)
    with progress("views", len(source), "images", runtime.verbose) as advance:
        for start in starts:
            part = slice(start, min(start + CHUNK, len(source)))
            done = kept.load(str(start))
            if done is None:
                some, generator = (
                    source.take(range(part.start, part.stop)),
                    runtime.generator(f"views/{start}"),
                )
                found = map_views(some, first, policy, n_views, generator, runtime)
                done = State({"kind": "views"}, {"maps": found})
                kept.save(str(start), done)
            maps[:, part] = done.weights["maps"].numpy()
            advance(part.stop - part.start)
    return maps


def what_is_retrained(space: Space) -> tuple[str, ...]:
    """A line that says which networks learn, and from what; none of heads on features."""
    if isinstance(space, MapSpace):
        cuts = dict.fromkeys(backbone.cut for backbone in space.backbones)
        each = " and ".join(f"{_n_retrained(cut)} blocks of {cut.name}" for cut in cuts)
        n_strong = len(space.maps) - 1 - space.n_weak
        side = next(iter(cuts)).side
        return (
            f"retrained: the last {each}, at {side} pixels, from the maps that the blocks below made of each image, "
            f"{space.n_weak} weak and {n_strong} strong views of it",
        )
    if isinstance(space, ImageSpace):
        of = "learned from these images"
        if isinstance(space.backbone, tuple):
            of = " and ".join(dict.fromkeys(backbone.cut.name for backbone in space.backbone))
        return (f"retrained: whole networks ({of}), at {space.pixels.shape[-1]} pixels",)
    return ()


def _learns_whole(n_bytes: int, runtime: Runtime) -> bool:
    """Whether whole networks are affordable, and images of so many bytes fit."""
    return runtime.device.type != "cpu" and n_bytes <= MOST_PIXELS


def _cuts(names: Sequence[str], side: int, is_whole: bool) -> tuple[Cut, ...]:
    cuts: list[Cut] = []
    for name in names:
        start = cuts[-1].stop if cuts and not is_whole else 0
        cuts.append(Cut(name, side, 0 if is_whole else last_size(name), start))
    return tuple(cuts)


def _n_retrained(cut: Cut) -> int:
    return len(block_shapes(VARIANTS[cut.name])) - cut.n_frozen


def _policy(source: ImageSource, runtime: Runtime) -> ViewPolicy:
    """What views may change, by some of the images: of photographs the paper's crops and flips."""
    some = source.take(np.unique(np.linspace(0, len(source) - 1, N_LOOKED_AT).astype(int)))
    policy, why = choose_policy(load_pixels(some, choose_size(some), runtime).pixels, runtime)
    logger.info("retraining packaged networks: %s", why)
    return PAPER if policy == PHOTO else policy
