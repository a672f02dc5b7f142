"""Features of a pretrained network from the Hugging Face hub or a local folder, straight from the files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ruc.embed.frozen import FrozenEmbedder, of_module
from ruc.embed.preprocessing import read_preprocessing
from ruc.embed.weights import WAY_OUT, model_folder, understood
from ruc.errors import WeightsError
from ruc.runtime import Runtime


class Pooled(nn.Module):
    """A vision network of transformers that returns one row of features an image.

    Its pooling layer's; else the mean of a convolutional network's last map, or the class token.
    """

    def __init__(self, network: nn.Module, has_pooler: bool) -> None:
        super().__init__()
        self.network, self.has_pooler = network, has_pooler

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, height, width), normalised, to (n, n_features)."""
        output = self.network(pixel_values=images)
        features: Tensor
        if self.has_pooler and output.get("pooler_output") is not None:
            features = output.pooler_output.flatten(1)
        elif output.last_hidden_state.ndim == 4:  # a convolutional network without a pooling layer
            features = output.last_hidden_state.mean(dim=(2, 3))
        else:
            features = output.last_hidden_state[:, 0]  # the class token
        return features


def load_pretrained(name_or_dir: str | Path, runtime: Runtime, revision: str | None = None) -> FrozenEmbedder:
    """Load a pretrained network: from a folder, from the local cache, or else from the hub.

    Parameters
    ----------
    name_or_dir
        A name on the hub, or a folder as `save_pretrained` writes it. Of a model of images and text (CLIP, SigLIP) the
        vision tower is taken.
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
    name = str(name_or_dir)
    folder = model_folder(name, revision)
    preprocessing = read_preprocessing(folder, name)
    network = Pooled(*_load_network(folder, name))
    if Path(name).is_dir():
        name, commit = str(folder), None
    else:
        commit = folder.name
    origin = {"kind": "pretrained", "name": name, "revision": commit}
    return of_module(name, network, preprocessing, origin, runtime, mixed_precision=True)


def load_model(folder: Path, name: str) -> tuple[Any, tuple[str, ...]]:
    """A model of transformers as it lies in a folder, and the keys that its weights lack; no code beside it is run.

    Raises
    ------
    WeightsError
        It is none that transformers knows, or it has no safetensors.
    """
    from transformers import AutoModel

    with understood(f"{name} is no model transformers can load", WAY_OUT), _quiet_transformers():
        model, info = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    return model, tuple(info["missing_keys"])


def check_complete(missing: Sequence[str], name: str) -> None:
    """Raise `WeightsError` where weights lack keys: what transformers puts in their place is random."""
    if missing:
        raise WeightsError(
            f"the weights of {name} are incomplete: {missing[0]} and {len(missing) - 1} more are missing"
        )


def _load_network(folder: Path, name: str) -> tuple[nn.Module, bool]:
    """The vision network in float32, and whether its pooling layer can be used."""
    model, missing = load_model(folder, name)
    vision = getattr(model, "vision_model", model)
    # A pooling layer the checkpoint does not have would be random (DINO's ViT): the class token is used then.
    seen = [key for key in missing if not key.startswith("text_model.")]
    without_pooler = any("pooler" in key for key in seen)
    check_complete([key for key in seen if "pooler" not in key], name)
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
