"""The stage of the initial clustering: labels that were given, a checkpoint's clusters, or a base clustering."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.cluster.auto import cluster, largest_first, method_of, order_by_size
from ruc.cluster.checkpoint import cluster_by_checkpoint
from ruc.cluster.n_clusters import estimate_n_clusters
from ruc.embed import is_fitted_here
from ruc.embed.packaged import PACKAGES
from ruc.embed.scratch import choose_policy
from ruc.embedding import Embedding
from ruc.errors import InputError, UsageError
from ruc.labels.clustering import Clustering
from ruc.labels.given import check_given, read_given
from ruc.neighbors.search import Neighbors
from ruc.networks import ImageNetwork, ResNet, State
from ruc.networks.checkpoints import is_checkpoint, load_checkpoint
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime
from ruc.settings import Settings, cluster_range

logger = logging.getLogger(__name__)
# Whole networks lost a point on 1,797 digits and gained one on 5,000 (experiments/LOG.md).
ENOUGH_FOR_NETWORKS = 3000


@dataclass(frozen=True)
class Base:
    """What RUC starts from.

    Attributes
    ----------
    clustering
        Labels, and probabilities where there are some.
    names
        Of the clusters.
    curve
        How their number was found, as the estimate's fields; empty where it was given.
    backbone
        The network that sees these clusters, where one was trained to; RUC retrains it.
    network
        That backbone with its head, where it was trained here: its logits are in the order of the clusters.
    """

    clustering: Clustering
    names: tuple[str, ...]
    curve: Mapping[str, Any] = field(default_factory=dict)
    backbone: ResNet | None = None
    network: ImageNetwork | None = None


def check_base(settings: Settings) -> None:
    """Raise what the base would be refused for whatever the images are."""
    if settings.labels is None:
        if settings.base == "given":
            raise UsageError(
                "no labels given; expected --labels with a CSV, Parquet or .npy, or `ruc cluster` instead"
            )
        if not is_checkpoint(settings.base):
            method_of(settings.base)
        elif not _keeps_images(settings):
            raise _without_images(settings.base, _embedder(settings))
    if settings.space == "image" and not _has_network(settings):
        raise without_network(_embedder(settings))


def check_labels(settings: Settings, file_names: Sequence[str]) -> None:
    """Raise what given labels would be refused for, before it is known which of these images can be read."""
    if settings.labels is not None:
        check_given(Path(settings.labels), file_names, *_probabilities_and_number(settings))


def _embedder(settings: Settings) -> str:
    return "given" if settings.feature_files else "+".join(settings.embedders)


def _keeps_images(settings: Settings) -> bool:
    """Whether the images may be in memory, which they are of a single embedder: "auto" is settled later."""
    name = _embedder(settings)
    return name == "auto" or is_fitted_here(name) or is_checkpoint(name)


def _has_network(settings: Settings) -> bool:
    """Whether there may be a network to retrain: our own, a checkpoint's, or a packaged one among the embedders."""
    if settings.feature_files:
        return False
    own = _keeps_images(settings) and settings.embedder != "pixels"
    return own or is_checkpoint(settings.base) or any(name in PACKAGES for name in settings.embedders)


def _without_images(base: str, embedder: str) -> UsageError:
    return UsageError(
        f"--base {base} given with the embedder {embedder!r}, which keeps no images; expected --embedder scratch, "
        "contrastive, momentum, pixels or a checkpoint: omit it for the base's own"
    )


def without_network(embedder: str) -> UsageError:
    """What is wrong with whole networks to be retrained where there are none."""
    return UsageError(
        f"--space image given with the embedder {embedder!r}; expected one with a network to retrain: "
        "--embedder lite0 or contrastive, or --space feature"
    )


def given_base(settings: Settings, embedded: Embedding) -> Base | None:
    """The labels that were given, matched with the images that could be read; None where there are none."""
    if settings.labels is None:
        return None
    clustering, names = read_given(
        Path(settings.labels),
        embedded.in_source,
        *_probabilities_and_number(settings),
        [file_name for file_name, _ in embedded.skipped],
        are_rows=settings.source is None,
    )
    return Base(clustering, names or _numbers(clustering.n_clusters))


def initial_clustering(
    settings: Settings, embedded: Embedding, neighbors: Neighbors, runtime: Runtime, kept: Checkpoints
) -> Base:
    """What the base clustering says about the images."""
    if is_checkpoint(settings.base):
        return _checkpoint_base(settings, embedded, runtime, kept)
    done = kept.load("base")
    if done is not None:
        return _base_from_state(done)
    n_clusters, curve = choose_n_clusters(
        settings.n_clusters, settings.base, embedded.features, neighbors, runtime
    )
    clustering, network = _base_clustering(settings, embedded, n_clusters, neighbors, runtime)
    backbone = None if network is None else network.backbone
    base = Base(clustering, _numbers(clustering.n_clusters), curve, backbone, network)
    kept.save("base", _base_state(base))
    logger.info("base clustering: %s, %d clusters", clustering.name, clustering.n_clusters)
    return base


