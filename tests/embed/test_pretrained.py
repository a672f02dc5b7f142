"""Pretrained networks: tiny random ones, saved and loaded through the code that loads the real ones."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import CLIP, DINOV2, TINY, VIT, reference_processor, save

from ruc.embed.preprocessing import Preprocessing
from ruc.embed.pretrained import load_pretrained
from ruc.errors import NothingToClusterError, WeightsError
from ruc.images.source import ImageSource, find_images
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def test_features_are_the_normalised_class_token(dinov2: Path, photos: ImageSource) -> None:
    from transformers import Dinov2Model

    embedder = load_pretrained(dinov2, RUNTIME)
    embedded = embedder.embed(photos, RUNTIME, batch_size=5)
    assert embedded.indices.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [(lost.file_name, lost.reason) for lost in embedded.skipped] == [("03.png", "empty file")]
    assert embedded.features.dtype == np.float32

    network, processor = Dinov2Model.from_pretrained(dinov2).eval(), reference_processor(DINOV2)
    for row, index in enumerate(embedded.indices):
        with Image.open(photos.items[index]) as image, torch.no_grad():
            values = processor(images=image, return_tensors="pt")["pixel_values"]
            token = network(values).last_hidden_state[0, 0].numpy()
        np.testing.assert_allclose(embedded.features[row], token / np.linalg.norm(token), atol=0.01)


def test_features_do_not_depend_on_the_batch(dinov2: Path, photos: ImageSource) -> None:
    embedder = load_pretrained(dinov2, RUNTIME)
    one, all_at_once = (embedder.embed(photos, RUNTIME, batch_size=size).features for size in (1, 64))
    np.testing.assert_allclose(one, all_at_once, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    assert (embedder.embed(photos, RUNTIME).features == embedder.embed(photos, RUNTIME).features).all()


def test_images_in_memory_give_what_files_give(dinov2: Path) -> None:
    embedder = load_pretrained(dinov2, RUNTIME)
    array = np.random.default_rng(0).integers(0, 256, (40, 36, 36, 3), dtype=np.uint8)
    streamed = embedder.embed(find_images(array), RUNTIME).features
    np.testing.assert_allclose(embedder.transform(array.transpose(0, 3, 1, 2), RUNTIME), streamed, atol=1e-5)
    grey = embedder.transform(array[:, None, :, :, 0], RUNTIME)
    np.testing.assert_allclose(grey, embedder.embed(find_images(array[..., 0]), RUNTIME).features, atol=1e-5)


def test_module_has_gradients_to_the_pixels(dinov2: Path) -> None:
    module = load_pretrained(dinov2, RUNTIME).module
    images = torch.rand(2, 3, 28, 28, requires_grad=True)
    module(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_too_many_lost_images_fail_with_all_of_them_counted(dinov2: Path, photos: ImageSource) -> None:
    for i in (0, 1, 2):
        photos.items[i].write_bytes(b"")
    with pytest.raises(NothingToClusterError, match="4 of 12 images cannot be read"):
        load_pretrained(dinov2, RUNTIME).embed(photos, RUNTIME, batch_size=2)


def test_clip_gives_its_vision_tower(tmp_path: Path, photos: ImageSource) -> None:
    from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

    vision = {**TINY, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    both = CLIPModel(CLIPConfig(text_config={**TINY, "vocab_size": 20}, vision_config=vision)).eval()
    tower = CLIPVisionModel(CLIPVisionConfig(**vision)).eval()
    for folder, model in (("clip", both.vision_model), ("vision", tower)):
        embedder = load_pretrained(
            save(both if folder == "clip" else tower, tmp_path / folder, CLIP), RUNTIME
        )
        assert sum(p.numel() for p in embedder.module.parameters()) == sum(
            p.numel() for p in model.parameters()
        )
        embedded = embedder.embed(photos, RUNTIME)
        with Image.open(photos.items[5]) as image, torch.no_grad():
            values = reference_processor(CLIP)(images=image, return_tensors="pt")["pixel_values"]
            pooled = model(values).pooler_output[0].numpy()
        np.testing.assert_allclose(embedded.features[4], pooled / np.linalg.norm(pooled), atol=0.01)


def test_pooling_layer_the_checkpoint_lacks_is_not_used(tmp_path: Path) -> None:
    """A DINO ViT has none; transformers adds a random one, and features would differ from load to load."""
    from transformers import ViTConfig, ViTModel

    model = ViTModel(ViTConfig(**TINY, image_size=32, patch_size=16), add_pooling_layer=False).eval()
    folder = save(model, tmp_path / "vit", VIT)
    pixels = torch.rand(3, 3, 32, 32)
    first, second = (load_pretrained(folder, RUNTIME).module(pixels) for _ in range(2))
    with torch.no_grad():
        token = model((pixels - 0.5) / 0.5).last_hidden_state[:, 0]
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, torch.nn.functional.normalize(token, dim=1))


def test_convolutional_networks_are_average_pooled(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    model = ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ).eval()
    module = load_pretrained(save(model, tmp_path / "resnet", VIT), RUNTIME).module
    pixels = torch.rand(2, 3, 32, 32)
    mean = model((pixels - 0.5) / 0.5).last_hidden_state.mean(dim=(2, 3))
    torch.testing.assert_close(module(pixels), torch.nn.functional.normalize(mean, dim=1))


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path, dinov2: Path) -> None:
    from transformers import Dinov2Model

    folder = save(Dinov2Model.from_pretrained(dinov2).half(), tmp_path / "half")
    module = load_pretrained(folder, RUNTIME).module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_state_says_where_the_weights_are(dinov2: Path) -> None:
    state = load_pretrained(dinov2, RUNTIME).state()
    assert json.loads(json.dumps(state.config)) == {
        "kind": "pretrained",
        "name": str(dinov2),
        "revision": None,
    }
    assert state.weights == {}


def test_loading_says_nothing_and_leaves_the_logging_alone(
    dinov2: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.INFO)
    load_pretrained(dinov2, RUNTIME)
    assert transformers_logging.get_verbosity() == logging.INFO
    transformers_logging.set_verbosity_warning()
    assert capfd.readouterr() == ("", "")


def without(dinov2: Path, folder: Path, *files: str) -> Path:
    shutil.copytree(dinov2, folder)
    for file in files:
        (folder / file).unlink()
    return folder


def test_pickles_are_refused(dinov2: Path, tmp_path: Path) -> None:
    folder = without(dinov2, tmp_path / "m", "model.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="pickle"):
        load_pretrained(folder, RUNTIME)


def test_folder_without_what_is_needed(dinov2: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no preprocessor_config"):
        load_pretrained(without(dinov2, tmp_path / "a", "preprocessor_config.json"), RUNTIME)
    with pytest.raises(WeightsError, match="holds no model"):
        load_pretrained(without(dinov2, tmp_path / "b", "config.json"), RUNTIME)
    with pytest.raises(WeightsError, match="neither a folder nor"):
        load_pretrained(str(tmp_path / "nowhere"), RUNTIME)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", '{"model_type": "unheard-of"}'),
        ("config.json", '{"model_type": "dinov2", "hidden_act": []}'),
        ("preprocessor_config.json", "[]"),
        ("preprocessor_config.json", "{"),
        ("preprocessor_config.json", '{"size": "large"}'),
        ("preprocessor_config.json", '{"size": 32, "do_normalize": true}'),
        ("preprocessor_config.json", '{"size": 32, "resample": 77}'),
        ("model.safetensors", "damaged"),
    ],
)
def test_damaged_files_are_weights_errors(dinov2: Path, tmp_path: Path, file: str, content: str) -> None:
    folder = without(dinov2, tmp_path / "m", file)
    (folder / file).write_text(content)
    with pytest.raises(WeightsError) as raised:
        load_pretrained(folder, RUNTIME)
    assert "\n" not in str(raised.value)


def test_incomplete_weights_are_not_filled_in_at_random(dinov2: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = without(dinov2, tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(key for key in weights if "layer.1" in key))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="incomplete"):
        load_pretrained(folder, RUNTIME)


def test_language_models_are_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    with pytest.raises(WeightsError, match="no vision model"):
        load_pretrained(save(BertModel(BertConfig(**TINY, vocab_size=20)), tmp_path / "bert"), RUNTIME)


def test_processor_config_of_newer_checkpoints(dinov2: Path, tmp_path: Path) -> None:
    folder = without(dinov2, tmp_path / "m", "preprocessor_config.json")
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": DINOV2}))
    embedder = load_pretrained(folder, RUNTIME)
    assert embedder.preprocessing == Preprocessing.from_config(DINOV2)
