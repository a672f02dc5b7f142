"""The ONNX file says what `ruc predict` says, for every kind of model and every size of batch."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ruc.belief.calibration import Calibration
from ruc.belief.memory import Memory, sketch
from ruc.belief.predictor import Predictor
from ruc.doors.predict import predict
from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.maps import load_blocks
from ruc.embed.packaged import load_packaged
from ruc.embed.pixels import fit_pixels
from ruc.embed.scaling import fit_scaling
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embed.several import SeveralEmbedders
from ruc.errors import RucError, RunFolderError
from ruc.export.onnx import export_model, export_onnx
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.images.views import ViewPolicy, to_float
from ruc.networks import Cut, ImageNetwork, LastBlocksNetwork, NetworkSettings, ResNet, State, relu_layers
from ruc.networks.last_blocks import last_size
from ruc.refine.networks import Head
from ruc.refine.trained import Pair
from ruc.runtime import Runtime

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ruc[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install 'ruc[onnx]'"
)
pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'ruc[onnx]'")

SIDE, N_CLUSTERS = 20, 4  # with more values than a remembered sample keeps
SHAPE = NetworkSettings(channels=1, width=4, blocks=(1, 1))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 1, SIDE, SIDE), dtype=np.uint8)


def state_of(pair: Pair, space: str, memory: Memory | None = None) -> State:
    state = Predictor(pair, memory, Calibration(0.4, 0.8)).state()
    return replace(state, config={**state.config, "space": space, "image_size": SIDE})


def heads(n_features: int) -> State:
    torch.manual_seed(0)
    return state_of(Pair(Head(n_features, N_CLUSTERS, 16), Head(n_features, N_CLUSTERS, 16)), "feature")


def models(pixels: np.ndarray) -> dict[str, Mapping[str, State]]:
    torch.manual_seed(1)
    backbone = ResNet(SHAPE).eval()
    for module in backbone.modules():  # statistics as after training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr, operator]
    contrastive = SelfSupervisedEmbedder(backbone, ViewPolicy(), "contrastive")
    embedder = contrastive.state()
    pair = Pair(ImageNetwork(backbone, N_CLUSTERS), ImageNetwork(ResNet(SHAPE), N_CLUSTERS))
    projection = fit_pixels(pixels, n_features=5, side=8)
    combined = CombinedEmbedder((contrastive, projection), (1.0, 0.6))
    simclr = CheckpointEmbedder(backbone, relu_layers([SHAPE.n_features, 8, 6]), side=12)
    colour = ResNet(replace(SHAPE, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3)))
    of_colour = Pair(ImageNetwork(colour, N_CLUSTERS), ImageNetwork(colour, N_CLUSTERS))
    believed = Memory(sketch(to_float(torch.from_numpy(pixels[2:4]))), torch.eye(N_CLUSTERS)[:2] * 5)
    return {
        # contrastive and pixels, side by side
        "scratch": {"pair": heads(SHAPE.n_features + 5), "embedder": combined.state()},
        "checkpoint": {"pair": heads(6), "embedder": simclr.state()},
        "remembering": {"pair": state_of(pair, "image", believed), "embedder": embedder},
        # networks that started from a base's checkpoint make colours of grey images themselves
        "colour": {"pair": state_of(of_colour, "image", believed), "embedder": embedder},
    }


def session_of(path: Path) -> Any:
    onnx.checker.check_model(str(path), full_check=True)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", ["scratch", "checkpoint", "remembering", "colour"])
def test_images(kind: str, pixels: np.ndarray, tmp_path: Path) -> None:
    model = models(pixels)[kind]
    path = export_model(model, tmp_path / "model.onnx", ["a", "b", "c", "d"])
    expected = predict(model, find_images(pixels[:, 0]), Runtime("cpu")).probabilities
    session = session_of(path)
    (wanted,) = session.get_inputs()
    assert (wanted.name, wanted.type, wanted.shape[1:]) == ("pixels", "tensor(uint8)", [1, SIDE, SIDE])
    assert isinstance(wanted.shape[0], str)  # any number of images
    assert session.get_modelmeta().custom_metadata_map["labels"] == '["a", "b", "c", "d"]'
    for n_images in (1, 2, 7):
        (found,) = session.run(None, {"pixels": pixels[:n_images]})
        np.testing.assert_allclose(found, expected[:n_images], atol=1e-4)


def test_several_embedders_have_an_input_each(pixels: np.ndarray, tmp_path: Path) -> None:
    one, other = (fit_pixels(pixels, n_features, side) for n_features, side in ((5, 8), (3, 4)))
    several = SeveralEmbedders((one, other), sizes=(SIDE, 12), widths=(5, 3))
    model = {"pair": heads(8), "embedder": several.state()}
    session = session_of(export_model(model, tmp_path / "model.onnx"))
    shapes = {wanted.name: wanted.shape[1:] for wanted in session.get_inputs()}
    assert shapes == {"pixels_0": [1, SIDE, SIDE], "pixels_1": [1, 12, 12]}
    source, cpu = find_images(pixels[:, 0]), Runtime("cpu")
    expected = predict(model, source, cpu).probabilities
    seen = {name: load_pixels(source, shape[-1], cpu, 0.0, 1).pixels for name, shape in shapes.items()}
    for n_images in (1, 7):
        (found,) = session.run(None, {name: images[:n_images] for name, images in seen.items()})
        np.testing.assert_allclose(found, expected[:n_images], atol=1e-4)


def test_retrained_blocks_of_packaged_networks(tmp_path: Path) -> None:
    cut = Cut("lite0", 32, last_size("lite0"))
    _, (blocks,) = load_blocks([cut], Runtime("cpu"))
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    pair = Pair(LastBlocksNetwork(blocks, N_CLUSTERS), LastBlocksNetwork(blocks, N_CLUSTERS))
    model = {"pair": state_of(pair, "image"), "embedder": load_packaged("lite0", Runtime("cpu")).state()}
    path = export_model(model, tmp_path / "model.onnx")
    source = find_images(images.transpose(0, 2, 3, 1))
    expected = predict(model, source, Runtime("cpu")).probabilities
    (found,) = session_of(path).run(None, {"pixels": images})
    np.testing.assert_allclose(
        found, expected, atol=2e-3
    )  # maps are rounded in between, to what was learned from


@pytest.mark.parametrize("scaled", [False, True])
def test_features(tmp_path: Path, scaled: bool) -> None:
    model = {"pair": heads(6)}
    if scaled:
        values = 100 + np.random.default_rng(1).normal(size=(50, 6))
        model = {"pair": heads(7), "scaling": fit_scaling(values).state()}
    path = export_model(model, tmp_path / "model.onnx")
    features = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    expected = predict(model, features, Runtime("cpu")).probabilities
    (found,) = session_of(path).run(None, {"features": features})
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert files_in(tmp_path) == ["model.onnx"]
    with pytest.raises(RunFolderError, match=r"model.onnx exists already"):
        export_model(model, path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="empty is a folder"):
        export_model(model, tmp_path / "empty")


class Fickle(nn.Module):
    """Says something else each time."""

    def __init__(self) -> None:
        super().__init__()
        self.n_calls = 0

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        return torch.softmax(inputs[0] * self.n_calls, dim=1)


def test_a_file_that_says_something_else_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(RucError, match=r"differ by .* expected at most 0.0001"):
        export_onnx(Fickle(), {"inputs": torch.randn(2, 3)}, tmp_path / "model.onnx")
    assert files_in(tmp_path) == []


def test_what_the_exporter_cannot_translate_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("No ONNX function found\nfor aten._upsample_bilinear2d_aa")

    monkeypatch.setattr(torch.onnx, "export", too_old)
    with pytest.raises(RucError, match=r"as ONNX \(No ONNX function found\); expected .*: pip install -U"):
        export_onnx(Fickle(), {"inputs": torch.randn(2, 3)}, tmp_path / "model.onnx")
    assert files_in(tmp_path) == []


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
