"""A run's base and refined model on the same images, attacked or corrupted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ruc.edits import before_edits
from ruc.errors import InputError
from ruc.evaluation.attacks import AttackTable, Model, attack_models
from ruc.evaluation.corruptions import CORRUPTIONS, STRENGTHS, CorruptionTable, corruption_table
from ruc.evaluation.metrics import contingency, match_clusters
from ruc.evaluation.truth import Truth, read_truth
from ruc.labels.clustering import UNKNOWN
from ruc.networks import ImageNetwork, State
from ruc.progress import progress
from ruc.refine.trained import Pair
from ruc.run_folder import Run, read_run_and_model
from ruc.runtime import Runtime

if TYPE_CHECKING:
    from ruc.embed.embedder import Embedder
    from ruc.images.source import ImageSource

OWN_NETWORK: Final = "the base is the network that made the initial clusters"
LINEAR_HEAD: Final = (
    "the base stands for a linear head, fitted to the initial clusters, on what RUC's networks started from"
)
PENALTY: Final = 1e-4  # of the head's squared weights
N_STEPS: Final = 100
BATCH: Final = 250


@dataclass(frozen=True)
class Subjects:
    """What is attacked or corrupted.

    Attributes
    ----------
    models
        "base" and "refined": images (n, channels, height, width) in [0, 1] to logits (n, n_clusters), with
        gradient. "refined" is the two networks alone, without what is remembered of single labels.
    pixels
        (n, channels, height, width) uint8 of some images with known truth, as the models take them.
    right
        Name of a model to (n,) int64: its cluster that stands for each image's true class, -1 where none does.
    base
        What "base" is, in words.
    """

    models: dict[str, Model]
    pixels: NDArray[np.uint8]
    right: dict[str, NDArray[np.int64]]
    base: str


def attack_run(
    folder: str | Path,
    truth: str | Path | Truth,
    runtime: Runtime,
    attacks: tuple[str, ...] = ("fgsm", "bim"),
    n_images: int = 1000,
) -> AttackTable:
    """Attack the base and the refined model of a run.

    Parameters
    ----------
    truth
        File of true labels; or what `read_truth` found in it.
    runtime
        Where to compute, the seed that draws the images, and whether to show progress.
    n_images
        How many images with known truth to attack, drawn at random; all if there are fewer.

    Raises
    ------
    InputError
        A run on features, a truth file that can't be used, or an unknown attack.
    """
    subjects = subjects_of(folder, truth, runtime, n_images)
    images = torch.from_numpy(subjects.pixels).to(runtime.device).float() / 255
    right = {name: torch.from_numpy(clusters).to(runtime.device) for name, clusters in subjects.right.items()}
    total = len(images) * len(subjects.models) * len(attacks) * len(STRENGTHS)
    with progress("attacking", total, "images", runtime.verbose) as advance:
        table = attack_models(subjects.models, images, right, attacks, BATCH, advance)
    return replace(table, base=subjects.base)


def corrupt_run(
    folder: str | Path, truth: str | Path | Truth, runtime: Runtime, n_images: int = 2000
) -> CorruptionTable:
    """Measure the base and the refined model of a run on corrupted images; see `attack_run`."""
    subjects = subjects_of(folder, truth, runtime, n_images)
    predict = {name: _predictor(model, runtime) for name, model in subjects.models.items()}
    total = len(subjects.pixels) * len(CORRUPTIONS) * len(STRENGTHS)
    with progress("corrupting", total, "images", runtime.verbose) as advance:
        table = corruption_table(
            predict, subjects.pixels, subjects.right, runtime.numpy_seed("corruptions"), advance
        )
    return replace(table, base=subjects.base)


def check_attackable(folder: str | Path) -> None:
    """Raise `InputError` where the models of a run can't be attacked, and images not be corrupted for them."""
    _source_of(folder, *read_run_and_model(folder))


