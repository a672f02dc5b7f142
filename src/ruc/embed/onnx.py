"""Any network that was exported as ONNX, as an embedder: `--embedder model.onnx`, computed by onnxruntime.

What it wants done to images is read beside it, from `model.json` or `preprocessor_config.json`, in the terms of the
latter; `"output"` there names the output or the inner tensor that holds the features, by default the first output.
"""

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.embed.frozen import CPU_BATCH_SIZE, FrozenEmbedder
from ruc.embed.preprocessing import Preprocessing
from ruc.embed.weights import first_line
from ruc.errors import UnreadableFileError, WeightsError
from ruc.readers import FAILURES, load_json

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
PREPROCESSOR = "preprocessor_config.json"
WAY_OUT = "export it again with one input of images, (n, 3, height, width) or (n, height, width, 3)"


def is_onnx(name: str) -> bool:
    """Whether an embedder's name is that of an exported model."""
    return name.endswith(".onnx")


def load_onnx(name: str | Path, sha256: str | None = None) -> FrozenEmbedder:
    """An exported network: (n, 3, height, width) or (n, height, width, 3) in, features or maps of them out.

    A map is averaged over its places, its channels standing where those of the images do; of tokens
    (n, n_tokens, n_features) the first is taken. A batch that is fixed in the file is kept, the last one filled up.
    float32, float16 and uint8 inputs are known; uint8 is given pixels as they are.

    Parameters
    ----------
    name
        The file. Weights that it keeps in others must lie in its folder.
    sha256
        Of the model that it must be, its weights and what is done to images included; None: any.

    Raises
    ------
    WeightsError
        onnx or onnxruntime isn't installed, there is no such file, it can't be run, or nothing says how to prepare
        images.
    """
    path = Path(name).resolve()
    missing = [package for package in ("onnx", "onnxruntime") if importlib.util.find_spec(package) is None]
    if missing:
        raise WeightsError(f"{name} given, and {', '.join(missing)} not installed: pip install 'ruc[onnx]'")
    if not path.is_file():
        raise WeightsError(f"{name} given, which is not there; expected an ONNX model")
    config, beside = _config(path)
    try:
        preprocessing = Preprocessing.from_config(config)
    except FAILURES as error:
        raise WeightsError(
            f"{beside} cannot be used ({first_line(error)}); expected size, image_mean and image_std"
        ) from error
    model = _read(path)
    found = _fingerprint(path, model, config)
    if sha256 not in (None, found):
        raise WeightsError(
            f"{name} or the file beside it is another than the run was made with; expected those in their place"
        )
    network = _Network(path, model, config.get("output"), preprocessing)
    origin = {"kind": "onnx", "name": str(path), "sha256": found, "output": network.output}
    return FrozenEmbedder(str(name), preprocessing, network, origin, network.batch or CPU_BATCH_SIZE)


