"""A self-supervised embedding, trained on the very images that are to be clustered.

SimCLR (Chen et al. 2020, arXiv 2002.05709) with several views an image: the views of an image shall be closer to
each other than to those of all other images in the batch. From the second epoch on some of the views are of a mutual
near neighbour instead (as in NNCLR, Dwibedi et al. 2021), which teaches what no augmentation can show.

Made for thousands of small images and a CPU: a narrow residual network that halves the side at once, small views in
the first epochs, and four views for each image, which cost less than twice the epochs with two.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ruc.embed.pixels import fit_pixels
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embed.view_side import view_side
from ruc.images.views import GENTLE, ViewPolicy, random_view, to_float
from ruc.neighbors.companions import find_companions, replace_some
from ruc.networks import (
    NetworkSettings,
    OnEpoch,
    ResNet,
    State,
    channels_last,
    projection_head,
    seeded_init,
    set_learning_rate,
    shuffled_batches,
    train_epochs,
    warmup_cosine,
)
from ruc.networks.muon import Muon
from ruc.runtime import Runtime, to_device

SMALL_SIDE = 16  # images below are not halved at once


@dataclass(frozen=True)
class ContrastiveSettings:
    """How the network is made and trained.

    Attributes
    ----------
    policy
        What the views may change: the invariances that the features will have.
    network
        Its shape; the number of channels is taken from the images. None: narrow, and halving the side at once
        unless the images are tiny.
    epochs
        Passes over the images; None: 20 with up to 5,000 of them, fewer with more, down to 5, and more where they
        would make fewer than 400 batches, up to 200.
    batch_size
        Images in a batch; each gives `n_views` views.
    n_views
        Views of an image in a batch.
    small_epochs, small_side
        In this share of the epochs, the first ones, views have this share of the side.
    neighbor_chance
        Chance that a view, other than an image's first, is of one of its mutual near neighbours instead.
    n_neighbors
        How many neighbours to draw from; found anew each epoch in the features and the pixels together. None:
        one for 200 images, between 5 and 25, which is a twentieth of a cluster where there are ten.
    pixel_weight
        Weight of the pixels in finding them, beside 1 for the features.
    learning_rate
        Muon's; it rises over the first tenth, then falls to 0 along a cosine.
    temperature
        What similarities are divided by.
    n_projected
        Dimensions in which views are compared.
    """

    policy: ViewPolicy = GENTLE
    network: NetworkSettings | None = None
    epochs: int | None = None
    batch_size: int = 125
    n_views: int = 4
    small_epochs: float = 0.6
    small_side: float = 0.7
    neighbor_chance: float = 0.8
    n_neighbors: int | None = None
    pixel_weight: float = 0.4
    learning_rate: float = 0.01
    temperature: float = 0.2
    n_projected: int = 64


def contrastive_loss(projected: Tensor, n_views: int, temperature: float) -> Tensor:
    """Decoupled InfoNCE (Yeh et al. 2022, arXiv 2110.06848), averaged over every ordered pair of views.

    For each row: minus its similarity to another view of its image, plus the logarithm of the summed
    exponentials of its similarities to all rows of *other* images.

    Parameters
    ----------
    projected
        (n_views * n, d), the first views of all n images first, then the second ones; not yet normalised.
    n_views
        At least 2.
    temperature
        What similarities are divided by.
    """
    rows = normalize(projected, dim=1)
    similarity = rows @ rows.T / temperature
    image = torch.arange(len(rows) // n_views, device=rows.device).repeat(n_views)
    same_image = image[:, None] == image
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    alike = similarity.masked_fill(~same_image | itself, 0.0).sum(dim=1) / (n_views - 1)
    others = similarity.masked_fill(same_image, -math.inf).logsumexp(dim=1)
    return (others - alike).mean()


def fit_contrastive(
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    settings: ContrastiveSettings | None = None,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
) -> SelfSupervisedEmbedder:
    """Train a network on the images themselves, without labels.

    `pixels`: (n, channels, size, size) uint8; at least 3 images. `on_epoch`, `resume`: as of `train_epochs`.

    Raises
    ------
    InputError
        The state to resume from is another's.
    """
    settings = settings or ContrastiveSettings()
    shape = settings.network or NetworkSettings(
        width=24, blocks=(1, 1, 1), stem="full" if pixels.shape[-1] < SMALL_SIDE else "half"
    )
    with seeded_init(runtime.numpy_seed("contrastive/weights")):
        network = ResNet(replace(shape, channels=pixels.shape[1]))
        width = network.settings.n_features
        head = projection_head(width, width, settings.n_projected)
    embedder = SelfSupervisedEmbedder(network, settings.policy, "contrastive")
    _train(embedder, head, pixels, settings, runtime, on_epoch, resume)
    return embedder


def _train(
    embedder: SelfSupervisedEmbedder,
    head: nn.Module,
    pixels: NDArray[np.uint8],
    settings: ContrastiveSettings,
    runtime: Runtime,
    on_epoch: OnEpoch | None,
    resume: State | None,
) -> None:
    device, generator = runtime.device, runtime.generator("contrastive/views")
    images = torch.from_numpy(pixels).to(device)
    n_images, n_batches = len(images), max(1, len(images) // settings.batch_size)
    n_epochs = settings.epochs or _enough_epochs(n_images, n_batches)
    model = channels_last(nn.Sequential(embedder.network, head), device)
    optimizer = Muon(model.parameters(), settings.learning_rate)
    pixel_features = fit_pixels(pixels).transform(pixels, runtime)
    n_neighbors = settings.n_neighbors or max(5, min(25, n_images // 200))

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        stand_ins = torch.arange(n_images)[:, None]
        if epoch > 0 and settings.neighbor_chance > 0:
            features = embedder.transform(pixels, runtime, mixed_precision=True)
            model.train()
            both = np.concatenate([features, settings.pixel_weight * pixel_features], axis=1)
            stand_ins = find_companions(both, n_neighbors, runtime)
        side = view_side(epoch, n_epochs, pixels.shape[-1], settings.small_epochs, settings.small_side)
        batches = shuffled_batches(n_images, settings.batch_size, generator, torch.device("cpu"))
        for step, rows in enumerate(batches, start=epoch * n_batches):
            set_learning_rate(optimizer, settings.learning_rate * warmup_cosine(step, n_epochs * n_batches))
            others = [
                replace_some(rows, stand_ins, settings.neighbor_chance, generator)
                for _ in range(settings.n_views - 1)
            ]
            (shown,) = to_device(device, torch.cat([rows, *others]))
            batch = to_float(images[shown])
            yield len(rows), batch_loss(model, batch, side, settings, runtime, generator)

    train_epochs(
        "learning to embed",
        model,
        optimizer,
        losses,
        n_epochs,
        n_images,
        runtime,
        on_epoch,
        resume,
        generator,
    )


def batch_loss(
    model: nn.Module,
    images: Tensor,
    side: int,
    settings: ContrastiveSettings,
    runtime: Runtime,
    generator: torch.Generator,
) -> Tensor:
    """The loss of one random view, of this side, of each image: `n_views` times the images of a batch in [0, 1]."""
    views = random_view(images, settings.policy, generator, side)
    with runtime.autocast():
        projected = model(views.contiguous(memory_format=torch.channels_last))
    return contrastive_loss(projected.float(), settings.n_views, settings.temperature)


def _enough_epochs(n_images: int, n_batches: int) -> int:
    return max(5, min(20, 100_000 // n_images), min(200, math.ceil(400 / n_batches)))
