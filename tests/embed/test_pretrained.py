"""Pretrained networks: tiny random ones, saved and loaded through the code that loads the real ones."""

import json
import logging
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ruc.embed import pretrained
from ruc.embed.pretrained import Preprocessing, PretrainedEmbedder, load_pretrained, weights_at_hand
from ruc.errors import NothingToClusterError, WeightsError
from ruc.images.source import ImageSource, find_images
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")
TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# As facebook/dinov2-small has it, but for the sizes.
DINOV2 = {
    "crop_size": {"height": 28, "width": 28},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": MEAN,
    "image_processor_type": "BitImageProcessor",
    "image_std": STD,
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 32},
}
# As openai/clip-vit-base-patch32 has it: the sizes are bare numbers.
CLIP = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 32,
}
# As google/vit-base-patch16-224 has it: a square, and the proportions are lost.
VIT = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "resample": 2,
    "size": 32,
}


def save(model: Any, folder: Path, config: dict[str, Any] = DINOV2) -> Path:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these only wait for one another on several threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(**TINY, image_size=28, patch_size=14)
    return save(Dinov2Model(config), tmp_path_factory.mktemp("models") / "dinov2")


@pytest.fixture
def photos(tmp_path: Path) -> ImageSource:
    """Twelve noisy pictures, of which the fourth is broken."""
    generator = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(generator.integers(0, 256, (50, 40 + i, 3), dtype=np.uint8)).save(
            tmp_path / f"{i:02d}.png"
        )
    (tmp_path / "03.png").write_bytes(b"")
    return find_images(tmp_path)


# ----- preprocessing -----


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    generator = np.random.default_rng(width)
    small = generator.integers(0, 256, (max(height // 4, 1), max(width // 4, 1), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def reference_processor(config: dict[str, Any]) -> Any:
    """The processor of transformers that works without torchvision."""
    from transformers import logging as transformers_logging

    name = config.get("image_processor_type", config.get("feature_extractor_type", "ViTImageProcessor"))
    name = name.replace("FeatureExtractor", "ImageProcessor")
    import transformers

    transformers_logging.set_verbosity_error()
    processor = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    return processor(**{key: value for key, value in config.items() if "type" not in key})


@pytest.mark.parametrize("config", [DINOV2, CLIP, VIT], ids=["dinov2", "clip", "vit"])
@pytest.mark.parametrize(("width", "height"), [(48, 48), (97, 61), (40, 211), (20, 25), (1, 1), (90, 9)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_preprocessing_is_that_of_transformers(
    config: dict[str, Any], width: int, height: int, mode: str
) -> None:
    image = picture(width, height, mode)
    expected = reference_processor(config)(images=image.convert("RGB"), return_tensors="np")["pixel_values"][
        0
    ]
    ours = Preprocessing.from_config(config)
    pixels = ours.prepare(image) / 255
    normalized = (pixels * ours.scale - np.reshape(ours.mean, (3, 1, 1))) / np.reshape(ours.std, (3, 1, 1))
    assert normalized.shape == expected.shape
    # One step of 255, for the two places where a resized image is rounded to 8 bits.
    assert np.abs(normalized - expected).max() <= 1.01 / 255 / min(ours.std)
    assert np.abs(normalized - expected).mean() < 1e-3


@pytest.mark.parametrize(
    ("config", "resize", "crop"),
    [
        (DINOV2, 32, (28, 28)),
        (CLIP, 32, (32, 32)),
        (VIT, (32, 32), (32, 32)),
        ({"size": {"height": 24, "width": 48}}, (24, 48), (24, 48)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, 256, (224, 224)),  # ConvNeXt
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875}, 384, (384, 384)),
        ({"size": {"shortest_edge": 20}, "crop_size": 30}, 30, (30, 30)),
    ],
)
def test_sizes_as_they_are_written_in_any_year(
    config: dict[str, Any], resize: Any, crop: tuple[int, int]
) -> None:
    preprocessing = Preprocessing.from_config(config)
    assert (preprocessing.resize, preprocessing.crop) == (resize, crop)


def test_scale_and_normalisation_can_be_absent() -> None:
    plain = Preprocessing.from_config({"size": 32, "do_rescale": False})
    assert (plain.scale, plain.mean, plain.std) == (255.0, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(WeightsError, match="longest_edge"):
        Preprocessing.from_config({"size": {"longest_edge": 32}})


# ----- features -----


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


# ----- weights that cannot be had -----


def cached(dinov2: Path, cache: Path, name: str = "some/tiny") -> str:
    """Put the model where the hub's client would; returns its revision."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(dinov2, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(revision)
    return revision


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and a network that is not there."""
    from huggingface_hub import constants

    def unreachable(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "cache"


def test_cache_comes_before_the_hub(dinov2: Path, cache: Path, photos: ImageSource) -> None:
    revision = cached(dinov2, cache)
    embedder = load_pretrained("some/tiny", RUNTIME)
    assert embedder.state().config == {"kind": "pretrained", "name": "some/tiny", "revision": revision}
    again = load_pretrained("some/tiny", RUNTIME, revision=revision)
    assert (again.embed(photos, RUNTIME).features == embedder.embed(photos, RUNTIME).features).all()
    assert weights_at_hand("some/tiny") == pretrained.Availability(True, "some/tiny is in the local cache")


def test_auto_is_dinov2(dinov2: Path, cache: Path) -> None:
    cached(dinov2, cache, "facebook/dinov2-small")
    assert load_pretrained("auto", RUNTIME).name == "facebook/dinov2-small"
    assert weights_at_hand().at_hand


def test_unreachable_hub_names_the_way_out(cache: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        load_pretrained("auto", RUNTIME)
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        "facebook/dinov2-small",
        "huggingface.co cannot be reached",
        "no network",
        "folder",
        "--embedder scratch",
    ):
        assert part in message
    available = weights_at_hand()
    assert not available.at_hand
    assert "cannot be reached (no network)" in available.reason


def test_offline_is_respected(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *args, **kwargs: pytest.fail("the network was asked")
    )
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE is set; .*--embedder scratch"):
        load_pretrained("some/tiny", RUNTIME)
    assert not weights_at_hand("some/tiny").at_hand


@pytest.mark.parametrize(
    ("code", "message"), [(404, "has no model"), (401, "not for you"), (503, "try again later")]
)
def test_answers_of_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str) -> None:
    def answer(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.HTTPError("https://huggingface.co", code, "", Message(), None)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(WeightsError, match=message):
        load_pretrained("some/tiny", RUNTIME)


def test_silent_hub_is_left_after_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(pretrained, "PATIENCE_SECONDS", 0.2)
        started = time.monotonic()
        with pytest.raises(WeightsError, match="cannot be reached"):
            load_pretrained("some/tiny", RUNTIME)
        assert time.monotonic() - started < 5


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
    assert not weights_at_hand(folder).at_hand


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
    embedder: PretrainedEmbedder = load_pretrained(folder, RUNTIME)
    assert embedder.preprocessing == Preprocessing.from_config(DINOV2)
