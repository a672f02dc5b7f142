"""Features of a pretrained network from the Hugging Face hub or a local folder, straight from the files.

The preprocessing is our own, written from what `preprocessor_config.json` means: the processors of transformers
want torchvision, and decode and normalise one image at a time.
"""

import json
import logging
import sys
import urllib.error
import urllib.request
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

from ruc.errors import WeightsError
from ruc.images.load import Skipped, check_skipped, stream_batches
from ruc.images.source import ImageSource
from ruc.networks import State
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = [
    "DEFAULT_MODEL",
    "Availability",
    "Embedded",
    "Preprocessing",
    "PretrainedEmbedder",
    "load_pretrained",
    "weights_at_hand",
]

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "facebook/dinov2-small"
"""What "auto" stands for: 22 million parameters, Apache 2.0, and the best features for its size."""

WAY_OUT = "give a folder that holds the model, or take --embedder scratch"
PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
HUB_FILES = [
    "config.json",
    *PREPROCESSOR_FILES,
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
]
PATIENCE_SECONDS = 5.0
CPU_BATCH_SIZE, ACCELERATOR_BATCH_SIZE = 8, 64  # a CPU is a little faster when a batch stays in its cache


@dataclass(frozen=True)
class Preprocessing:
    """What a checkpoint wants done to an image.

    Attributes
    ----------
    resize
        The shorter side in pixels, the proportions kept; or (height, width), the proportions lost.
    crop
        (height, width) of the centre that is kept: the input size of the network.
    resample
        Pillow's filter.
    scale, mean, std
        The network sees (x * scale - mean) / std of pixels x in [0, 1]; mean and std one a channel.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    resample: Image.Resampling
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocessing":
        """Read the content of a `preprocessor_config.json`; raises `WeightsError` when it asks for other things."""
        cropped = config.get("do_center_crop", "crop_size" in config)
        resize = _size(config.get("size", config.get("crop_size", 224)), square=not cropped)
        if cropped:
            crop = _height_width(_size(config.get("crop_size", config.get("size", 224)), square=True))
            # ConvNeXt and others write the resize as a share of the crop instead.
        elif isinstance(resize, int) and "crop_pct" in config and resize < 384:
            crop, resize = (resize, resize), int(resize / config["crop_pct"])
        else:
            crop = _height_width(resize)
        if isinstance(resize, int):
            resize = max(resize, *crop)
        normalized = config.get("do_normalize", "image_mean" in config)
        rescaled = config.get("do_rescale", True)
        return cls(
            resize=resize,
            crop=crop,
            resample=Image.Resampling(config.get("resample", Image.Resampling.BICUBIC)),
            scale=255 * float(config.get("rescale_factor", 1 / 255)) if rescaled else 255.0,
            mean=tuple(config["image_mean"]) if normalized else (0.0, 0.0, 0.0),
            std=tuple(config["image_std"]) if normalized else (1.0, 1.0, 1.0),
        )

    @property
    def shorter_side(self) -> int:
        """The least an image may be reduced to before `prepare`."""
        return self.resize if isinstance(self.resize, int) else max(self.resize)

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop one image; (3, height, width) uint8, not yet normalised."""
        image = image.convert("RGB")
        if isinstance(self.resize, int):
            shorter = min(image.size)
            width, height = (int(self.resize * side / shorter) for side in image.size)
        else:
            height, width = self.resize
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        # The cropped box alone is resized, which gives the same pixels as resizing all and cropping.
        x, y = image.width / width, image.height / height
        box = (left * x, top * y, (left + self.crop[1]) * x, (top + self.crop[0]) * y)
        return np.asarray(image.resize(self.crop[::-1], self.resample, box=box)).transpose(2, 0, 1)


def _size(size: int | dict[str, int], square: bool) -> int | tuple[int, int]:
    """`size` or `crop_size` as they are written in any year; a bare number is a shorter side unless `square`."""
    if isinstance(size, int):
        return (size, size) if square else size
    if "height" in size and "width" in size:
        return size["height"], size["width"]
    if "shortest_edge" in size:
        return size["shortest_edge"]
    raise WeightsError(
        f"the preprocessor asks for the size {size}; expected height and width, or shortest_edge"
    )


def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


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
    folder = _local_folder(name, revision)
    if folder is None:
        folder = _download(name, revision)
    preprocessing = _read_preprocessing(folder, name)
    network, pooled = _load_network(folder, name)
    backbone = Backbone(network, preprocessing, pooled).eval().requires_grad_(False).to(runtime.device)
    if Path(name).is_dir():
        return PretrainedEmbedder(str(folder), None, preprocessing, backbone)
    return PretrainedEmbedder(name, folder.name, preprocessing, backbone)


