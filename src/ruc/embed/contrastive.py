"""A self-supervised embedding, trained on the very images that are to be clustered.

SimCLR (Chen et al. 2020, arXiv 2002.05709): two random views of an image shall be closer to each other than to
the views of all other images in the batch. Made for thousands of small images and a CPU: a narrow residual
network that halves the side at once.
"""

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ruc.embed.embedder import State
from ruc.images.views import GENTLE, ViewPolicy, random_view, to_float
from ruc.networks import NetworkSettings, ResNet, projection_head, seeded_init
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = ["ContrastiveEmbedder", "ContrastiveSettings", "contrastive_loss", "fit_contrastive"]

CHUNK = 1000


@dataclass(frozen=True)
class ContrastiveSettings:
    """How the network is made and trained.

    Attributes
    ----------
    policy
        What the views may change: the invariances that the features will have.
    network
        Its shape; the number of channels is taken from the images.
    max_side
        Larger images are shrunk to this side, in training and after.
    epochs
        Passes over the images.
    batch_size
        Images in a batch; each gives `n_views` views.
    n_views
        Views of an image in a batch.
    learning_rate, weight_decay
        AdamW; the rate rises over the first tenth, then falls to 0 along a cosine.
    temperature
        What similarities are divided by.
    n_projected
        Dimensions in which views are compared.
    """

    policy: ViewPolicy = GENTLE
    network: NetworkSettings = NetworkSettings(width=24, blocks=(1, 1, 1), stem="half")  # noqa: RUF009
    max_side: int = 32
    epochs: int = 40
    batch_size: int = 500
    n_views: int = 2
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    temperature: float = 0.2
    n_projected: int = 64


@dataclass(frozen=True)
class ContrastiveEmbedder:
    """A trained backbone; its normalised features are the embedding.

    Attributes
    ----------
    network
        Images (n, channels, side, side) in [0, 1] to features (n, n_features), not normalised.
    side
        Side of the images that the network was trained on.
    """

    network: ResNet
    side: int

    @property
    def name(self) -> str:
        """How it is called in settings and reports."""
        return "contrastive"

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """(n, channels, size, size) uint8 pixels as (n, n_features) unit-norm rows."""
        network = self.network.to(runtime.device).eval()
        chunks = []
        with torch.inference_mode():
            for start in range(0, len(pixels), CHUNK):
                images = _shrink(torch.from_numpy(pixels[start : start + CHUNK]), self.side).to(
                    runtime.device
                )
                chunks.append(F.normalize(network(images), dim=1).cpu())
        features: NDArray[np.float32] = torch.cat(chunks).numpy()
        return features

    def state(self) -> State:
        """Everything needed to make it again."""
        config = {"kind": self.name, "side": self.side, "network": asdict(self.network.settings)}
        return State(config, {name: value.cpu() for name, value in self.network.state_dict().items()})

    @classmethod
    def from_state(cls, state: State) -> "ContrastiveEmbedder":
        """The embedder whose `state()` this is."""
        shape = dict(state.config["network"])
        network = ResNet(NetworkSettings(**{**shape, "blocks": tuple(shape["blocks"])}))
        network.load_state_dict(state.weights)
        return cls(network.eval(), state.config["side"])


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
    rows = F.normalize(projected, dim=1)
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
    start: ContrastiveEmbedder | None = None,
) -> ContrastiveEmbedder:
    """Train a network on the images themselves, without labels.

    Parameters
    ----------
    pixels
        (n, channels, size, size) uint8; at least 4 images.
    runtime
        Device and seed.
    settings
        How; by default `ContrastiveSettings()`.
    start
        Go on from this embedder's weights.
    """
    settings = settings or ContrastiveSettings()
    side = min(settings.max_side, pixels.shape[-1])
    images = torch.from_numpy(pixels)
    with seeded_init(runtime.numpy_seed("contrastive/weights")):
        network = ResNet(replace(settings.network, channels=pixels.shape[1]))
        width = network.settings.n_features
        head = projection_head(width, width, settings.n_projected)
    if start is not None:
        network.load_state_dict(start.network.state_dict())
    _train(network, head, images, side, settings, runtime)
    return ContrastiveEmbedder(network.eval(), side)


def _train(
    network: nn.Module,
    head: nn.Module,
    pixels: Tensor,
    side: int,
    settings: ContrastiveSettings,
    runtime: Runtime,
) -> None:
    device, generator = runtime.device, runtime.generator("contrastive/views")
    model = nn.Sequential(network, head).to(device, memory_format=torch.channels_last).train()
    n_batches = max(1, len(pixels) // settings.batch_size)
    n_steps = settings.epochs * n_batches
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, n_steps))
    with progress("learning to embed", settings.epochs * len(pixels), "images", runtime.verbose) as advance:
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(pixels), generator=generator).tensor_split(n_batches):
                images = _shrink(pixels[rows], side).to(device)
                views = [random_view(images, settings.policy, generator) for _ in range(settings.n_views)]
                batch = torch.cat(views).contiguous(memory_format=torch.channels_last)
                with torch.autocast(
                    device.type, runtime.autocast_dtype, enabled=runtime.autocast_dtype is not None
                ):
                    projected = model(batch)
                loss = contrastive_loss(projected.float(), settings.n_views, settings.temperature)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                scheduler.step()
                advance(len(rows))


def _rate(step: int, n_steps: int) -> float:
    """Share of the learning rate at a step: a linear rise over a tenth of them, then half a cosine."""
    rise = max(1, n_steps // 10)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, n_steps - rise)))


def _shrink(pixels: Tensor, side: int) -> Tensor:
    images = to_float(pixels)
    if images.shape[-1] <= side:
        return images
    return F.interpolate(images, size=(side, side), mode="area")