def _source_of(folder: str | Path, run: Run, model: Mapping[str, State]) -> str:
    """Where the images of a run are that can be attacked."""
    from ruc.embed.several import KIND

    source = run.settings.get("source")
    if source is None or "embedder" not in model:
        what = "images given in Python, which it does not keep" if "embedder" in model else "features"
        raise InputError(
            f"{folder} is a run on {what}; expected one on a folder or a table of images to attack or corrupt: "
            "omit --attack and --corruptions"
        )
    if model["embedder"].config["kind"] == KIND:
        raise InputError(
            "an attack on a run with several embeddings given; expected a run with one: each embedder sees other pixels"
        )
    return str(source)


def subjects_of(folder: str | Path, truth: str | Path | Truth, runtime: Runtime, n_images: int) -> Subjects:
    """Make the models of a run, and read some of its images with known truth."""
    from ruc.images.reading import Reading
    from ruc.images.source import find_images

    edited, model = read_run_and_model(folder)
    run = before_edits(edited)  # networks know nothing of edits
    source = _source_of(folder, run, model)
    labels = truth if isinstance(truth, Truth) else read_truth(truth, run.file_names, run.is_of_features)
    known = np.flatnonzero(labels.is_known)
    if len(known) == 0:
        raise InputError("the truth has no known label for the run's images; expected at least one")
    random = np.random.default_rng(runtime.numpy_seed("robustness"))
    drawn = np.sort(random.choice(known, size=min(n_images, len(known)), replace=False))
    images = find_images(source).read_by(Reading.from_config(run.settings))
    place = {name: index for index, name in enumerate(images.file_names)}
    missing = [run.file_names[row] for row in drawn if run.file_names[row] not in place]
    if missing:
        raise InputError(
            f"{source} has no {missing[0]!r} any more; expected the images of the run where they were"
        )
    pixels, embed, backbone = _pixels_and_embedding(
        model["embedder"],
        images.take([place[run.file_names[row]] for row in drawn]),
        model["pair"].config["image_size"],
        runtime,
    )
    pair = Pair.from_state(model["pair"], runtime.device)
    in_images = model["pair"].config["space"] == "image"
    inside = _taken_by_pair(model["pair"], runtime) if in_images else embed
    has_network = in_images and "base" in model and model["base"].config["n_clusters"] == pair.n_clusters
    if has_network:
        base: Model = ImageNetwork.from_state(model["base"]).to(runtime.device)
    else:
        base = base_model(backbone if in_images else Part(embed, slice(None)), run, runtime)

    def refined(seen: Tensor) -> Tensor:
        inputs = inside(seen)
        logits: Tensor = pair.first(inputs) + pair.second(inputs)
        return logits

    return Subjects(
        models={"base": base, "refined": refined},
        pixels=pixels,
        right={
            "base": _cluster_of_truth(run.initial_cluster, labels)[drawn],
            "refined": _cluster_of_truth(run.cluster, labels)[drawn],
        },
        base=OWN_NETWORK if has_network else LINEAR_HEAD,
    )


@dataclass(frozen=True)
class Part:
    """A part of the run's embedding as a function with gradient, and which columns of the features it makes."""

    embed: Model
    columns: slice


def base_model(part: Part, run: Run, runtime: Runtime) -> Model:
    """The initial clustering as a model: a linear head on the part, fitted to the initial clusters of all images.

    Most base clusterings are no networks. This is the network that RUC would have left if it had changed nothing:
    the same backbone (in feature space: the same frozen embedding), taught the labels as they were.
    """
    known = run.initial_cluster != UNKNOWN
    features = torch.from_numpy(run.features[:, part.columns][known]).to(runtime.device)
    features = nn.functional.normalize(features.float(), dim=1)
    labels = torch.from_numpy(run.initial_cluster[known]).to(runtime.device)
    head = nn.Linear(features.shape[1], run.n_clusters).to(runtime.device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(features), labels) + PENALTY * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    head.requires_grad_(False)

    def base(images: Tensor) -> Tensor:
        logits: Tensor = head(nn.functional.normalize(part.embed(images), dim=1))
        return logits

    return base


