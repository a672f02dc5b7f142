"""Which embedder suits the images, where nobody said: chosen without labels, and without asking any network.

A pretrained model that is in the local cache is taken. Else the images decide: photographs, whose mirror images could
have been taken too, get the packaged backbone, which has seen a million photographs; drawn things, such as digits, get
features learned from themselves.
"""

import logging

import numpy as np

from ruc.embed.mirror import mirrored_share
from ruc.embed.packaged import DEFAULT, PACKAGES, weights_file
from ruc.embed.scratch import MOST_MIRRORED
from ruc.embed.weights import DEFAULT_MODEL, in_cache
from ruc.images.load import choose_size, load_pixels
from ruc.images.source import ImageSource
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

N_LOOKED_AT = 1000  # images


def choose_embedder(source: ImageSource, runtime: Runtime) -> tuple[tuple[str, ...], str]:
    """The name of an embedder, or of several, and one line that says why it is this one."""
    if in_cache(DEFAULT_MODEL):
        return (DEFAULT_MODEL,), f"{DEFAULT_MODEL}, which is in the local cache"
    if weights_file(DEFAULT) is None:
        missing = PACKAGES[DEFAULT].distribution
        return ("scratch",), f"scratch, learned from the images themselves, as {missing} isn't installed"
    some = source.take(np.unique(np.linspace(0, len(source) - 1, N_LOOKED_AT).astype(int)))
    share = mirrored_share(load_pixels(some, choose_size(some), runtime, max_skipped=1.0).pixels, runtime)
    if share > MOST_MIRRORED:
        return (
            "scratch",
        ), f"scratch, as {share:.0%} of the mirror images are unlike the images: drawn things"
    return (
        (DEFAULT,),
        f"{DEFAULT}, as mirror images are like the images ({share:.0%} are farther off): photographs",
    )
