"""ONNX: the trained pair of networks as one file, checked against the original."""

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ruc.embed import embedder_from_state
from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.contrastive import ContrastiveEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.pixels import PixelEmbedder
from ruc.errors import InputError, RucError
from ruc.export.items import check_new
from ruc.networks import State
from ruc.refine.calibrate import Calibration
from ruc.refine.memory import SAME, Memory, sketch
from ruc.refine.refinement import Pair
from ruc.run_folder import replacing

__all__ = ["ClusterModel", "cluster_model", "export_model", "export_onnx"]

TOLERANCE: Final = 1e-4
N_CHECKED: Final = 5
OPSET: Final = 18


class ClusterModel(nn.Module):
    """Images or features in, probabilities of the clusters out: all that `ruc predict` does after decoding.

    Parameters
    ----------
    pair
        The two networks.
    calibration
        From the logits to probabilities.
    embed
        uint8 pixels to the pair's input; None where the input is unit-norm features, or anything
        that becomes them by division.
    """

    def __init__(self, pair: Pair, calibration: Calibration, embed: nn.Module | None) -> None:
        super().__init__()
        self.first, self.second = pair.first, pair.second
        self.memory = None if pair.memory is None or not len(pair.memory.keys) else _Memory(pair.memory)
        self.calibration = calibration
        self.embed = embed

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, n_clusters) probabilities."""
        ready = nn.functional.normalize(inputs, dim=1) if self.embed is None else self.embed(inputs)
        logits = self.first(ready) + self.second(ready)
        if self.memory is not None:
            logits = self.memory(ready, logits)
        return self.calibration.apply(logits)


class _Memory(nn.Module):
    """`Memory` as a module: by a matrix product in double precision, since ONNX has no `cdist`."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.keys = nn.Buffer(memory.keys.double())
        self.logits = nn.Buffer(memory.logits)

    def forward(self, inputs: Tensor, logits: Tensor) -> Tensor:
        flat = sketch(inputs.double())
        lengths = flat.square().sum(dim=1, keepdim=True)
        distances = lengths + self.keys.square().sum(dim=1) - 2 * flat @ self.keys.T
        nearest = distances.argmin(dim=1)
        is_known = distances.gather(1, nearest.unsqueeze(1)) <= SAME**2 * lengths
        return torch.where(is_known, self.logits[nearest], logits)


class _AsFloat(nn.Module):
    """uint8 pixels as floats in [0, 1]."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float() / 255.0


class _Pixels(nn.Module):
    """`PixelEmbedder` as a module."""

    def __init__(self, embedder: PixelEmbedder) -> None:
        super().__init__()
        self.side = embedder.side
        self.mean = nn.Buffer(embedder.mean)
        self.components = nn.Buffer(embedder.components)

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.float() / 255.0
        if images.shape[-1] != self.side:
            images = nn.functional.interpolate(images, size=(self.side, self.side), mode="area")
        return nn.functional.normalize((images.flatten(1) - self.mean) @ self.components.T, dim=1)


class _Backbone(nn.Module):
    """`ContrastiveEmbedder` as a module."""

    def __init__(self, embedder: ContrastiveEmbedder) -> None:
        super().__init__()
        self.side = embedder.side
        self.network = embedder.network

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.float() / 255.0
        if images.shape[-1] > self.side:
            images = nn.functional.interpolate(images, size=(self.side, self.side), mode="area")
        return nn.functional.normalize(self.network(images), dim=1)


class _Checkpoint(nn.Module):
    """`CheckpointEmbedder` as a module."""

    def __init__(self, embedder: CheckpointEmbedder) -> None:
        super().__init__()
        self.embedder = embedder
        self.parts = nn.ModuleList([embedder.network, embedder.head])

    def forward(self, pixels: Tensor) -> Tensor:
        return self.embedder.embed(pixels.float() / 255.0)


class _Combined(nn.Module):
    """`CombinedEmbedder` as a module."""

    def __init__(self, embedder: CombinedEmbedder) -> None:
        super().__init__()
        self.parts = nn.ModuleList([_embedding(part) for part in embedder.parts])
        scale = float(np.linalg.norm(embedder.weights))
        self.weights = [weight / scale for weight in embedder.weights]

    def forward(self, pixels: Tensor) -> Tensor:
        pairs = zip(self.parts, self.weights, strict=True)
        return torch.cat([part(pixels) * weight for part, weight in pairs], dim=1)


def _embedding(embedder: Embedder) -> nn.Module:
    """From uint8 pixels to unit-norm features, as a module."""
    if isinstance(embedder, PixelEmbedder):
        return _Pixels(embedder)
    if isinstance(embedder, ContrastiveEmbedder):
        return _Backbone(embedder)
    if isinstance(embedder, CheckpointEmbedder):
        return _Checkpoint(embedder)
    if isinstance(embedder, CombinedEmbedder):
        return _Combined(embedder)
    raise InputError(
        f"an embedder of kind {embedder.name!r} was given; expected pixels, contrastive, checkpoint or combined: "
        "such a run can be handed over with --to parquet"
    )


def _n_channels(embedder: Embedder) -> int:
    if isinstance(embedder, CombinedEmbedder):
        return _n_channels(embedder.parts[0])
    if isinstance(embedder, PixelEmbedder):
        return int(embedder.components.shape[1]) // embedder.side**2
    if isinstance(embedder, ContrastiveEmbedder | CheckpointEmbedder):
        return int(embedder.network.settings.channels)
    raise InputError(f"an embedder of kind {embedder.name!r} was given; expected one on pixels")


def export_model(model: Mapping[str, State], target: Path, labels: Sequence[str] = ()) -> Path:
    """Write a run's model as ONNX.

    Input `pixels`, (n, channels, size, size) uint8 as `ruc predict` prepares them (shorter side resized, centre
    cropped); or `features`, (n, n_features) float32, for a run on features or on a pretrained backbone, which is not
    part of the file. Output `probabilities`, (n, n_clusters). Any n.

    Parameters
    ----------
    model
        From `run_folder.read_model`.
    target
        A new file, e.g. `model.onnx`.
    labels
        The clusters' names, kept in the file's metadata.

    Returns
    -------
    target

    Raises
    ------
    InputError
        `target` exists, or onnx, onnxscript or onnxruntime is not installed.
    """
    module, example = cluster_model(model)
    name = "pixels" if example.dtype == torch.uint8 else "features"
    return export_onnx(module, example, target, name, {"labels": json.dumps(list(labels)), "made_by": "ruc"})


def cluster_model(model: Mapping[str, State]) -> tuple[ClusterModel, Tensor]:
    """A run's model as one module, and an example of its input with two rows."""
    about = model["pair"].config
    pair = Pair.from_state(model["pair"], torch.device("cpu"))
    network = about["network"]
    generator = torch.Generator().manual_seed(0)
    if network["kind"] == "image" or (
        "embedder" in model and model["embedder"].config["kind"] != "pretrained"
    ):
        size = int(about["image_size"])
        embed, n_channels = _image_part(model, network, size)
        example = torch.randint(0, 256, (2, n_channels, size, size), dtype=torch.uint8, generator=generator)
        return ClusterModel(pair, Calibration.from_config(about), embed).eval(), example
    example = torch.randn((2, network["n_features"]), generator=generator)
    return ClusterModel(pair, Calibration.from_config(about), None).eval(), example


