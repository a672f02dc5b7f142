"""SCAN on images: the backbone is trained along (Van Gansbeke et al. 2020, arXiv 2005.12320, sections 2.2 and 2.3).

Heads are fitted to the frozen features first, which takes seconds and keeps random heads from undoing the backbone.
Then backbone and heads learn together that a view of an image and one of its neighbour belong to the same cluster
(`fit_on_neighbors`). The head with the lowest loss is kept, and taught its own confident predictions on strong views
(`self_label_images`).
"""

import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ruc.cluster.clustering import Clustering
from ruc.cluster.scan import ENTROPY_WEIGHT, N_NEIGHBORS, Heads, scan_loss, train_heads
from ruc.embed.checkpoint import apply_in_batches
from ruc.embed.embedder import State
from ruc.embed.neighbors import Neighbors
from ruc.errors import InputError
from ruc.images.views import ViewPolicy, random_view, strong_view, to_float
from ruc.networks import ImageNetwork, ResNet, load_optimizer, optimizer_tensors, warmup_cosine
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = [
    "OnEpoch",
    "ScanSettings",
    "fit_on_neighbors",
    "predict_images",
    "scan_images",
    "self_label_images",
]

logger = logging.getLogger(__name__)
PREDICT_ROWS = 1000

M = TypeVar("M", bound=nn.Module)

# Called after each epoch with its number, its mean loss, and a function that returns the state to resume from.
OnEpoch = Callable[[int, float, Callable[[], State]], None]


@dataclass(frozen=True)
class ScanSettings:
    """How SCAN is trained on images.

    Attributes
    ----------
    n_epochs, n_label_epochs
        Passes over the images in which neighbours are brought together, and then of self-labelling.
    batch_size
        Images in a batch, raised to 10 for each cluster: the entropy needs several of each.
    learning_rate, weight_decay
        AdamW, in both steps; the rate falls along a cosine over the epochs.
    entropy_weight
        How strongly clusters of like size are preferred; lower it for unequal ones.
    threshold
        The probability from which self-labelling learns a prediction.
    """

    n_epochs: int = 6
    n_label_epochs: int = 6
    batch_size: int = 250
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    entropy_weight: float = ENTROPY_WEIGHT
    threshold: float = 0.99


def scan_images(
    pixels: NDArray[np.uint8],
    backbone: ResNet,
    neighbors: Neighbors,
    n_clusters: int,
    policy: ViewPolicy,
    runtime: Runtime,
    settings: ScanSettings | None = None,
) -> tuple[Clustering, ImageNetwork]:
    """Cluster images by SCAN, all steps; returns the clustering and the network that sees it.

    Parameters
    ----------
    pixels
        (n, channels, side, side) uint8, held as one tensor on the device.
    backbone
        A self-supervised one; it is copied.
    neighbors
        Nearest neighbours in its embedding; the nearest 20 count.
    n_clusters
        Number of clusters.
    policy
        What weak and strong views may change.
    runtime
        Device and seed.
    settings
        How; by default `ScanSettings()`.
    """
    settings = settings or ScanSettings()
    network = fit_on_neighbors(pixels, backbone, neighbors, n_clusters, policy, runtime, settings)
    network = self_label_images(pixels, network, policy, runtime, settings)
    return predict_images(pixels, network, runtime), network


