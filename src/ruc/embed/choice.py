"""Which embedder suits the images, where nobody said: chosen without labels, and without asking any network.

A pretrained model that is in the local cache is taken. Else the images decide between the packaged backbone, which has
seen a million photographs, and features learned from the images themselves. Learning takes minutes, so the pixels stand
in for what would be learned: what they can't tell apart the network rarely does either. Of a thousand images the groups
of both are found from several starts, and the embedding is taken whose groups agree better with each other
(`ruc.neighbors.stability`). Pixels of photographs show stable groups too, of brightness and background; so where mirror
images are like the images, as with photographs, the backbone is left only for pixels that are more stable by a margin.
"""

from collections.abc import Callable

import numpy as np

from ruc.embed.frozen import Embedded
from ruc.embed.mirror import mirrored_share
from ruc.embed.packaged import DEFAULT, PACKAGES, weights_file
from ruc.embed.pixels import fit_pixels
from ruc.embed.scratch import MOST_MIRRORED
from ruc.embed.weights import DEFAULT_MODEL, in_cache
from ruc.images.load import choose_size, load_pixels
from ruc.images.source import ImageSource
from ruc.neighbors.stability import stability
from ruc.runtime import Runtime

N_LOOKED_AT = 1000  # images
ENOUGH = 300  # images; of fewer the agreement says little
MARGIN = 0.03  # of agreement: aerial photographs' pixels were ahead by 0.01, those of stained cells by 0.05


def choose_embedder(
    source: ImageSource, runtime: Runtime, by_packaged: Callable[[str, ImageSource], Embedded]
) -> tuple[tuple[str, ...], str]:
    """The names of one or several embedders, and one line that says why it is these.

    `source`: the images, of which up to a thousand are looked at. `by_packaged`: features of some images by a packaged
    backbone.
    """
    if in_cache(DEFAULT_MODEL):
        return (DEFAULT_MODEL,), f"{DEFAULT_MODEL}, which is in the local cache"
    if missing := [PACKAGES[name].distribution for name in DEFAULT if weights_file(name) is None]:
        return ("scratch",), f"scratch, learned from the images themselves, as {missing[0]} isn't installed"
    some = source.take(np.unique(np.linspace(0, len(source) - 1, N_LOOKED_AT).astype(int)))
    pixels = load_pixels(some, choose_size(some), runtime, max_skipped=1.0).pixels
    mirrored = mirrored_share(pixels, runtime)
    is_drawn = mirrored > MOST_MIRRORED
    kind = "drawn things" if is_drawn else "photographs"
    mirror = f"mirror images are {'un' if is_drawn else ''}like the images, as of {kind} ({mirrored:.0%} farther off)"
    chosen = "+".join(DEFAULT)
    if len(pixels) < ENOUGH:
        return (("scratch",), f"scratch, as {mirror}") if is_drawn else (DEFAULT, f"{chosen}, as {mirror}")
    of_backbone = stability(by_packaged(DEFAULT[0], some).features, runtime)
    of_pixels = stability(fit_pixels(pixels).transform(pixels, runtime), runtime)
    found = f"groups found from several starts agree by {of_backbone:.2f}, those of pixels by {of_pixels:.2f}; {mirror}"
    if of_backbone + (0.0 if is_drawn else MARGIN) < of_pixels:
        return ("scratch",), f"scratch, as with {DEFAULT[0]} {found}"
    return DEFAULT, f"{chosen}, as with {DEFAULT[0]} {found}"