def export_onnx(
    module: nn.Module,
    example: Tensor,
    target: Path,
    input_name: str = "inputs",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a module as ONNX with a dynamic batch, and check with onnxruntime that it says the same.

    Parameters
    ----------
    module
        One tensor in, probabilities (n, n_clusters) out.
    example
        An input with at least two rows.
    target
        A new file.
    input_name
        How the input is called in the file.
    metadata
        Kept in the file.

    Returns
    -------
    target

    Raises
    ------
    InputError
        `target` exists, or onnx, onnxscript or onnxruntime is not installed.
    RucError
        The probabilities differ by more than 1e-4 from the module's; no file is written then.
    """
    check_new(target)
    missing = [
        name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; expected for ONNX: pip install 'ruc[onnx]'")
    with replacing(target.parent) as new:
        path = new / target.name
        _write(module.eval(), example, path, input_name, metadata or {})
        _check(module, example, path, input_name)
    return target


def _write(
    module: nn.Module, example: Tensor, path: Path, input_name: str, metadata: Mapping[str, str]
) -> None:
    import onnx

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own parts that are about to change
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                input_names=[input_name],
                output_names=["probabilities"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.save_model(proto, str(path))


def _check(module: nn.Module, example: Tensor, path: Path, input_name: str) -> None:
    """Batches of one, of the example's size and of another one, some by onnxruntime, some by torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    several = example.repeat((N_CHECKED, *(1 for _ in example.shape[1:])))[:N_CHECKED]
    for batch in (example[:1], example, several):
        with torch.no_grad():
            expected = module(batch).numpy()
        found: Any = session.run(None, {input_name: batch.numpy()})[0]
        difference = float(np.abs(found - expected).max())
        if found.shape != expected.shape or difference > TOLERANCE:
            raise RucError(
                f"the ONNX model's probabilities differ by {difference:.2g} from the run's; expected at most "
                f"{TOLERANCE:g}: another version of onnxscript may help"
            )


def _image_part(model: Mapping[str, State], network: Mapping[str, Any], size: int) -> tuple[nn.Module, int]:
    """The module from pixels to the pair's input, and its number of channels."""
    if network["kind"] == "image":
        return _AsFloat(), int(network["backbone"]["channels"])
    embedder = embedder_from_state(model["embedder"])
    return _embedding(embedder), _n_channels(embedder)
