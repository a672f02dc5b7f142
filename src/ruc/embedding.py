"""The stage that turns images into features: which embedder, and what it makes of the images."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.cache import Cache
from ruc.embed import embedder_from_state, is_fitted_here
from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.choice import choose_embedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.frozen import Embedded, FrozenEmbedder, around
from ruc.embed.known import EMBEDDERS
from ruc.embed.onnx import is_onnx, load_onnx
from ruc.embed.packaged import PACKAGES, load_packaged
from ruc.embed.preprocessing import read_preprocessing
from ruc.embed.pretrained import load_pretrained
from ruc.embed.scaling import Scaling
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embed.several import SeveralEmbedders, side_by_side
from ruc.embed.weights import model_folder
from ruc.errors import RunFolderError
from ruc.images.load import LARGEST_SIZE, ImageSet, choose_size, content_hashes, load_pixels
from ruc.images.source import ImageSource
from ruc.networks import ResNet, State
from ruc.networks.checkpoints import LARGEST_SIDE, is_checkpoint, load_checkpoint
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime
from ruc.side_by_side import columns, part, short_names

logger = logging.getLogger(__name__)

MOMENTUM_SIDE = 64  # of photographs, where there are many of them and a GPU
FittedEmbedder = Embedder | FrozenEmbedder | SeveralEmbedders


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
    scalings
        What made unit rows of the features that were given, one for each file; empty of images.
    embeddings
        Of several embeddings, whose columns stand side by side in `features`, the number of features of each by its
        name; empty of a single one.
    remarks
        What a user should know of them, a line each.
    """

    name: str
    file_names: tuple[str, ...]
    features: NDArray[np.float32]
    rows: NDArray[np.int64]
    embedder: FittedEmbedder | None = None
    images: ImageSet | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    why: str = ""
    scalings: tuple[Scaling, ...] = ()
    embeddings: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[NDArray[np.float32], ...]:
        """The features of each of several embeddings, unit-norm rows; of a single one these."""
        if not self.embeddings:
            return (self.features,)
        return tuple(part(self.features, where) for where in columns(self.embeddings).values())

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


@dataclass(frozen=True)
class EmbedTask:
    """What embedders are asked to do.

    Attributes
    ----------
    source, runtime
        The images; the device, the seed, and whether progress is shown.
    image_size
        Side for learning from scratch; None takes that of the images, within bounds, or the checkpoint's.
    max_skipped
        Largest share of the images that may be unreadable.
    cache
        Embeddings of other runs: what is there isn't made again, and what is made is left there.
    is_centered
        Whether features of frozen networks are seen from the mean of these images: better told apart
        (experiments/LOG.md), but no longer what other sets of images can be compared with.
    """

    source: ImageSource
    runtime: Runtime
    image_size: int | None = None
    max_skipped: float = 0.10
    cache: Cache | None = None
    is_centered: bool = False


def embed_images(task: EmbedTask, embedders: Sequence[str], kept: Checkpoints | None = None) -> Embedding:
    """Embed all images that can be read.

    Parameters
    ----------
    embedders
        One or several of "lite0", "lite1", "lite2", "scratch", "contrastive", "momentum", "pixels", a Hugging Face id,
        a folder with a model, an exported model.onnx, or a checkpoint of SCAN, SimCLR or RUC; or "auto".
    kept
        Checkpoints: a fitted embedder is taken from there, and left there.

    Raises
    ------
    NothingToClusterError
        Too many of the images can't be read.
    WeightsError
        The weights of a packaged or a pretrained model can't be had.
    """
    kept = kept or Checkpoints()
    names, why = chosen_embedders(task.source, embedders, task.runtime, task.cache)
    if len(names) == 1:
        return _embed_by(task, names[0], why, kept)
    short = short_names(names)
    each = [
        _embed_by(task, name, f"{name}, one of several", kept.of(stage))
        for name, stage in zip(names, short, strict=True)
    ]
    return several(each, short, why)


def check_embedders(names: Sequence[str]) -> None:
    """Raise what one of several embedders would be refused for, before any of them has read an image.

    Raises
    ------
    WeightsError
        There is no such model, or it can't be used.
    """
    for name in names:
        if is_checkpoint(name):
            load_checkpoint(name, LARGEST_SIDE)
        elif is_onnx(name):
            load_onnx(name)
        elif name != "auto" and name not in PACKAGES and not is_fitted_here(name):
            read_preprocessing(model_folder(name, None), name)


def chosen_embedders(
    source: ImageSource, embedders: Sequence[str], runtime: Runtime, cache: Cache | None = None
) -> tuple[tuple[str, ...], str]:
    """The names of the embedders, "auto" resolved, and one line that says why."""
    names, why = tuple(embedders), f"{'+'.join(embedders)}, as asked"
    if names == ("auto",):
        task = EmbedTask(source, runtime, max_skipped=1.0, cache=cache)

        def embed_some(name: str, some: ImageSource) -> Embedded:
            return _embed_new(load_packaged(name, runtime), replace(task, source=some))

        names, why = choose_embedder(source, runtime, embed_some)
    logger.info("embedder: %s", why)
    return names, why


