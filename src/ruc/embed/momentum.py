"""A self-supervised embedding for tens of thousands of images and a GPU: learned against a slow copy of itself.

BYOL (Grill et al. 2020, arXiv 2006.07733): a student predicts what its teacher, the moving average of the student,
makes of another view of the same image. No image is pushed away from another, so that two images of one class never
are; of the methods trained as long, this one's neighbours are the purest. Three changes:

- *Several views an image* (FastSiam, Pototzky et al. 2022): the target is the mean of what the teacher makes of all
  other views. A steadier target is learned from in fewer passes.
- *Neighbours* (mean shift, Koohpayegani et al. 2021, arXiv 2105.07269): in the later epochs a share of the target is
  what the teacher last made of a mutual near neighbour. It's read from a memory of all images, at no cost.
- *Small views first*: in the earlier epochs views have a share of the side, and cost its square.

`contrastive.py` is the one for thousands of images and a CPU: it learns faster in the first few hundred steps.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embed.view_side import view_side
from ruc.images.views import PHOTO, ViewPolicy, random_view, to_float
from ruc.neighbors.companions import draw_companions, find_companions
from ruc.networks import (
    NetworkSettings,
    OnEpoch,
    ResNet,
    State,
    can_fuse,
    channels_last,
    projection_head,
    seeded_init,
    set_learning_rate,
    shuffled_batches,
    train_epochs,
    warmup_cosine,
)
from ruc.runtime import Runtime


@dataclass(frozen=True)
class MomentumSettings:
    """How the networks are made and trained.

    Attributes
    ----------
    policy
        What the views may change: the invariances that the features will have.
    network
        Shape of the backbone; the number of channels is taken from the images. The default is ResNet-18 for CIFAR.
    n_epochs, batch_size
        Passes over the images, and images in a batch; each gives `n_views` views.
    n_views
        Views of an image in a batch, at least 2; student and teacher see all of them.
    small_epochs, small_side
        In this share of the epochs, the first ones, views have this share of the side.
    neighbor_epochs
        In this share of the epochs, the last ones, neighbours count.
    neighbor_share, n_neighbors
        Their share of the target then, and of how many nearest ones it is drawn; found anew every `search_every`
        epochs.
    search_every
        See `n_neighbors`.
    learning_rate, weight_decay, momentum
        SGD with Nesterov momentum; the rate rises over the first tenth, then falls to 0 along a cosine.
    inertia
        Share of the teacher that stays at each step in the beginning; it rises to 1 along a cosine.
    n_hidden, n_projected
        Widths of projection and prediction.
    """

    policy: ViewPolicy = PHOTO
    network: NetworkSettings = field(default_factory=NetworkSettings)
    n_epochs: int = 100
    batch_size: int = 256
    n_views: int = 4
    small_epochs: float = 0.6
    small_side: float = 0.75
    neighbor_epochs: float = 0.4
    neighbor_share: float = 0.5
    n_neighbors: int = 5
    search_every: int = 5
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    momentum: float = 0.9
    inertia: float = 0.99
    n_hidden: int = 1024
    n_projected: int = 256


class Learner(nn.Module):
    """Student, predictor, teacher, and what the teacher last made of each image.

    Attributes
    ----------
    pixels
        (n_images, channels, side, side) uint8, on the device.
    student, teacher
        Backbone and projection: images to (n, n_projected).
    predictor
        What the student has and the teacher hasn't.
    memory
        (n_images, n_projected) unit rows; zeros before an image was first seen.
    companions
        (n_images, n_neighbors) rows of the mutual neighbours, the image itself where there are fewer.
    """

    memory: Tensor
    companions: Tensor

    def __init__(self, pixels: Tensor, settings: MomentumSettings, runtime: Runtime) -> None:
        super().__init__()
        self.pixels, self.settings, self.runtime = pixels, settings, runtime
        shape = replace(settings.network, channels=pixels.shape[1])
        with seeded_init(runtime.numpy_seed("momentum/weights")):
            network, width = ResNet(shape), settings.n_projected
            head = projection_head(network.settings.n_features, settings.n_hidden, width)
            predictor = projection_head(width, settings.n_hidden, width)
        device, n_images = pixels.device, len(pixels)
        self.student = channels_last(nn.Sequential(network, head), device)
        self.predictor = predictor.to(device)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.register_buffer("memory", torch.zeros(n_images, width, device=device))
        itself = torch.arange(n_images, device=device)[:, None]
        self.register_buffer("companions", itself.repeat(1, min(settings.n_neighbors, n_images - 1)))

    @property
    def network(self) -> ResNet:
        """The student's backbone."""
        network: ResNet = self.student[0]  # type: ignore[assignment]
        return network

    def optimizer(self) -> torch.optim.Optimizer:
        """Of what learns by descent: the teacher doesn't."""
        return torch.optim.SGD(
            [*self.student.parameters(), *self.predictor.parameters()],
            lr=self.settings.learning_rate,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
            nesterov=True,
            fused=can_fuse(self.memory.device),
        )

    def find_companions(self) -> None:
        """Anew, from the memory."""
        near = find_companions(self.memory.cpu().numpy(), self.settings.n_neighbors, self.runtime)
        self.companions = near.to(self.memory.device)

    def loss(self, rows: Tensor, side: int, share: float, generator: torch.Generator) -> Tensor:
        """How far the student is from the teacher on views of these rows, which the memory takes from the teacher.

        `side`: of the views. `share`: of the target that is a neighbour's.
        """
        settings, pixels = self.settings, to_float(self.pixels[rows])
        views = torch.cat(
            [random_view(pixels, settings.policy, generator, side) for _ in range(settings.n_views)]
        )
        views = views.contiguous(memory_format=torch.channels_last)
        with self.runtime.autocast():
            predicted = self.predictor(self.student(views))
            with torch.no_grad():
                seen = self.teacher(views)
        shape = (settings.n_views, len(rows), settings.n_projected)
        targets = normalize(seen.float(), dim=1).view(shape)
        near = self.memory[draw_companions(rows, self.companions, generator)] if share > 0 else None
        self.memory[rows] = normalize(targets.mean(dim=0), dim=1)
        return agreement_loss(predicted.float().view(shape), targets, near, share)