@dataclass(frozen=True)
class Availability:
    """Whether weights can be had, and why: one line for the log."""

    at_hand: bool
    reason: str


def weights_at_hand(name_or_dir: str | Path = "auto") -> Availability:
    """Whether `load_pretrained` will find its weights; decides what "auto" does. Takes seconds at most."""
    name = DEFAULT_MODEL if str(name_or_dir) == "auto" else str(name_or_dir)
    try:
        folder = _local_folder(name, None)
        if folder is None:
            _ask_hub(name, None)
    except WeightsError as error:
        return Availability(False, str(error).partition(";")[0])
    if folder is None:
        return Availability(True, f"{name} can be downloaded from the hub")
    return Availability(True, f"{name} is {'a folder' if Path(name).is_dir() else 'in the local cache'}")


def _local_folder(name: str, revision: str | None) -> Path | None:
    """The folder that holds the model already, None when it has to be downloaded."""
    if Path(name).is_dir():
        folder = Path(name).resolve()
        if not _is_complete(folder):
            raise WeightsError(
                f"the folder {name!r} holds no model; expected config.json and model.safetensors (a pickle such as "
                "pytorch_model.bin is never opened: save the model again with save_pretrained)"
            )
        return folder
    from huggingface_hub import constants, try_to_load_from_cache

    try:
        config = try_to_load_from_cache(
            name, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
        )
    except ValueError as error:  # no name the hub could have
        raise WeightsError(f"{name!r} is neither a folder nor the name of a model; {WAY_OUT}") from error
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    prepared = any((folder / file).is_file() for file in PREPROCESSOR_FILES)
    return folder if prepared and _is_complete(folder) else None


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("model*.safetensors"))


def _ask_hub(name: str, revision: str | None) -> None:
    """Raise `WeightsError` unless the hub answers in a few seconds that it has the model."""
    from huggingface_hub import constants, get_token, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{name} is not in the local cache and HF_HUB_OFFLINE is set; {WAY_OUT}")
    request = urllib.request.Request(hf_hub_url(name, "config.json", revision=revision), method="HEAD")
    if token := get_token():
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404):
            raise WeightsError(
                f"the hub has no model {name!r}, or not for you ({error.code}); {WAY_OUT}"
            ) from error
        raise WeightsError(
            f"the hub answers {error.code} for {name!r}; try again later, or {WAY_OUT}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{name} is not in the local cache and {constants.ENDPOINT} cannot be reached ({reason}); {WAY_OUT}"
        ) from error


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download

    _ask_hub(name, revision)
    logger.info("downloading %s", name)
    try:
        snapshot = snapshot_download(
            name,
            revision=revision,
            cache_dir=constants.HF_HUB_CACHE,
            allow_patterns=HUB_FILES,
            etag_timeout=PATIENCE_SECONDS,
        )
    except _download_errors() as error:
        raise WeightsError(f"{name} cannot be downloaded ({_first_line(error)}); {WAY_OUT}") from error
    folder = Path(snapshot)
    if not _is_complete(folder):
        raise WeightsError(f"{name} has no safetensors on the hub, and pickles are not opened; {WAY_OUT}")
    return folder


def _download_errors() -> tuple[type[Exception], ...]:
    """What a download can raise; the HTTP library behind the hub's client depends on its release."""
    names = {"requests": "RequestException", "httpx": "HTTPError", "httpx2": "HTTPError"}
    transport = [getattr(sys.modules[module], names[module]) for module in names if module in sys.modules]
    return (OSError, ValueError, RuntimeError, *transport)


def _read_preprocessing(folder: Path, name: str) -> Preprocessing:
    for file, key in zip(PREPROCESSOR_FILES, (None, "image_processor"), strict=True):
        if not (folder / file).is_file():
            continue
        try:
            config = json.loads((folder / file).read_text(encoding="utf-8"))
            if key is None or key in config:
                return Preprocessing.from_config(config if key is None else config[key])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"the {file} of {name} cannot be used ({_first_line(error)}); {WAY_OUT}"
            ) from error
    raise WeightsError(f"{name} has no preprocessor_config.json, which says how to prepare images; {WAY_OUT}")


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
            f"{name} is no model transformers can load ({_first_line(error)}); {WAY_OUT}"
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
