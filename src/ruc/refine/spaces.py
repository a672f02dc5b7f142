"""Where the algorithm runs: a space supplies networks and views of the samples, nothing else."""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.images.views import ViewPolicy, random_view, strong_view, to_float
from ruc.mapped import let_go
from ruc.neighbors.search import Neighbors
from ruc.networks import ImageNetwork, LastBlocks, LastBlocksNetwork, ResNet, channels_last, seeded_init
from ruc.refine.networks import Head
from ruc.runtime import Runtime, to_device


class Space(Protocol):
    """What the algorithm asks of a space. Rows are indices on the space's device; views are on it as well."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""

    @property
    def sees_more(self) -> bool:
        """Whether networks see more of a sample here than the features that its neighbours were found by."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The settings that do best in this space, where the caller left them open."""

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Two networks that map views to logits, alike but for their freshly initialised heads."""

    def plain(self, rows: Tensor) -> Tensor:
        """The samples as they are."""

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A randomly and lightly changed view."""

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A randomly and heavily changed view."""


Backbones = tuple[LastBlocks, LastBlocks]  # of the two networks
# Gentle, since what is retrained knows much already and no normalisation steadies it: at rates of 1e-3 and 3e-4 the
# first steps undid what it knew in small trials (experiments/LOG.md).
LAST_BLOCKS: Mapping[str, Any] = MappingProxyType(
    {
        "n_epochs": 6, "batch_size": 100, "learning_rate": 1e-4, "optimizer": "adamw", "clean_views": 1,
        "head_warmup": True, "n_neighbors": 100, "neighbor_agreement": 0.9, "propagation": 0.9,
        "calibrate_by": "both", "precision": "float32",
    }
)  # fmt: skip
MOST_LONG = 20_000  # samples that are seen in 20 epochs
# Promotion and the peer's weights need a few (experiments/LOG.md, "large data in feature space").
FEWEST_EPOCHS = 3
EPOCH_SIZE = (
    333_000  # samples; of many clusters more are learned from than of few (the same, "epochs of a part")
)


class FeatureSpace:
    """Frozen features; a view is made of features.

    A weak view is the sample moved a random part of the way to a random near neighbour, which is about what
    another photograph of the same thing would have given; or, where the embeddings of several augmentations
    were stored, one of these. A strong view moves further, and loses some of its features.

    Of several embeddings side by side the first network reads the first and the second all others: what one learns of
    the other it could not have seen itself.

    Parameters
    ----------
    features
        (n_samples, n_features), unit-norm rows; of several embeddings their columns side by side.
    views
        (n_views, n_samples, n_features) embeddings of augmentations, if there are any.
    width
        Of the hidden layer.
    weak_step, strong_step
        The longest step towards a neighbour, as a share of the way.
    dropout
        The share of features that a strong view loses.
    n_steps_to
        To how many of the nearest neighbours a view may move.
    n_first
        Of several embeddings, how many columns are the first one's; None: there is a single one.
    """

    sees_more = False

    def __init__(
        self,
        features: NDArray[np.floating],
        neighbors: Neighbors,
        runtime: Runtime,
        views: NDArray[np.floating] | None = None,
        width: int = 256,
        weak_step: float = 0.5,
        strong_step: float = 0.8,
        dropout: float = 0.2,
        n_steps_to: int = 10,
        n_first: int | None = None,
    ) -> None:
        self._given = np.asarray(features, np.float32)
        self.features = torch.as_tensor(self._given, device=runtime.device)
        self.nearest = torch.as_tensor(neighbors.indices[:, :n_steps_to], device=runtime.device)
        self.views = (
            None if views is None else torch.as_tensor(np.asarray(views, np.float32), device=runtime.device)
        )
        self.width, self.weak_step, self.strong_step, self.dropout = width, weak_step, strong_step, dropout
        self.n_first = n_first

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.features)

    @property
    def columns(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Which columns each network reads, from the first up to before the second of the two numbers."""
        n_features = self.features.shape[1]
        if self.n_first is None:
            return (0, n_features), (0, n_features)
        return (0, self.n_first), (self.n_first, n_features)

    def blocks(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features (…, n_features) as all columns, or as those of the first network and of the second."""
        return tuple(features[..., start:stop] for start, stop in dict.fromkeys(self.columns))

    def seen_along(self, directions: Sequence[Tensor]) -> "FeatureSpace":
        """The same samples and views along some directions of each of the `blocks`."""

        def along(features: Tensor) -> Tensor:
            blocks = self.blocks(features)
            return torch.cat([block @ each for block, each in zip(blocks, directions, strict=True)], dim=-1)

        seen = copy.copy(self)
        seen.features = along(self.features)
        seen.views = None if self.views is None else along(self.views)
        seen.n_first = None if self.n_first is None else directions[0].shape[1]
        return seen

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Heads from scratch, seconds for thousands of samples; labels smoothed over the neighbour graph.

        Heads are trained after about 800 steps, of very many clusters after 2,000: the more samples there are, the
        fewer epochs that takes, and beyond 333,000 a part of them is drawn for each.
        """
        n_epochs = min(20, max(FEWEST_EPOCHS, 20 * MOST_LONG // self.n_samples))
        return {
            "n_epochs": n_epochs, "epoch_size": EPOCH_SIZE, "batch_size": 500, "learning_rate": 0.05,
            "optimizer": "sgd", "clean_views": 2, "head_warmup": False, "n_neighbors": 15,
            "neighbor_agreement": 0.0, "propagation": 0.9, "calibrate_by": "neighbors", "precision": "float32",
        }  # fmt: skip

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Two heads with different initial weights, each reading its own embedding where there are several."""
        with seeded_init(runtime.numpy_seed("refine/networks")):
            heads = [Head(self.features.shape[1], n_clusters, self.width, *read) for read in self.columns]
        return heads[0].to(runtime.device), heads[1].to(runtime.device)

    def plain(self, rows: Tensor) -> Tensor:
        """The features as they are; of a mapped file what was looked at before is let go of."""
        let_go(self._given)
        return self.features.index_select(0, rows)

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A step towards a near neighbour, or a stored augmentation."""
        if self.views is None:
            return self.step(rows, self.weak_step, generator)
        drawn = torch.randint(len(self.views), (len(rows),), generator=generator)
        (chosen,) = to_device(rows.device, drawn)
        return self.views[chosen, rows]

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A longer step towards a near neighbour, and features dropped."""
        moved = self.step(rows, self.strong_step, generator)
        (drawn,) = to_device(moved.device, torch.rand(moved.shape, generator=generator))
        return moved * (drawn >= self.dropout) / (1 - self.dropout)

    def step(self, rows: Tensor, longest: float, generator: torch.Generator) -> Tensor:
        """The samples moved a random part of the way, up to `longest`, to a random near neighbour."""
        drawn = torch.randint(self.nearest.shape[1], (len(rows),), generator=generator)
        (column,) = to_device(rows.device, drawn)
        (share,) = to_device(rows.device, longest * torch.rand(len(rows), 1, generator=generator))
        here = self.features.index_select(0, rows)
        return torch.lerp(here, self.features.index_select(0, self.nearest[rows, column]), share)


class ImageSpace:
    """Images; a view is an augmented image, and the networks are retrained from the backbone up.

    Parameters
    ----------
    pixels
        (n_samples, channels, side, side) uint8, held as one tensor on the device.
    backbone
        Where both networks start from: the base clustering's, or the embedding's; or of each network, whole packaged
        ones. It is copied.
    policy
        What weak and strong views may change.
    """

    sees_more = True

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        backbone: ResNet | Backbones,
        policy: ViewPolicy,
        runtime: Runtime,
    ) -> None:
        self.pixels = torch.as_tensor(pixels, device=runtime.device)
        self.backbone, self.policy = backbone, policy
        self.precision = "bfloat16" if runtime.autocast_dtype == torch.bfloat16 else "float32"

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.pixels)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """A trained backbone: few epochs of a gentle optimiser, from few but reliable labels.

        Minutes for thousands of small images on a CPU; more epochs help where there is a GPU.
        """
        if isinstance(self.backbone, tuple):
            return {**LAST_BLOCKS, "precision": self.precision}
        return {
            "n_epochs": 16 if self.pixels.device.type == "cpu" else 60, "batch_size": 250, "learning_rate": 0.003,
            "optimizer": "adamw", "clean_views": 1, "head_warmup": True, "n_neighbors": 100,
            "neighbor_agreement": 0.9, "propagation": 0.9, "calibrate_by": "both", "precision": self.precision,
        }  # fmt: skip

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """Copies of the backbone under heads with different initial weights."""
        if isinstance(self.backbone, tuple):
            return networks_on(self.backbone, n_clusters, runtime)
        with seeded_init(runtime.numpy_seed("refine/networks")):
            networks = [ImageNetwork(copy.deepcopy(self.backbone), n_clusters) for _ in range(2)]
        first, second = (channels_last(each, runtime.device) for each in networks)
        return first, second

    def plain(self, rows: Tensor) -> Tensor:
        """The images as they are, in [0, 1]."""
        return to_float(self.pixels[rows])

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A random view."""
        return random_view(self.plain(rows), self.policy, generator)

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A random view, then RandAugment and cutout."""
        return strong_view(self.plain(rows), self.policy, generator)


def networks_on(backbones: Backbones, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
    """A copy of what is retrained of each packaged network, under a head of its own."""
    with seeded_init(runtime.numpy_seed("refine/networks")):
        networks = [LastBlocksNetwork(copy.deepcopy(backbone), n_clusters) for backbone in backbones]
    first, second = (channels_last(each, runtime.device) for each in networks)
    return first, second
