"""Images to features on many machines: each shard by a worker that holds the networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.known import is_fitted_here
from ruc.embed.several import SeveralEmbedders, embed_source, fitted_from_state
from ruc.embedding import chosen_embedders, load_frozen
from ruc.errors import InputError, NothingToClusterError, UsageError
from ruc.fingerprint import fingerprint
from ruc.images.load import content_hashes
from ruc.images.reading import Reading
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.networks import State
from ruc.networks.checkpoints import is_checkpoint
from ruc.runtime import Runtime
from ruc.scale.filling import fill
from ruc.scale.images import image_shards, source_of, why_skipped
from ruc.scale.over_ray import device_for, ray_cluster
from ruc.scale.shard_folder import ShardFolder, shard_folder
from ruc.settings import Settings
from ruc.tables.embeddings import shard_of


@dataclass(frozen=True)
class EmbeddedShards:
    """What was written: how many images, features of each, and (file_name, reason) of the images left out."""

    n_images: int
    n_features: int
    skipped: tuple[tuple[str, str], ...]


class EmbedShard:
    """Embeds the images of a shard and writes them; made once in each process, with the networks."""

    def __init__(self, folder: Path, reading: Reading, embedder: State, n_features: int, device: str) -> None:
        torch.set_num_threads(1)  # which changes no bit, see `FrozenEmbedder.embed`
        self._shards, self._reading, self._n_features = ShardFolder(folder), reading, n_features
        self._runtime = Runtime(device)
        self._embedder, _ = fitted_from_state(embedder, self._runtime, None)

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Embed what is in `file_names` and `items`, and write it as this shard's `number`."""
        source = source_of(shard, self._reading)
        try:
            features, indices, lost = embed_source(self._embedder, source, None, self._runtime, 1.0)
        except NothingToClusterError:  # none of these can be read, whatever of the others
            features, indices = np.empty((0, self._n_features), np.float32), np.empty(0, np.int64)
            lost = why_skipped(source)
        read = source.take(indices)
        table = shard_of(read.file_names, features, content_hashes(read))
        self._shards.write(shard["number"], table, lost)
        return {"number": shard["number"], "n_skipped": len(lost)}


def embed_to_shards(settings: Settings, output: Path, address: str, verbose: bool) -> EmbeddedShards:
    """The door `ruc embed --ray`: a new folder of Parquet shards, row for row what one machine would write.

    Images and output have to be at the same place on all nodes. What is finished stays whatever happens: the same
    command goes on with it.

    Parameters
    ----------
    settings
        Source, embedder, how images are read.
    output
        The folder.
    address
        Of the Ray cluster, see `ray_cluster`.
    verbose
        Whether progress is shown.

    Raises
    ------
    InputError
        The embedder would learn from these images, or there is no such cluster.
    NothingToClusterError
        More than the share `max_skipped` of the images can't be read.
    RunFolderError
        `output` isn't a new folder.
    """
    if output.suffix:
        raise UsageError(f"-o {output} given with --ray; expected the name of a folder, for Parquet shards")
    runtime = Runtime(settings.device, settings.seed, verbose)
    images = str(settings.source)
    source = survey(find_images(images), Reading.from_config(settings.model_dump()))
    names, _ = chosen_embedders(source, settings.embedders, runtime)
    embedder, n_features = _load(names, runtime)
    plan = {
        "inputs": fingerprint(settings, source, without=("max_skipped", "device")),
        "embedder": list(names),
    }
    with shard_folder(output, plan) as shards, ray_cluster(address):
        device = device_for(settings.device)
        arguments = (shards.folder.absolute(), source.reading, embedder.state(), n_features, device)
        skipped = fill(
            shards, image_shards(source), EmbedShard, arguments, device == "cuda", settings.max_skipped,
            "embedding", verbose,
        )  # fmt: skip
    return EmbeddedShards(len(source) - len(skipped), n_features, skipped)


def _load(names: tuple[str, ...], runtime: Runtime) -> tuple[FrozenEmbedder | SeveralEmbedders, int]:
    """The embedder, or several side by side, and the number of features."""
    learned = next((name for name in names if is_fitted_here(name) or is_checkpoint(name)), None)
    if learned is not None:
        raise InputError(
            f"embedder {learned} takes all images in one memory; expected with --ray one that was trained elsewhere: "
            "--embedder lite0, lite2, a model folder or a model.onnx"
        )
    parts = tuple(load_frozen(name, runtime) for name in names)
    blank = np.zeros((1, 3, 32, 32), np.uint8)
    widths = tuple(part.transform(blank, runtime).shape[1] for part in parts)
    if len(parts) == 1:
        return parts[0], widths[0]
    return SeveralEmbedders(parts, (None,) * len(parts), widths), sum(widths)