def fit_momentum(
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    settings: MomentumSettings | None = None,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
) -> SelfSupervisedEmbedder:
    """Train a network on the images themselves, without labels.

    Parameters
    ----------
    pixels
        (n, channels, side, side) uint8, held as one tensor on the device.
    on_epoch, resume
        As of `train_epochs`.

    Raises
    ------
    InputError
        The state to resume from is another's.
    """
    settings = settings or MomentumSettings()
    images = torch.as_tensor(pixels, device=runtime.device)
    learner = Learner(images, settings, runtime)
    optimizer = learner.optimizer()
    n_images, n_epochs, full_side = len(images), settings.n_epochs, images.shape[-1]
    first_with_neighbors = n_epochs - round(settings.neighbor_epochs * n_epochs)

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        generator = runtime.generator(f"momentum/epoch {epoch}")
        begun = epoch - first_with_neighbors
        with_neighbors = epoch > 0 and begun >= 0  # the memory is empty before
        if with_neighbors and (begun % settings.search_every == 0 or epoch == 1):
            learner.find_companions()
        share = settings.neighbor_share if with_neighbors else 0.0
        side = view_side(epoch, n_epochs, full_side, settings.small_epochs, settings.small_side)
        batches = shuffled_batches(n_images, settings.batch_size, generator, images.device)
        n_steps = n_epochs * len(batches)
        for step, rows in enumerate(batches, start=epoch * len(batches)):
            set_learning_rate(optimizer, settings.learning_rate * warmup_cosine(step, n_steps))
            yield len(rows), learner.loss(rows, side, share, generator)
            follow(learner.teacher, learner.student, inertia(settings.inertia, step / n_steps))

    train_epochs(
        "learning to embed", learner, optimizer, losses, n_epochs, n_images, runtime, on_epoch, resume
    )
    return SelfSupervisedEmbedder(learner.network, settings.policy, "momentum")


def agreement_loss(predicted: Tensor, targets: Tensor, near: Tensor | None, share: float) -> Tensor:
    """How far predictions are from targets: ``2 - 2 cos``, averaged over views and images.

    Parameters
    ----------
    predicted
        (n_views, n, d) what the student predicts from each view; not yet normalised.
    targets
        (n_views, n, d) unit rows: what the teacher makes of each view. A view's target is the mean over the others.
    near
        (n, d) unit rows that stand for a neighbour of each image, or None.
    share
        The neighbour's share of the target.
    """
    others = (targets.sum(dim=0) - targets) / (len(targets) - 1)
    if near is not None:
        others = torch.lerp(others, near.expand_as(others), share)
    return (2 - 2 * (normalize(predicted, dim=2) * others).sum(dim=2)).mean()


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, inertia: float) -> None:
    """Move the teacher's weights towards the student's; its BatchNorm keeps averages of its own."""
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - inertia)


def inertia(start: float, done: float) -> float:
    """The share of the teacher that stays at a step: from `start` to 1 along half a cosine (BYOL)."""
    return 1 - (1 - start) * 0.5 * (1 + math.cos(math.pi * done))
