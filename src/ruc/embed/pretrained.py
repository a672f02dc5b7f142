"""Features of a pretrained network from the Hugging Face hub or a local folder, straight from the files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ruc.embed.preprocessing import Preprocessing, read_preprocessing
from ruc.embed.weights import DEFAULT_MODEL, WAY_OUT, first_line, model_folder
from ruc.errors import WeightsError
from ruc.images.load import Skipped, check_skipped, stream_batches
from ruc.images.source import ImageSource
from ruc.networks import State
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = [
    "Embedded",
    "PretrainedEmbedder",
    "load_pretrained",
]

CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 8, 64  # a CPU is a little faster when a batch stays in its cache


class Backbone(nn.Module):
    """Images in, unit-norm features out: normalisation, network and pooling in one differentiable module."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, pooled: bool):
        super().__init__()
        self.network = network
        self.scale = preprocessing.scale
        self.pooled = pooled
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, height, width) in [0, 1] to (n, n_features) of norm 1."""
        output = self.network(pixel_values=(images * self.scale - self.mean) / self.std)
        if self.pooled and output.get("pooler_output") is not None:
            features = output.pooler_output
        elif output.last_hidden_state.ndim == 4:  # a convolutional network without a pooling layer
            features = output.last_hidden_state.mean(dim=(2, 3))
        else:
            features = output.last_hidden_state[:, 0]  # the class token
        return nn.functional.normalize(features.flatten(1).float(), dim=1)


class Embedded(NamedTuple):
    """The features of a source.

    Attributes
    ----------
    features
        (n, n_features) float32, rows of norm 1.
    indices
        (n,) int64: where in the source each of them is.
    skipped
        The images that could not be read.
    """

    features: NDArray[np.float32]
    indices: NDArray[np.int64]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class PretrainedEmbedder:
    """A pretrained network, ready to embed.

    Attributes
    ----------
    name
        The model's name on the hub, or its folder.
    revision
        The commit on the hub, None for a folder.
    preprocessing
        What its checkpoint wants done to images.
    module
        (n, 3, height, width) float images in [0, 1] at the input size to (n, n_features) unit-norm features,
        with gradients.
    """

    name: str
    revision: str | None
    preprocessing: Preprocessing
    module: Backbone

    def embed(
        self, source: ImageSource, runtime: Runtime, max_skipped: float = 0.10, batch_size: int | None = None
    ) -> Embedded:
        """Embed all images of a source, decoding in parallel with the network; memory does not grow with them.

        Raises
        ------
        NothingToClusterError
            More than the share `max_skipped` of the images, or all of them, cannot be read.
        """
        features: list[NDArray[np.float32]] = []
        indices: list[NDArray[np.int64]] = []
        skipped: list[Skipped] = []
        batches = stream_batches(
            source,
            self.preprocessing.prepare,
            batch_size or _batch_size(runtime),
            self.preprocessing.shorter_side,
        )
        with progress("embedding", len(source), "images", runtime.verbose) as advance:
            for batch in batches:
                skipped.extend(batch.skipped)
                # Once too many are lost the rest is decoded for the count alone.
                if len(batch.indices) and len(skipped) <= max_skipped * len(source):
                    features.append(self._features(batch.images, runtime))
                    indices.append(batch.indices)
                advance(len(batch.indices) + len(batch.skipped))
        check_skipped(skipped, len(source), max_skipped)
        return Embedded(np.concatenate(features), np.concatenate(indices), tuple(skipped))

    def transform(self, pixels: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        """Embed (n, C, height, width) uint8 images, C 1 or 3, that are in memory; resized where they have to be."""
        features = []
        batch_size = _batch_size(runtime)
        for start in range(0, len(pixels), batch_size):
            batch = pixels[start : start + batch_size]
            prepared = [self.preprocessing.prepare(_image(image)) for image in batch]
            features.append(self._features(np.stack(prepared), runtime))
        return np.concatenate(features)

    def state(self) -> State:
        """Where the weights are; they are not copied."""
        return State({"kind": "pretrained", "name": self.name, "revision": self.revision}, {})

    def _features(self, images: NDArray[np.uint8], runtime: Runtime) -> NDArray[np.float32]:
        batch = torch.from_numpy(images).to(runtime.device).float() / 255
        with torch.inference_mode(), runtime.autocast():
            features: NDArray[np.float32] = self.module(batch).float().cpu().numpy()
        return features


def _batch_size(runtime: Runtime) -> int:
    return CPU_BATCH_SIZE if runtime.device.type == "cpu" else ACCELERATOR_BATCH_SIZE


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def load_pretrained(
    name_or_dir: str | Path, runtime: Runtime, revision: str | None = None
) -> PretrainedEmbedder:
    """Load a pretrained network: from a folder, from the local cache, or else from the hub.

    Parameters
    ----------
    name_or_dir
        A name on the hub, a folder as `save_pretrained` writes it, or "auto" for `DEFAULT_MODEL`. Of a model of
        images and text (CLIP, SigLIP) the vision tower is taken.
    runtime
        Says where the network goes.
    revision
        A commit of the hub; by default the newest, or the one that is in the cache.

    Raises
    ------
    WeightsError
        There is no such model here and the hub cannot be reached, or it has no safetensors (pickles are never
        opened), or it is not a vision model that transformers knows.
    """
    name = DEFAULT_MODEL if str(name_or_dir) == "auto" else str(name_or_dir)
    folder = model_folder(name, revision)
    preprocessing = read_preprocessing(folder, name)
    network, pooled = _load_network(folder, name)
    backbone = Backbone(network, preprocessing, pooled).eval().requires_grad_(False).to(runtime.device)
    if Path(name).is_dir():
        return PretrainedEmbedder(str(folder), None, preprocessing, backbone)
    return PretrainedEmbedder(name, folder.name, preprocessing, backbone)


def _load_network(folder: Path, name: str) -> tuple[nn.Module, bool]:
    """The vision network in float32, and whether its pooling layer can be used."""
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with _quiet_transformers():
            model, info = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise WeightsError(
            f"{name} is no model transformers can load ({first_line(error)}); {WAY_OUT}"
        ) from error
    vision = getattr(model, "vision_model", model)
    # A pooling layer the checkpoint does not have would be random (DINO's ViT): the class token is used then.
    missing = [key for key in info["missing_keys"] if not key.startswith("text_model.")]
    without_pooler = any("pooler" in key for key in missing)
    if any("pooler" not in key for key in missing):
        raise WeightsError(
            f"the weights of {name} are incomplete: {missing[0]} and {len(missing) - 1} more are missing"
        )
    if not getattr(vision, "main_input_name", "pixel_values") == "pixel_values":
        raise WeightsError(f"{name} is no vision model (it takes {vision.main_input_name}); {WAY_OUT}")
    network: nn.Module = vision.float()
    return network, not without_pooler


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without the bar and the remarks transformers writes while loading; what matters is checked afterwards."""
    from transformers.utils import logging as transformers_logging

    logs: Any = transformers_logging  # its functions have no types
    level, bar = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bar:
            logs.enable_progress_bar()