def _base_clustering(
    settings: Settings, embedded: Embedding, n_clusters: int | None, neighbors: Neighbors, runtime: Runtime
) -> tuple[Clustering, ImageNetwork | None]:
    """The clusters, and the network that was trained to see them, where there is one and networks are retrained."""
    images, backbone = embedded.images, embedded.backbone
    on_images = method_of(settings.base).on_images if retrains_networks(settings, embedded) else None
    if on_images is None or images is None or backbone is None or n_clusters is None:
        return cluster(embedded.features, n_clusters, settings.base, runtime, neighbors), None
    policy, _ = choose_policy(images.pixels, runtime)
    clustering, network = on_images(images.pixels, backbone, neighbors, n_clusters, policy, runtime)
    order = torch.from_numpy(order_by_size(clustering))
    with torch.no_grad():
        for weights in network.head.parameters():
            weights.copy_(weights[order.to(weights.device)])
    return largest_first(clustering), network


def _checkpoint_base(settings: Settings, embedded: Embedding, runtime: Runtime, kept: Checkpoints) -> Base:
    """The clusters that somebody's trained network sees, and that network."""
    if embedded.images is None:
        raise _without_images(settings.base, embedded.name)
    pixels = embedded.images.pixels
    checkpoint = load_checkpoint(settings.base, pixels.shape[-1])
    done = kept.load("base")
    if done is not None:
        return replace(_base_from_state(done), backbone=checkpoint.backbone)
    n_clusters = settings.n_clusters if isinstance(settings.n_clusters, int) else None
    clustering = cluster_by_checkpoint(pixels, checkpoint, n_clusters, runtime)
    base = Base(clustering, _numbers(clustering.n_clusters), backbone=checkpoint.backbone)
    kept.save("base", _base_state(base))
    logger.info("base clustering: %s, %d clusters", checkpoint, clustering.n_clusters)
    return base


def choose_n_clusters(
    wanted: int | str, base: str, features: NDArray[np.float32], neighbors: Neighbors, runtime: Runtime
) -> tuple[int | None, dict[str, Any]]:
    """K as given, or estimated ("auto", or within "5:50") with its curve; None where the base finds it."""
    if isinstance(wanted, int):
        return wanted, {}
    if method_of(base).finds_number:
        return None, {}
    low, high = (2, 60) if wanted == "auto" else cluster_range(wanted)
    if low >= len(features):
        raise InputError(
            f"-k {wanted} given for {len(features)} samples; expected a range that begins below their number"
        )
    estimate = estimate_n_clusters(features, neighbors, low, min(high, len(features) - 1), runtime)
    logger.info("number of clusters: %d", estimate.n_clusters)
    return estimate.n_clusters, asdict(estimate)


def retrains_networks(settings: Settings, embedded: Embedding, of_base: ResNet | None = None) -> bool:
    """Whether whole networks are retrained: as asked; else where there is one, from images enough for it."""
    if settings.space != "auto":
        return settings.space == "image"
    learned_here = of_base is None and is_fitted_here(embedded.name)
    too_few = learned_here and len(embedded.features) < ENOUGH_FOR_NETWORKS
    return (of_base or embedded.backbone) is not None and not too_few


def _probabilities_and_number(settings: Settings) -> tuple[Path | None, int | None]:
    """Where the given labels' probabilities are, and how many clusters were asked for, if any."""
    probabilities = None if settings.probabilities is None else Path(settings.probabilities)
    return probabilities, settings.n_clusters if isinstance(settings.n_clusters, int) else None


def _numbers(n_clusters: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(n_clusters))


def _base_state(base: Base) -> State:
    clustering = base.clustering
    weights = {"labels": torch.from_numpy(clustering.labels)}
    if clustering.probabilities is not None:
        weights["probabilities"] = torch.from_numpy(clustering.probabilities)
    config = {
        "n_clusters": clustering.n_clusters,
        "name": clustering.name,
        "made_of": clustering.made_of,
        "curve": dict(base.curve),
    }
    if base.network is not None:
        network = base.network.state()
        config["network"] = network.config
        weights |= {f"network.{key}": value for key, value in network.weights.items()}
    return State(config, weights)


def _base_from_state(state: State) -> Base:
    probabilities = state.weights.get("probabilities")
    clustering = Clustering(
        labels=state.weights["labels"].numpy(),
        probabilities=None if probabilities is None else probabilities.numpy(),
        n_clusters=state.config["n_clusters"],
        name=state.config["name"],
        made_of=state.config["made_of"],
    )
    network = None
    if "network" in state.config:
        network = ImageNetwork.from_state(State(state.config["network"], state.under("network")))
    backbone = None if network is None else network.backbone
    return Base(clustering, _numbers(clustering.n_clusters), state.config["curve"], backbone, network)
