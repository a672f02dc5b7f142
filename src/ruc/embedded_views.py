"""Features of random views of every image, for heads to learn from as whole networks learn from images."""

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.scratch import choose_policy
from ruc.embed.several import SeveralEmbedders
from ruc.embedding import Embedding
from ruc.images.views import ViewPolicy, change, draw_changes, to_float
from ruc.runtime import Runtime

N_VIEWS = 8
CHUNK = 1000  # images
MOST_WITH_VIEWS = 20_000  # images whose views are embedded: 8 times their features are kept in memory


def embed_views(embedded: Embedding, runtime: Runtime) -> NDArray[np.float32] | None:
    """Features of random views of every image, for heads to learn from as whole networks learn from images.

    Returns (8, n_samples, n_features), unit-norm rows; None where the images aren't in memory, are many, or weren't
    embedded by a network.
    """
    images, embedder = embedded.images, embedded.embedder
    if images is None or embedder is None or isinstance(embedder, FrozenEmbedder | SeveralEmbedders):
        return None
    if embedded.backbone is None or len(images.pixels) > MOST_WITH_VIEWS:
        return None
    policy, _ = choose_policy(images.pixels, runtime)
    generator = runtime.generator("embedded views")
    views = (_view(images.pixels, policy, generator) for _ in range(N_VIEWS))
    return np.stack([embedder.transform(each, runtime) for each in views])


def _view(pixels: NDArray[np.uint8], policy: ViewPolicy, generator: torch.Generator) -> NDArray[np.uint8]:
    """A random view of each image, made of a few at a time: as floats all of them would take many times the memory."""
    changes = draw_changes(policy, len(pixels), pixels.shape[1], generator)
    views = np.empty_like(pixels)
    for start in range(0, len(pixels), CHUNK):
        part = slice(start, start + CHUNK)
        view = change(to_float(torch.from_numpy(pixels[part])), policy, changes.of(part))
        views[part] = view.mul_(255).round_().byte().numpy()
    return views