class _Network:
    """(n, 3, height, width) uint8 to (n, n_features) of norm 1, by a session.

    Attributes
    ----------
    output
        The tensor that holds the features.
    batch
        How many images the file takes, no fewer and no more; None: any number.
    """

    def __init__(self, path: Path, model: Any, output: str | None, preprocessing: Preprocessing) -> None:
        outputs = [each.name for each in model.graph.output]
        if not outputs:
            raise WeightsError(
                f"{path} has no output; expected a network that has features for one: {WAY_OUT}"
            )
        self.output = output or outputs[0]
        self.session = _session(path, _with_output(path, model, self.output))
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in TYPES:
            shapes = ", ".join(f"{each.name} {each.shape} {each.type}" for each in inputs)
            raise WeightsError(f"{path} has the inputs {shapes}; expected one, float or uint8: {WAY_OUT}")
        batch, *rest = inputs[0].shape
        self.channels_last = rest[2] == 3 and rest[0] != 3
        n_channels, *side = (rest[2], *rest[:2]) if self.channels_last else rest
        if isinstance(n_channels, int) and n_channels != 3:
            raise WeightsError(f"{path} takes images of {n_channels} channels; expected 3: {WAY_OUT}")
        given = preprocessing.crop
        if any(isinstance(one, int) and one != made for one, made in zip(side, given, strict=True)):
            raise WeightsError(
                f"{path} takes images of {side[0]} x {side[1]} and the file beside it makes them {given[0]} x "
                f"{given[1]}; expected the same: correct its size"
            )
        self.input, self.type = inputs[0].name, TYPES[inputs[0].type]
        self.batch = batch if isinstance(batch, int) and batch > 0 else None
        # The scale of such numbers is that of the whole batch: of one image alone it doesn't depend on its company.
        self.is_one_by_one = any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)
        self.preprocessing = preprocessing
        self._try(path)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = 1 if self.is_one_by_one else self.batch or len(images)
        rows = [self._rows(images[start : start + size]) for start in range(0, len(images), size)]
        features = np.concatenate(rows)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        unit: NDArray[np.float32] = features / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def _rows(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n_images, n_features), not yet of norm 1; no more images than the file takes at once."""
        n_images = len(images)
        found = np.asarray(
            self._run(images[np.arange(self.batch or n_images) % n_images])[:n_images], np.float32
        )
        if found.ndim == 4:
            means: NDArray[np.float32] = found.mean(axis=(1, 2) if self.channels_last else (2, 3))
            return means
        return found[:, 0] if found.ndim == 3 else found

    def _run(self, images: NDArray[np.uint8]) -> Any:
        pixels: NDArray[Any] = images
        if self.type != np.uint8:
            about = self.preprocessing
            mean, std = (np.array(each, np.float32)[:, None, None] for each in (about.mean, about.std))
            pixels = (images.astype(np.float32) * np.float32(about.scale / 255) - mean) / std
        if self.channels_last:
            pixels = pixels.transpose(0, 2, 3, 1)
        return self.session.run([self.output], {self.input: np.ascontiguousarray(pixels, self.type)})[0]

    def _try(self, path: Path) -> None:
        """Raise `WeightsError` unless it makes features of images, before any is read."""
        n_images = self.batch or 1
        try:
            found = self._run(np.zeros((n_images, 3, *self.preprocessing.crop), np.uint8))
        except _runtime_errors() as error:
            raise WeightsError(
                f"{path} fails on images of {' x '.join(map(str, self.preprocessing.crop))} ({first_line(error)}); "
                "expected another size in the file beside it, or another model"
            ) from error
        shape: tuple[int, ...] = getattr(found, "shape", ())
        if len(shape) not in (2, 3, 4) or shape[0] != n_images or found.dtype.kind not in "fiu":
            raise WeightsError(
                f"the output {self.output!r} of {path} is {shape or type(found).__name__} for {n_images} images; "
                "expected features, tokens or a map of each: name another as output in the file beside it"
            )


def _config(path: Path) -> tuple[dict[str, Any], Path]:
    """How to prepare images for a model, and the file that says so."""
    places = [path.with_suffix(".json"), path.with_name(PREPROCESSOR)]
    if path.parent.name == "onnx":  # a folder within the model's, as on the Hugging Face hub
        places.append(path.parent.with_name(PREPROCESSOR))
    beside = next((place for place in places if place.is_file()), None)
    if beside is None:
        raise WeightsError(
            f"nothing beside {path} says how to prepare images; expected {path.stem}.json or {PREPROCESSOR} with "
            "size, image_mean and image_std"
        )
    try:
        config = load_json(beside)
    except UnreadableFileError as error:
        raise WeightsError(f"{error}; expected size, image_mean and image_std") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{beside} holds {type(config).__name__}; expected a mapping")
    return config, beside


def _read(path: Path) -> Any:
    """The model with all its weights; onnx refuses those outside of its folder."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(path))
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise WeightsError(
            f"{path} cannot be read as ONNX ({first_line(error)}); expected a model, with its weights in it or in its "
            "folder"
        ) from error


def _fingerprint(path: Path, model: Any, config: dict[str, Any]) -> str:
    """Of the model with all its weights, and of what is done to images."""
    from google.protobuf.message import EncodeError

    try:
        digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    except (EncodeError, ValueError) as error:
        raise WeightsError(f"{path} is too large ({first_line(error)}); expected less than 2 GB") from error
    digest.update(json.dumps(config, sort_keys=True).encode())
    return digest.hexdigest()


def _with_output(path: Path, model: Any, output: str) -> Any:
    """The model with one of its inner tensors among its outputs."""
    import onnx

    outputs = [each.name for each in model.graph.output]
    if output in outputs:
        return model
    if not any(output in node.output for node in model.graph.node):
        raise WeightsError(
            f"{path} has the outputs {', '.join(outputs)} and no tensor {output!r}; expected the name of one"
        )
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.output.append(onnx.ValueInfoProto(name=output))
    return extended


def _session(path: Path, model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except _runtime_errors() as error:
        raise WeightsError(f"{path} is no model that onnxruntime can run ({first_line(error)})") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises, which has no class in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = "Fail InvalidArgument InvalidGraph InvalidProtobuf NotImplemented RuntimeException"
    return tuple(getattr(state, name) for name in names.split())
