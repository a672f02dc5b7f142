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
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from ruc.embed.contrastive import ContrastiveEmbedder, companions
from ruc.embed.embedder import State
from ruc.errors import InputError
from ruc.images.views import PHOTO, ViewPolicy, random_view, to_float
from ruc.networks import (
    NetworkSettings,
    ResNet,
    load_optimizer,
    optimizer_tensors,
    projection_head,
    seeded_init,
    warmup_cosine,
)
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = ["MomentumSettings", "agreement_loss", "fit_momentum"]


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


class Learner:
    """Student, predictor, teacher, the optimiser, and what the teacher last made of each image.

    Attributes
    ----------
    student, teacher
        Backbone and projection: images to (n, n_projected).
    predictor
        What the student has and the teacher hasn't.
    memory
        (n_images, n_projected) unit rows; zeros before an image was first seen.
    companions
        (n_images, n) rows of the mutual neighbours, the image itself where there are fewer.
    """

    def __init__(self, pixels: Tensor, settings: MomentumSettings, runtime: Runtime) -> None:
        shape = replace(settings.network, channels=pixels.shape[1])
        with seeded_init(runtime.numpy_seed("momentum/weights")):
            network, width = ResNet(shape), settings.n_projected
            head = projection_head(network.settings.n_features, settings.n_hidden, width)
            predictor = projection_head(width, settings.n_hidden, width)
        device = pixels.device
        student = nn.Sequential(network, head)
        self.student: nn.Sequential = student.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.predictor = predictor.to(device)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.optimizer = torch.optim.SGD(
            [*self.student.parameters(), *self.predictor.parameters()],
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=True,
            fused=device.type in ("cpu", "cuda"),
        )
        self.memory = torch.zeros(len(pixels), width, device=device)
        self.companions = torch.arange(len(pixels), device=device)[:, None]

    @property
    def network(self) -> ResNet:
        """The student's backbone."""
        network: ResNet = self.student[0]  # type: ignore[assignment]
        return network

    def state(self, epoch: int) -> State:
        """Everything that the epochs after this one depend on."""
        weights = {"memory": self.memory, "companions": self.companions}
        for name, module in self._modules().items():
            weights |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        weights |= {f"optimizer.{key}": value for key, value in optimizer_tensors(self.optimizer).items()}
        copies = {key: value.detach().cpu().clone() for key, value in weights.items()}
        return State({"kind": "momentum", "epoch": epoch}, copies)

    def restore(self, state: State) -> int:
        """Back to where the state was taken; returns the next epoch."""
        kind, n_images = state.config.get("kind"), len(state.weights.get("memory", ()))
        if kind != "momentum" or n_images != len(self.memory):
            raise InputError(
                f"a state of kind {kind!r} with {n_images} images was given to resume from; expected 'momentum' with "
                f"{len(self.memory)} images; resume with the same data, or start anew"
            )

        def under(name: str) -> dict[str, Tensor]:
            pairs = state.weights.items()
            return {key.removeprefix(name): value for key, value in pairs if key.startswith(name)}

        for name, module in self._modules().items():
            module.load_state_dict(under(f"{name}."))
        load_optimizer(self.optimizer, under("optimizer."))
        self.memory.copy_(state.weights["memory"])
        self.companions = state.weights["companions"].to(self.memory.device)
        return int(state.config["epoch"]) + 1

    def _modules(self) -> dict[str, nn.Module]:
        return {"student": self.student, "predictor": self.predictor, "teacher": self.teacher}


def fit_momentum(
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    settings: MomentumSettings | None = None,
    on_epoch: Callable[[int, float, Callable[[], State]], None] | None = None,
    resume: State | None = None,
) -> ContrastiveEmbedder:
    """Train a network on the images themselves, without labels.

    Parameters
    ----------
    pixels
        (n, channels, side, side) uint8, held as one tensor on the device.
    runtime
        Device and seed.
    settings
        How; by default `MomentumSettings()`.
    on_epoch
        Called after each epoch with its number, its mean loss, and a function that returns the state to resume from.
    resume
        Such a state: training goes on where it was taken and ends as if it hadn't been interrupted.

    Raises
    ------
    InputError
        The state to resume from is another's.
    """
    settings = settings or MomentumSettings()
    images = torch.as_tensor(pixels, device=runtime.device)
    learner = Learner(images, settings, runtime)
    first = 0 if resume is None else learner.restore(resume)
    with progress("learning to embed", settings.n_epochs - first, "epochs", runtime.verbose) as advance:
        for epoch in range(first, settings.n_epochs):
            begun = epoch - settings.n_epochs + round(settings.neighbor_epochs * settings.n_epochs)
            if epoch > 0 and begun >= 0 and (begun % settings.search_every == 0 or epoch == 1):
                near = companions(learner.memory.cpu().numpy(), settings.n_neighbors, runtime)
                learner.companions = near.to(images.device)
            loss = train_epoch(learner, images, settings, epoch, runtime, begun >= 0 and epoch > 0)
            if on_epoch is not None:
                on_epoch(epoch, loss, lambda: learner.state(epoch))  # noqa: B023 - called before the next epoch
            advance(1)
    return ContrastiveEmbedder(learner.network.eval(), images.shape[-1], settings.policy)


def train_epoch(
    learner: Learner,
    images: Tensor,
    settings: MomentumSettings,
    epoch: int,
    runtime: Runtime,
    with_neighbors: bool,
) -> float:
    """One pass over the images; returns the mean loss."""
    generator = runtime.generator(f"momentum/epoch {epoch}")
    n_batches = max(1, len(images) // settings.batch_size)
    n_steps = settings.n_epochs * n_batches
    small = epoch < settings.small_epochs * settings.n_epochs
    side = max(8, round(settings.small_side * images.shape[-1])) if small else images.shape[-1]
    share = settings.neighbor_share if with_neighbors else 0.0
    total = torch.zeros((), device=images.device)
    order = torch.randperm(len(images), generator=generator).to(images.device)
    for number, rows in enumerate(order.tensor_split(n_batches)):
        step = epoch * n_batches + number
        for group in learner.optimizer.param_groups:
            group["lr"] = settings.learning_rate * warmup_cosine(step, n_steps)
        loss = train_step(
            learner, images, rows, settings, min(side, images.shape[-1]), share, runtime, generator
        )
        follow(learner.teacher, learner.student, inertia(settings.inertia, step / n_steps))
        total += loss
    return float(total) / n_batches


def train_step(
    learner: Learner,
    images: Tensor,
    rows: Tensor,
    settings: MomentumSettings,
    side: int,
    share: float,
    runtime: Runtime,
    generator: torch.Generator,
) -> Tensor:
    """The student learns from one batch; the memory learns what the teacher made of it. Returns the loss."""
    pixels = to_float(images[rows])
    views = torch.cat(
        [random_view(pixels, settings.policy, generator, side) for _ in range(settings.n_views)]
    )
    views = views.contiguous(memory_format=torch.channels_last)
    with runtime.autocast():
        predicted = learner.predictor(learner.student(views))
        with torch.no_grad():
            seen = learner.teacher(views)
    shape = (settings.n_views, len(rows), settings.n_projected)
    targets = normalize(seen.float(), dim=1).view(shape)
    near = None
    if share > 0:
        column = torch.randint(learner.companions.shape[1], (len(rows),), generator=generator).to(rows.device)
        near = learner.memory[learner.companions[rows, column]]
    loss = agreement_loss(predicted.float().view(shape), targets, near, share)
    learner.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    learner.memory[rows] = normalize(targets.mean(dim=0), dim=1)
    return loss.detach()


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
