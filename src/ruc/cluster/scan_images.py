"""SCAN on images: the backbone is trained along (Van Gansbeke et al. 2020, arXiv 2005.12320, sections 2.2 and 2.3).

Heads are fitted to the frozen features first, which takes seconds and keeps random heads from undoing the backbone.
Then backbone and heads learn together that a view of an image and one of its neighbour belong to the same cluster
(`fit_on_neighbors`). The head with the lowest loss is kept, and taught its own confident predictions on strong views
(`self_label_images`).
"""

import copy
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from ruc.cluster.scan import ENTROPY_WEIGHT, N_NEIGHBORS
from ruc.cluster.scan_heads import Heads, losses_of_heads, scan_loss, train_heads
from ruc.embed.checkpoint import apply_in_batches
from ruc.images.views import ViewPolicy, random_view, strong_view, to_float
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.networks import (
    ImageNetwork,
    OnEpoch,
    ResNet,
    State,
    can_fuse,
    channels_last,
    set_learning_rate,
    shuffled_batches,
    train_epochs,
    warmup_cosine,
)
from ruc.runtime import Runtime, to_device

logger = logging.getLogger(__name__)
PREDICT_ROWS = 1000  # at a time, for the memory


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
    policy
        What weak and strong views may change.
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

    Parameters are those of `scan_images`; `on_epoch` and `resume` those of `train_epochs`.
    """
    images = torch.as_tensor(pixels, device=runtime.device)
    near = torch.as_tensor(neighbors.indices[:, :N_NEIGHBORS], device=runtime.device)
    heads = _heads_on_frozen(images, backbone, near, n_clusters, runtime, settings.entropy_weight)
    branches = channels_last(Branches(copy.deepcopy(backbone), heads), runtime.device)
    optimizer = _optimizer(branches, settings)
    batch_size = max(settings.batch_size, 10 * n_clusters)

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        generator = runtime.generator(f"scan/epoch {epoch}")
        set_learning_rate(optimizer, settings.learning_rate * warmup_cosine(epoch, settings.n_epochs))
        for rows in shuffled_batches(len(images), batch_size, generator, images.device):
            drawn = torch.randint(near.shape[1], (len(rows),), generator=generator)
            (column,) = to_device(near.device, drawn)
            both = to_float(images[torch.cat([rows, near[rows, column]])])
            views = random_view(both, policy, generator).contiguous(memory_format=torch.channels_last)
            with runtime.autocast():
                logits = branches(views)
            probabilities = logits.float().softmax(dim=2)
            anchors, others = probabilities.split(len(rows), dim=1)
            yield len(rows), scan_loss(anchors, others, settings.entropy_weight).mean()

    train_epochs(
        "SCAN: neighbours",
        branches,
        optimizer,
        losses,
        settings.n_epochs,
        len(images),
        runtime,
        on_epoch,
        resume,
    )
    _settle(branches, images, runtime)
    probabilities = _predict(branches, images, runtime).softmax(dim=2)
    of_heads = losses_of_heads(probabilities, near, settings.entropy_weight)
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
    network = channels_last(copy.deepcopy(network), runtime.device)
    optimizer = _optimizer(network, settings)

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        generator = runtime.generator(f"self-labelling/epoch {epoch}")
        set_learning_rate(optimizer, settings.learning_rate * warmup_cosine(epoch, settings.n_label_epochs))
        _settle(network, images, runtime)
        confidence, targets = _predict(network, images, runtime).softmax(dim=1).max(dim=1)
        sure = _surest(confidence, targets, settings.threshold)
        sizes = torch.bincount(targets[sure])
        weights = len(sure) / (int((sizes > 0).sum()) * sizes.clamp_min(1).float())
        for places in shuffled_batches(len(sure), settings.batch_size, generator, images.device):
            rows = sure[places]
            views = strong_view(to_float(images[rows]), policy, generator)
            with runtime.autocast():
                logits = network(views.contiguous(memory_format=torch.channels_last))
            each = cross_entropy(logits.float(), targets[rows], reduction="none")
            yield len(rows), (weights[targets[rows]] * each).mean()

    train_epochs(
        "SCAN: self-labelling",
        network,
        optimizer,
        losses,
        settings.n_label_epochs,
        len(images),
        runtime,
        on_epoch,
        resume,
    )
    _settle(network, images, runtime)
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
    return Clustering(probabilities.argmax(axis=1), probabilities, probabilities.shape[1], "scan", "network")


def _heads_on_frozen(
    images: Tensor, backbone: ResNet, near: Tensor, n_clusters: int, runtime: Runtime, entropy_weight: float
) -> Heads:
    """Heads on the features that training starts from; they are fitted to standardised ones, so that is undone."""
    frozen = copy.deepcopy(backbone).to(images.device)
    _settle(
        frozen, images, runtime
    )  # in training the features are normalised by these images, not by those before
    features = _predict(frozen, images, runtime)
    mean, scale = features.mean(dim=0), features.std().clamp_min(1e-12)
    heads, _ = train_heads((features - mean) / scale, near, n_clusters, runtime, entropy_weight)
    weights = heads.weights / scale
    return Heads(weights, heads.biases - (mean @ weights).unsqueeze(1))


def _optimizer(network: nn.Module, settings: ScanSettings) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    return torch.optim.AdamW(
        parameters, weight_decay=settings.weight_decay, fused=can_fuse(parameters[0].device)
    )


@torch.no_grad()
def _predict(network: nn.Module, images: Tensor, runtime: Runtime) -> Tensor:
    """What the network makes of all plain images, in the precision of training: (n, d), or (n_heads, n, d)."""
    learning = network.training
    network.eval()
    parts = []
    for part in _plain(images):
        with runtime.autocast():
            parts.append(network(part).float())
    network.train(learning)
    return torch.cat(parts, dim=-2)


def _settle(network: nn.Module, images: Tensor, runtime: Runtime) -> None:
    """Batch normalisation's means and variances as the plain images have them, on which clusters are predicted.

    While a network learns they are running averages over views and over weights that have changed since, and of few
    batches when images are few: what it predicts may be far from what it learned (Wu and Johnson 2021,
    arXiv 2105.07576, section 3).
    """
    with runtime.autocast():
        update_bn(_plain(images), network)


def _plain(images: Tensor) -> Iterator[Tensor]:
    """The images as they are, in parts of nearly equal size."""
    for part in images.tensor_split(-(-len(images) // PREDICT_ROWS)):
        yield to_float(part).contiguous(memory_format=torch.channels_last)