def several(each: Sequence[Embedding], short: Sequence[str], why: str) -> Embedding:
    """Embeddings of the same images, or of as many samples, as one; of the samples that all of them have.

    `each`: at least two; with rows in rising order. `short`: what each is called in the run's folder.
    """
    features, rows = side_by_side([one.features for one in each], [one.rows for one in each])
    names = dict(zip(each[0].rows.tolist(), each[0].file_names, strict=True))
    fitted = [one.embedder for one in each]
    single = [part for part in fitted if part is not None and not isinstance(part, SeveralEmbedders)]
    sizes = tuple(None if one.images is None else int(one.images.pixels.shape[-1]) for one in each)
    widths = tuple(one.features.shape[1] for one in each)
    return Embedding(
        name="+".join(one.name for one in each),
        file_names=tuple(names[row] for row in rows.tolist()),
        features=features,
        rows=rows,
        embedder=SeveralEmbedders(tuple(single), sizes, widths) if len(single) == len(each) else None,
        skipped=_skipped_by_any(each),
        why=why,
        embeddings=dict(zip(short, widths, strict=True)),
    )


def _skipped_by_any(each: Sequence[Embedding]) -> tuple[tuple[str, str], ...]:
    """What some embedder couldn't read, in the order of the source, with the reason of the first."""
    lost = {name: reason for one in reversed(each) for name, reason in one.skipped}
    return tuple((name, lost[name]) for name in each[0].in_source if name in lost)


def _embed_by(task: EmbedTask, name: str, why: str, kept: Checkpoints) -> Embedding:
    """By a single embedder."""
    if is_checkpoint(name):
        return _embed_by_checkpoint(task, name)
    if not is_fitted_here(name):
        return _embed_frozen(task, name, why)
    source, runtime = task.source, task.runtime
    largest = MOMENTUM_SIDE if name == "momentum" else LARGEST_SIZE
    size = task.image_size or choose_size(source, largest)
    images = load_pixels(source, size, runtime, task.max_skipped)
    before = Checkpoints()
    if task.cache is not None and name != "pixels":  # which is made anew in less than it takes to look
        read = content_hashes(source.take(images.indices))
        about = {
            "reading": source.reading.to_config(),
            "size": images.pixels.shape[1:],
            "seed": runtime.seed,
            "device": runtime.device.type,
        }
        before = task.cache.learned(name, about, read)
    return _embed_from_scratch(images, name, why, runtime, kept, before)


def _embed_frozen(task: EmbedTask, name: str, why: str) -> Embedding:
    embedder = load_frozen(name, task.runtime)
    features, indices, skipped = _embed_new(embedder, task)
    if task.is_centered:
        center = torch.from_numpy(features).mean(dim=0)
        embedder, features = embedder.centered_at(center), around(torch.from_numpy(features), center).numpy()
    names = tuple(task.source.file_names[index] for index in indices)
    return Embedding(name, names, features, indices, embedder, None, skipped, why)


def load_frozen(name: str, runtime: Runtime) -> FrozenEmbedder:
    """A network that was trained elsewhere, by its name in the settings.

    Raises
    ------
    WeightsError
        Its weights can't be had.
    """
    if name in PACKAGES:
        return load_packaged(name, runtime)
    return load_onnx(name) if is_onnx(name) else load_pretrained(name, runtime)


def _embed_new(embedder: FrozenEmbedder, task: EmbedTask) -> Embedded:
    """Features of all images; those that the cache doesn't have are made, and kept."""
    source, runtime, cache = task.source, task.runtime, task.cache
    if cache is None:
        return embedder.embed(source, runtime, task.max_skipped)
    images = content_hashes(source)
    about = {
        "origin": embedder.origin,
        "preprocessing": asdict(embedder.preprocessing),
        "reading": source.reading.to_config(),
        "computed": [runtime.device.type, str(runtime.autocast_dtype)],
        "row": None if isinstance(source.items, tuple) else [source.items.shape[1:], str(source.items.dtype)],
    }
    known = cache.known(embedder.name, about, images)
    if known:
        logger.info("embedding: %d of %d images are in %s", len(known), len(source), cache.folder)

    def keep(places: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        cache.keep(embedder.name, about, [images[place] for place in places], features)

    return embedder.embed(source, runtime, task.max_skipped, known=known, keep=keep)


def _embed_by_checkpoint(task: EmbedTask, name: str) -> Embedding:
    checkpoint = load_checkpoint(name, task.image_size or choose_size(task.source, LARGEST_SIDE))
    logger.info("checkpoint: %s", checkpoint)
    embedder = CheckpointEmbedder.from_checkpoint(checkpoint)
    side = task.image_size or checkpoint.side
    images = load_pixels(task.source, side, task.runtime, task.max_skipped, embedder.n_channels)
    return _embedded(images, name, str(checkpoint), embedder, task.runtime)


def _embed_from_scratch(
    images: ImageSet, name: str, why: str, runtime: Runtime, kept: Checkpoints, before: Checkpoints
) -> Embedding:
    done = kept.load("embedder")
    if done is None:
        done = before.load("embedder")
    if done is None:
        fitted, why = _fit(images.pixels, name, why, runtime, kept)
        state = fitted.state()
        made = replace(state, config={"embedder": state.config, "why": why})
        kept.save("embedder", made)
        try:
            before.save("embedder", made)
        except RunFolderError as error:
            logger.warning("what was learned isn't kept for other runs: %s", error)
    else:
        logger.info("embedder: taken as it was made before")
        fitted = embedder_from_state(State(done.config["embedder"], done.weights))
        why = done.config["why"]
    return _embedded(images, name, why, fitted, runtime)


def _embedded(images: ImageSet, name: str, why: str, fitted: Embedder, runtime: Runtime) -> Embedding:
    features = fitted.transform(images.pixels, runtime)
    return Embedding(name, images.file_names, features, images.indices, fitted, images, images.skipped, why)


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