def _pixels_and_embedding(
    state: State, images: "ImageSource", size: int | None, runtime: Runtime
) -> tuple[NDArray[np.uint8], Model, Part]:
    """The images as the run's embedder takes them, that embedder as a function with gradient, and its backbone."""
    from ruc.embed import embedder_from_state, frozen_from_state, is_frozen

    if is_frozen(state):
        from ruc.images.load import stream_batches

        embedder = frozen_from_state(state, runtime)
        if embedder.module is None:
            raise InputError(
                f"an attack on a run with the embedder {embedder.name!r} given; expected one that has gradients"
            )
        preprocessing = embedder.preprocessing
        batches = list(stream_batches(images, preprocessing.prepare, BATCH, preprocessing.shorter_side))
        _check_all_read(sum(len(batch.skipped) for batch in batches))
        pixels = np.concatenate([batch.images for batch in batches if len(batch.images)])
        return pixels, embedder.module, Part(embedder.module, slice(None))
    from ruc.images.load import load_pixels

    fitted = embedder_from_state(state)
    assert size is not None
    loaded = load_pixels(images, size, runtime, n_channels=fitted.n_channels)
    _check_all_read(len(loaded.skipped))
    return loaded.pixels, _differentiable(fitted, runtime), _backbone(fitted, loaded.pixels[:1], runtime)


def _taken_by_pair(state: State, runtime: Runtime) -> Model:
    """What a pair in image space takes of images in [0, 1]: these, or the maps below its retrained blocks."""
    if state.config["network"]["kind"] != "last blocks":
        return lambda seen: seen
    from ruc.embed.maps import cuts_of, load_blocks

    cuts = cuts_of(state.config)
    first = load_blocks(cuts, runtime)[0]

    def maps(seen: Tensor) -> Tensor:
        size = (cuts[0].side, cuts[0].side)
        smaller = nn.functional.interpolate(seen, size, mode="bilinear", antialias=True)
        found: Tensor = first(smaller)
        return found

    return maps


def _backbone(embedder: "Embedder", example: NDArray[np.uint8], runtime: Runtime) -> Part:
    """The part of an embedder that is a network; all of it when it has no parts."""
    from ruc.embed.combined import CombinedEmbedder
    from ruc.embed.pixels import PixelEmbedder

    start = 0
    for part in embedder.parts if isinstance(embedder, CombinedEmbedder) else ():
        width = part.transform(example, runtime).shape[1]
        if not isinstance(part, PixelEmbedder):
            return Part(_differentiable(part, runtime), slice(start, start + width))
        start += width
    return Part(_differentiable(embedder, runtime), slice(None))


def _check_all_read(n_lost: int) -> None:
    if n_lost:
        raise InputError(f"{n_lost} of the run's images can no longer be read; expected them as they were")


def _differentiable(embedder: "Embedder", runtime: Runtime) -> Model:
    """An embedder of pixels as a function of images in [0, 1] that lets gradients through."""
    for module in embedder.modules:
        module.to(runtime.device).eval()
    return embedder.embed


def _predictor(model: Model, runtime: Runtime) -> Callable[[NDArray[np.uint8]], NDArray[np.int64]]:
    @torch.no_grad()
    def predict(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
        batches = torch.split(torch.from_numpy(pixels), BATCH)
        found = [model(batch.to(runtime.device).float() / 255).argmax(dim=1).cpu() for batch in batches]
        clusters: NDArray[np.int64] = torch.cat(found).numpy()
        return clusters

    return predict


def _cluster_of_truth(clusters: NDArray[np.int64], truth: Truth) -> NDArray[np.int64]:
    """(n_samples,) the cluster that stands for each image's true class; -1 where none does or truth is unknown."""
    stands_for = match_clusters(contingency(clusters, truth))
    cluster_of = np.full(len(truth.classes) + 1, UNKNOWN, dtype=np.int64)  # the last is for unknown truth
    matched = np.flatnonzero(stands_for != UNKNOWN)
    cluster_of[stands_for[matched]] = matched
    return cluster_of[truth.codes]
