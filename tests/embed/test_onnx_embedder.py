"""Other people's exported models: every layout, batch and type gives what the network itself gives."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from ruc.doors.predict import predict
from ruc.embed.onnx import load_onnx
from ruc.embed.packaged import load_packaged
from ruc.errors import InputError, WeightsError
from ruc.export.onnx import export_onnx
from ruc.images.source import find_images
from ruc.networks.efficientnet_lite_onnx import as_onnx
from ruc.pipeline import run_to_folder
from ruc.run_folder import read_model, read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")
SIDE = 32
CONFIG = {"size": SIDE, "crop_size": SIDE, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
FLOATS, HALVES, BYTES = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


class TinyViT(nn.Module):
    """Patches, a class token, one head of attention: (n, n_tokens, 16)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.norm = nn.LayerNorm(16)
        self.qkv = nn.Linear(16, 48)

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(patches.shape[0], -1, -1), patches], dim=1)
        query, key, value = self.qkv(self.norm(tokens))[:, None].chunk(3, dim=-1)
        return tokens + nn.functional.scaled_dot_product_attention(query, key, value)[:, 0]


class OfAnyInputs(nn.Module):
    """A network as the exporter takes them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *images):
        return self.network(*images)


def exported(network, path, side):
    return export_onnx(OfAnyInputs(network), {"images": torch.zeros(2, 3, side, side)}, path)


def colours(path, batch="n", kind=FLOATS, channels_last=False, n_channels=3, side=SIDE):
    """A model of averages, (n, 3, side, side) or (n, side, side, 3) to a map of the mean colours, laid out alike."""
    shape = [batch, side, side, n_channels] if channels_last else [batch, n_channels, side, side]
    there, back = ([0, 3, 1, 2], [0, 2, 3, 1]) if channels_last else ([0, 1, 2, 3],) * 2
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=FLOATS),
        helper.make_node("Transpose", ["numbers"], ["first"], perm=there),
        helper.make_node("AveragePool", ["first"], ["means"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Transpose", ["means"], ["map"], perm=back),
        helper.make_node("Flatten", ["map"], ["places"]),
        helper.make_node("ReduceMean", ["places"], ["brightness"], axes=[1], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info(name, FLOATS, None) for name in ("map", "brightness")]
    return written(path, nodes, [helper.make_tensor_value_info("images", kind, shape)], outputs)


def projection(path, n_features=8):
    """A model with weights, (n, 3, side, side) to (n, n_features)."""
    weights = np.random.default_rng(0).normal(size=(3 * SIDE * SIDE, n_features)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["images"], ["row"]),
        helper.make_node("MatMul", ["row", "weights"], ["features"]),
    ]
    inputs = [helper.make_tensor_value_info("images", FLOATS, ["n", 3, SIDE, SIDE])]
    outputs = [helper.make_tensor_value_info("features", FLOATS, ["n", n_features])]
    return written(path, nodes, inputs, outputs, [numpy_helper.from_array(weights, "weights")]), weights


def written(path, nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, "model", inputs, outputs, list(weights))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    path.with_suffix(".json").write_text(json.dumps(CONFIG))
    return path


@pytest.fixture
def source():
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    return find_images(np.stack([np.asarray(Image.fromarray(each).resize((SIDE, SIDE))) for each in coarse]))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def normalised(source):
    pixels = torch.from_numpy(source.items).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(CONFIG[name])[:, None, None] for name in ("image_mean", "image_std"))
    return (pixels - mean) / std


def test_of_a_transformer_the_class_token(tmp_path, source):
    torch.manual_seed(0)
    network = TinyViT().eval()
    (tmp_path / "onnx").mkdir()
    path = exported(network, tmp_path / "onnx" / "vit.onnx", SIDE)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CONFIG))
    with torch.no_grad():
        expected = unit(network(normalised(source))[:, 0].numpy())
    np.testing.assert_allclose(load_onnx(path).embed(source, CPU).features, expected, atol=1e-4)


def test_lite0_comes_out_as_it_is(tmp_path, source):
    lite0 = load_packaged("lite0", CPU)
    path = tmp_path / "lite0.onnx"
    onnx.save(as_onnx(lite0.module.network, 224), path)
    config = {"size": 224, "crop_size": 224, "resample": 3, "do_rescale": False,
              "image_mean": [127] * 3, "image_std": [128] * 3}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    found = load_onnx(path).embed(source, CPU).features
    np.testing.assert_allclose(found, lite0.embed(source, CPU).features, atol=1e-4)


@pytest.mark.parametrize("kind", [FLOATS, HALVES, BYTES])
@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("channels_last", [False, True])
def test_every_layout_batch_and_type(tmp_path, source, kind, batch, channels_last):
    found = load_onnx(colours(tmp_path / "m.onnx", batch, kind, channels_last)).embed(source, CPU).features
    seen = torch.from_numpy(source.items).permute(0, 3, 1, 2).float()
    images = seen if kind == BYTES else normalised(source)
    tolerance = 1e-2 if kind == HALVES else 1e-4
    np.testing.assert_allclose(found, unit(images.mean(dim=(2, 3)).numpy()), atol=tolerance)


def test_int8_features_do_not_depend_on_what_else_is_in_the_batch(tmp_path, source):
    from onnxruntime.quantization import quantize_dynamic

    path, weights = projection(tmp_path / "m.onnx")
    quantize_dynamic(path, tmp_path / "int8.onnx")
    shutil.copy(path.with_suffix(".json"), tmp_path / "int8.json")
    found = load_onnx(tmp_path / "int8.onnx").embed(source, CPU).features
    alone = [
        load_onnx(tmp_path / "int8.onnx").embed(source.take(np.array([i])), CPU).features for i in range(5)
    ]
    np.testing.assert_array_equal(found, np.concatenate(alone))
    expected = unit(normalised(source).flatten(1).numpy() @ weights)
    assert (found * expected).sum(axis=1).min() > 0.99
    # The finding behind it: all together they come out otherwise.
    pixels = normalised(source).numpy()
    together = onnxruntime.InferenceSession(tmp_path / "int8.onnx").run(None, {"images": pixels})[0]
    assert np.abs(unit(together) - found).max() > 1e-5


def test_an_inner_tensor_is_taken_by_its_name(tmp_path, source):
    path = colours(tmp_path / "m.onnx")
    path.with_suffix(".json").write_text(json.dumps(CONFIG | {"output": "places"}))
    found = load_onnx(path).embed(source, CPU).features
    expected = nn.functional.avg_pool2d(normalised(source), 8).flatten(1).numpy()
    np.testing.assert_allclose(found, unit(expected), atol=1e-4)


def test_a_run_predicts_as_it_was_made_while_the_model_is_the_same(tmp_path, shapes):
    path, _ = projection(tmp_path / "m.onnx", 64)
    folder, run, new = shapes[0], tmp_path / "run", tmp_path / "new"
    new.mkdir()
    shutil.copy(folder / "007.png", new / "unseen.png")
    settings = make_settings(
        {"source": str(folder), "n_clusters": 3, "output": str(run), "embedder": f"{path}+pixels", "base": "kmeans",
         "device": "cpu", "refine": {"n_epochs": 2, "batch_size": 30}}
    )  # fmt: skip
    several = run_to_folder(settings, overwrite=False, verbose=False)
    assert list(read_run(run).embeddings) == ["m", "pixels"]
    single = run_to_folder(
        settings.model_copy(update={"embedder": str(path), "output": str(tmp_path / "one")}),
        overwrite=False,
        verbose=False,
    )
    for made, where in ((several, run), (single, tmp_path / "one")):
        found = predict(read_model(where), find_images(folder), CPU, with_features=True)
        np.testing.assert_allclose(found.features, made.features, atol=1e-5)
        np.testing.assert_array_equal(found.cluster, read_run(where).cluster)
        one = predict(read_model(where), find_images(new), CPU, with_features=True)
        np.testing.assert_allclose(one.features, made.features[7:8], atol=1e-5)
        np.testing.assert_allclose(one.probabilities, found.probabilities[7:8], atol=1e-4)
    assert np.abs(single.features.mean(axis=0)).max() < 0.1  # seen from the mean of the images
    path.with_suffix(".json").write_text(json.dumps(CONFIG | {"image_mean": [0, 0, 0]}))
    with pytest.raises(WeightsError, match="another than the run was made with"):
        predict(read_model(run), find_images(folder), CPU)


def test_weights_in_other_files_lie_in_its_folder(tmp_path, source):
    path, weights = projection(tmp_path / "m.onnx")
    whole = load_onnx(path).embed(source, CPU).features
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(load_onnx(path).embed(source, CPU).features, whole)
    before = load_onnx(path).origin["sha256"]
    (-weights).tofile(tmp_path / "weights.bin")
    assert load_onnx(path).origin["sha256"] != before

    inside = tmp_path / "inside"
    inside.mkdir()
    model = onnx.load(path, load_external_data=False)
    next(
        each for each in model.graph.initializer[0].external_data if each.key == "location"
    ).value = "../weights.bin"
    (inside / "m.onnx").write_bytes(model.SerializeToString())
    shutil.copy(tmp_path / "m.json", inside)
    with pytest.raises(WeightsError, match="expected a model, with its weights in it or in its folder"):
        load_onnx(inside / "m.onnx")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 40, "crop_size": 40}, r"takes images of 32 x 32 .* makes them 40 x 40"),
        ({"output": "logits"}, r"has the outputs map, brightness and no tensor 'logits'"),
        ({"output": "brightness"}, r"the output 'brightness' .* is \(1,\) for 1 images"),
        ({"size": {"longest_edge": 3}}, r"asks for the size .*longest_edge"),
        ({"image_mean": 3}, r"m.json cannot be used"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, change, message):
    path = colours(tmp_path / "m.onnx")
    path.with_suffix(".json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(WeightsError, match=message):
        load_onnx(path)


def test_what_is_missing_or_no_model_is_said(tmp_path):
    with pytest.raises(WeightsError, match="not there; expected an ONNX model"):
        load_onnx(tmp_path / "m.onnx")
    path = colours(tmp_path / "m.onnx", n_channels=1)
    with pytest.raises(WeightsError, match="takes images of 1 channels; expected 3"):
        load_onnx(path)
    with pytest.raises(WeightsError, match="fails on images of 32 x 32"):
        load_onnx(reshaped(path))
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"expected m.json or preprocessor_config.json"):
        load_onnx(path)
    path.with_suffix(".json").write_text("[]")
    with pytest.raises(WeightsError, match="holds list; expected a mapping"):
        load_onnx(path)
    path.with_suffix(".json").write_text(json.dumps(CONFIG))
    path.write_bytes(onnx.ModelProto().SerializeToString())
    with pytest.raises(WeightsError, match="has no output; expected a network"):
        load_onnx(path)
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match="cannot be read as ONNX"):
        load_onnx(path)


def reshaped(path):
    """A model that takes images of any size by its word, and of another in truth."""
    shape = numpy_helper.from_array(np.array([-1, 3 * 31 * 31]), "shape")
    nodes = [helper.make_node("Reshape", ["images", "shape"], ["features"])]
    inputs = [helper.make_tensor_value_info("images", FLOATS, ["n", 3, "height", "width"])]
    return written(path, nodes, inputs, [helper.make_tensor_value_info("features", FLOATS, None)], [shape])


def test_without_gradients_there_is_no_attack(tmp_path, shapes):
    from ruc.evaluation.robustness import _pixels_and_embedding

    path, _ = projection(tmp_path / "m.onnx")
    with pytest.raises(InputError, match="expected one that has gradients"):
        _pixels_and_embedding(load_onnx(path).state(), find_images(shapes[0]), None, CPU)