class Branches(nn.Module):
    """A backbone under several linear heads; logits are (n_heads, n, n_clusters)."""

    def __init__(self, backbone: ResNet, heads: Heads) -> None:
        super().__init__()
        self.backbone = backbone
        self.weights, self.biases = nn.Parameter(heads.weights), nn.Parameter(heads.biases)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (n, channels, side, side) in [0, 1]."""
        return Heads(self.weights, self.biases).logits(self.backbone(images).float())

    @torch.no_grad()
    def with_head(self, number: int) -> ImageNetwork:
        """The backbone and one of the heads."""
        network = ImageNetwork(self.backbone, self.biases.shape[2]).to(self.weights.device)
        network.head.weight.copy_(self.weights[number].T)
        network.head.bias.copy_(self.biases[number, 0])
        return network


def fit_on_neighbors(
    pixels: NDArray[np.uint8],
    backbone: ResNet,
    neighbors: Neighbors,
    n_clusters: int,
    policy: ViewPolicy,
    runtime: Runtime,
    settings: ScanSettings,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
) -> ImageNetwork:
    """Train backbone and heads so that neighbours get the same cluster; returns them with the best head by its loss.

    Parameters are those of `scan_images`.

    Parameters
    ----------
    on_epoch
        Called after each epoch with its number, its mean loss, and a function that returns the state to resume from.
    resume
        Such a state: training goes on where it was taken and ends as if it hadn't been interrupted.

    Raises
    ------
    InputError
        The state to resume from is another's.
    """
    images = torch.as_tensor(pixels, device=runtime.device)
    near = torch.as_tensor(neighbors.indices[:, :N_NEIGHBORS], device=runtime.device)
    heads = _heads_on_frozen(images, backbone, near, n_clusters, runtime, settings.entropy_weight)
    branches = _channels_last(Branches(copy.deepcopy(backbone), heads).to(runtime.device))
    batch_size = max(settings.batch_size, 10 * n_clusters)

    def losses(epoch: int) -> Iterator[Tensor]:
        generator = runtime.generator(f"scan/epoch {epoch}")
        for rows in _batches(len(images), batch_size, generator, images.device):
            column = torch.randint(near.shape[1], (len(rows),), generator=generator).to(near.device)
            both = to_float(images[torch.cat([rows, near[rows, column]])])
            views = random_view(both, policy, generator).contiguous(memory_format=torch.channels_last)
            with runtime.autocast():
                logits = branches(views)
            probabilities = logits.float().softmax(dim=2)
            anchors, others = probabilities.split(len(rows), dim=1)
            yield scan_loss(anchors, others, settings.entropy_weight).mean()

    _train(branches, losses, settings.n_epochs, settings, runtime, "SCAN: neighbours", on_epoch, resume)
    probabilities = _predict(branches, images, runtime).softmax(dim=2)
    by_column = [
        scan_loss(probabilities, probabilities[:, column], settings.entropy_weight) for column in near.T
    ]
    of_heads = torch.stack(by_column).mean(dim=0)
    logger.info("SCAN: losses of the heads %s", ", ".join(f"{loss:.3f}" for loss in of_heads.tolist()))
    return branches.with_head(int(of_heads.argmin()))


def self_label_images(
    pixels: NDArray[np.uint8],
    network: ImageNetwork,
    policy: ViewPolicy,
    runtime: Runtime,
    settings: ScanSettings,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
) -> ImageNetwork:
    """Train on, on confident predictions alone: strong views shall get the cluster that the plain image surely has.

    Clusters are weighted so that each counts the same. Of a cluster without a sure image the surest tenth is learned:
    it would be lost. The other parameters are those of `fit_on_neighbors`.
    """
    images = torch.as_tensor(pixels, device=runtime.device)
    network = _channels_last(copy.deepcopy(network).to(runtime.device))

    def losses(epoch: int) -> Iterator[Tensor]:
        generator = runtime.generator(f"self-labelling/epoch {epoch}")
        confidence, targets = _predict(network, images, runtime).softmax(dim=1).max(dim=1)
        sure = _surest(confidence, targets, settings.threshold)
        sizes = torch.bincount(targets[sure])
        weights = len(sure) / (int((sizes > 0).sum()) * sizes.clamp_min(1).float())
        network.train()
        for places in _batches(len(sure), settings.batch_size, generator, images.device):
            rows = sure[places]
            views = strong_view(to_float(images[rows]), policy, generator)
            with runtime.autocast():
                logits = network(views.contiguous(memory_format=torch.channels_last))
            yield (
                weights[targets[rows]] * cross_entropy(logits.float(), targets[rows], reduction="none")
            ).mean()

    _train(
        network, losses, settings.n_label_epochs, settings, runtime, "SCAN: self-labelling", on_epoch, resume
    )
    return network


def _surest(confidence: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """The rows that are predicted with at least the threshold, and of clusters without any the surest tenth."""
    is_sure = confidence >= threshold
    for cluster in range(int(targets.max()) + 1):
        members = (targets == cluster).nonzero().squeeze(1)
        if len(members) > 0 and not bool(is_sure[members].any()):
            best = confidence[members].topk(max(1, len(members) // 10)).indices
            is_sure[members[best]] = True
    return is_sure.nonzero().squeeze(1)


def predict_images(pixels: NDArray[np.uint8], network: ImageNetwork, runtime: Runtime) -> Clustering:
    """What the network says of the plain images, in full precision."""
    logits = apply_in_batches(network, (network,), pixels, runtime, "clustering")
    probabilities = logits.softmax(dim=1).numpy()
    return Clustering(probabilities.argmax(axis=1), probabilities, probabilities.shape[1], "scan")


def _heads_on_frozen(
    images: Tensor, backbone: ResNet, near: Tensor, n_clusters: int, runtime: Runtime, entropy_weight: float
) -> Heads:
    """Heads on the features as the backbone gives them; they are fitted to standardised ones, so that is undone."""
    frozen = copy.deepcopy(backbone).to(images.device)
    features = _predict(frozen, images, runtime)
    mean, scale = features.mean(dim=0), features.std().clamp_min(1e-12)
    heads, _ = train_heads((features - mean) / scale, near, n_clusters, runtime, entropy_weight)
    weights = heads.weights / scale
    return Heads(weights, heads.biases - (mean @ weights).unsqueeze(1))


def _train(
    network: nn.Module,
    losses: Callable[[int], Iterator[Tensor]],
    n_epochs: int,
    settings: ScanSettings,
    runtime: Runtime,
    what: str,
    on_epoch: OnEpoch | None,
    resume: State | None,
) -> None:
    """Descend along the losses that each epoch yields, one a batch."""
    fused = runtime.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay, fused=fused)
    first = 0 if resume is None else _restore(resume, what, network, optimizer)
    with progress(what, n_epochs - first, "epochs", runtime.verbose) as advance:
        for epoch in range(first, n_epochs):
            network.train()
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * warmup_cosine(epoch, n_epochs)
            seen = []
            for loss in losses(epoch):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                seen.append(loss.detach())
            if on_epoch is not None:
                mean = float(torch.stack(seen).mean()) if seen else float("nan")
                on_epoch(epoch, mean, lambda: _snapshot(what, epoch, network, optimizer))  # noqa: B023
            advance(1)
    network.eval()


def _snapshot(what: str, epoch: int, network: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    weights |= {f"optimizer.{key}": value for key, value in optimizer_tensors(optimizer).items()}
    copies = {key: value.detach().cpu().clone() for key, value in weights.items()}
    return State({"kind": what, "epoch": epoch}, copies)


def _restore(state: State, what: str, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Back to where the snapshot was taken; returns the next epoch."""
    if state.config.get("kind") != what:
        raise InputError(
            f"cannot resume from a state of kind {state.config.get('kind')!r}; expected {what!r}"
        )

    def under(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): v for key, v in state.weights.items() if key.startswith(prefix)}

    network.load_state_dict(under("network."))
    load_optimizer(optimizer, under("optimizer."))
    return int(state.config["epoch"]) + 1


@torch.no_grad()
def _predict(network: nn.Module, images: Tensor, runtime: Runtime) -> Tensor:
    """What the network makes of all plain images, in the precision of training: (n, d), or (n_heads, n, d)."""
    network.eval()
    parts = []
    for part in torch.split(images, PREDICT_ROWS):
        with runtime.autocast():
            parts.append(network(to_float(part).contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(parts, dim=-2)


def _batches(
    n_samples: int, batch_size: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, ...]:
    order = torch.randperm(n_samples, generator=generator).to(device)
    return order.tensor_split(max(1, n_samples // batch_size))


def _channels_last(module: M) -> M:
    """The module, laid out so that convolutions are about twice as fast."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
