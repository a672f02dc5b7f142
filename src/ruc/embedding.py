"""The stage that turns images into features: which embedder, and what it makes of the images."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.embed import embedder_from_state, is_fitted_here
from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.choice import choose_embedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.known import EMBEDDERS
from ruc.embed.packaged import PACKAGES, load_packaged
from ruc.embed.pretrained import load_pretrained
from ruc.embed.scaling import Scaling
from ruc.embed.scratch import choose_policy
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.errors import InputError
from ruc.images.load import LARGEST_SIZE, ImageSet, choose_size, load_pixels
from ruc.images.source import ImageSource, find_images
from ruc.images.views import ViewPolicy, change, draw_changes, to_float
from ruc.networks import ResNet, State
from ruc.networks.checkpoints import LARGEST_SIDE, is_checkpoint, load_checkpoint
from ruc.run_folder import Checkpoints, check_file, new_outputs, write_csv
from ruc.runtime import Runtime
from ruc.settings import Settings
from ruc.skipped import skipped_file, write_skipped

logger = logging.getLogger(__name__)

N_VIEWS = 8
CHUNK = 1000  # images
MOST_WITH_VIEWS = 20_000  # images whose views are embedded: 8 times their features are kept in memory
MOMENTUM_SIDE = 64  # of photographs, where there are many of them and a GPU
FittedEmbedder = Embedder | FrozenEmbedder


@dataclass(frozen=True)
class Embedding:
    """Images as features.

    Attributes
    ----------
    name
        The embedder as the settings call it, "auto" resolved.
    file_names
        Of the images that could be read, or row numbers.
    features
        (n_samples, n_features) float32, unit-norm rows.
    rows
        (n_samples,) int64, ascending: where each stands in the source.
    embedder
        The fitted embedder, or None where features were given.
    images
        All of them in memory where networks may be retrained on them, else None.
    skipped
        (file_name, reason) of the others.
    why
        One line: which embedder, and why.
    scaling
        What made unit rows of the features that were given.
    """

    name: str
    file_names: tuple[str, ...]
    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    embedder: FittedEmbedder | None = None
    images: ImageSet | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    why: str = ""
    scaling: Scaling | None = None

    @property
    def in_source(self) -> tuple[str, ...]:
        """The names of all images in the order of the source, those skipped among them, which are in its order too."""
        read, skipped = dict(zip(self.rows.tolist(), self.file_names, strict=True)), iter(self.skipped)
        return tuple(
            read[row] if row in read else next(skipped)[0] for row in range(len(read) + len(self.skipped))
        )

    @property
    def backbone(self) -> ResNet | None:
        """The network that RUC can retrain, or None."""
        parts = self.embedder.parts if isinstance(self.embedder, CombinedEmbedder) else (self.embedder,)
        trained = (SelfSupervisedEmbedder, CheckpointEmbedder)
        return next((part.network for part in parts if isinstance(part, trained)), None)


def embed_images(
    source: ImageSource,
    embedder: str,
    image_size: int | None,
    max_skipped: float,
    runtime: Runtime,
    kept: Checkpoints | None = None,
) -> Embedding:
    """Embed all images that can be read.

    Parameters
    ----------
    source
        The images.
    embedder
        "auto", "lite0", "lite1", "lite2", "scratch", "contrastive", "momentum", "pixels", a Hugging Face id, a folder
        with a model, or a checkpoint of SCAN, SimCLR or RUC.
    image_size
        Side for learning from scratch; None takes that of the images, within bounds, or the checkpoint's.
    max_skipped
        Largest share of the images that may be unreadable.
    runtime
        Device, seed, whether progress is shown.
    kept
        Checkpoints: a fitted embedder is taken from there, and left there.

    Raises
    ------
    NothingToClusterError
        Too many of the images can't be read.
    WeightsError
        The weights of a packaged or a pretrained model can't be had.
    """
    name, why = (
        (embedder, f"{embedder}, as asked") if embedder != "auto" else choose_embedder(source, runtime)
    )
    logger.info("embedder: %s", why)
    if is_checkpoint(name):
        return _embed_by_checkpoint(source, name, image_size, max_skipped, runtime)
    if not is_fitted_here(name):
        return _embed_frozen(source, name, why, max_skipped, runtime, kept or Checkpoints())
    largest = MOMENTUM_SIDE if name == "momentum" else LARGEST_SIZE
    images = load_pixels(source, image_size or choose_size(source, largest), runtime, max_skipped)
    return _embed_from_scratch(images, name, why, runtime, kept or Checkpoints())


def embed_to_npy(settings: Settings, output: Path, overwrite: bool, verbose: bool) -> Embedding:
    """The door `ruc embed`: features as .npy, and beside it as CSV the names of its rows and what was skipped."""
    if output.suffix != ".npy":
        raise InputError(f"-o {output} given, expected a file that ends in .npy")
    names, images = output.with_suffix(".csv"), str(settings.source)
    beside = [names, skipped_file(output)]
    for target in (output, *beside):
        check_file(target, [images], overwrite)
    runtime = Runtime(settings.device, settings.seed, verbose)
    source = find_images(images)
    embedded = embed_images(source, settings.embedder, settings.image_size, settings.max_skipped, runtime)
    with new_outputs(output, beside) as new:
        np.save(new / output.name, embedded.features)
        write_csv(new / names.name, ("file_name",), ((name,) for name in embedded.file_names))
        write_skipped(new / output.name, embedded.skipped)
    return embedded


def embed_views(embedded: Embedding, runtime: Runtime) -> NDArray[np.float32] | None:
    """Features of random views of every image, for heads to learn from as whole networks learn from images.

    Returns
    -------
    numpy.ndarray or None
        (8, n_samples, n_features), unit-norm rows; None where the images aren't in memory, are many, or weren't
        embedded by a network.
    """
    images, embedder = embedded.images, embedded.embedder
    if images is None or embedder is None or isinstance(embedder, FrozenEmbedder):
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


def _embed_frozen(
    source: ImageSource, name: str, why: str, max_skipped: float, runtime: Runtime, kept: Checkpoints
) -> Embedding:
    embedder = load_packaged(name, runtime) if name in PACKAGES else load_pretrained(name, runtime)
    done = kept.load("embedding")
    if done is None:
        features, indices, skipped = embedder.embed(source, runtime, max_skipped)
        pairs = tuple((one.file_name, one.reason) for one in skipped)
        weights = {"features": torch.from_numpy(features), "indices": torch.from_numpy(indices)}
        kept.save("embedding", State({"skipped": pairs}, weights))
    else:
        logger.info("embedding: taken from the interrupted run")
        features, indices = done.weights["features"].numpy(), done.weights["indices"].numpy()
        pairs = tuple((file_name, reason) for file_name, reason in done.config["skipped"])
    names = tuple(source.file_names[index] for index in indices)
    return Embedding(name, names, features, indices, embedder, None, pairs, why)


def _embed_by_checkpoint(
    source: ImageSource, name: str, image_size: int | None, max_skipped: float, runtime: Runtime
) -> Embedding:
    checkpoint = load_checkpoint(name, image_size or choose_size(source, LARGEST_SIDE))
    logger.info("checkpoint: %s", checkpoint)
    embedder = CheckpointEmbedder.from_checkpoint(checkpoint)
    images = load_pixels(source, image_size or checkpoint.side, runtime, max_skipped, embedder.n_channels)
    return _embedded(images, name, str(checkpoint), embedder, runtime)


def _embed_from_scratch(
    images: ImageSet, name: str, why: str, runtime: Runtime, kept: Checkpoints
) -> Embedding:
    done = kept.load("embedder")
    if done is None:
        fitted, why = _fit(images.pixels, name, why, runtime, kept)
        state = fitted.state()
        kept.save("embedder", replace(state, config={"embedder": state.config, "why": why}))
    else:
        logger.info("embedder: taken from the interrupted run")
        fitted = embedder_from_state(State(done.config["embedder"], done.weights))
        why = done.config["why"]
    return _embedded(images, name, why, fitted, runtime)


def _embedded(images: ImageSet, name: str, why: str, fitted: Embedder, runtime: Runtime) -> Embedding:
    features = fitted.transform(images.pixels, runtime)
    skipped = tuple((one.file_name, one.reason) for one in images.skipped)
    return Embedding(name, images.file_names, features, images.indices, fitted, images, skipped, why)


def _fit(
    pixels: NDArray[np.uint8], name: str, why: str, runtime: Runtime, kept: Checkpoints
) -> tuple[Embedder, str]:
    """The embedder, and one line that says why it is this one."""
    fit = EMBEDDERS[name].fit
    assert fit is not None

    def keep(epoch: int, loss: float, state: Callable[[], State]) -> None:
        kept.save_now_and_then("learning to embed", state)

    begun = kept.load("learning to embed")
    if begun is not None:
        logger.info("embedder: learning goes on after epoch %d", begun.config["epoch"] + 1)
    fitted, reason = fit(pixels, runtime, keep, begun)
    if reason:
        logger.info("%s: %s", name, reason)
    return fitted, f"{why}; {reason}" if reason else why
