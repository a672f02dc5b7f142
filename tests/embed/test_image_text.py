"""Models of images and text: what they say is what transformers' own forward pass says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_text_models import make_clip, make_siglip, pixels_of, save_image_text, tokens_of
from safetensors.torch import load_file, save_file

from ruc.embed.image_text import load_image_text
from ruc.errors import WeightsError
from ruc.images.source import ImageSource, find_images
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")
TEXTS = ["a photo of a bar", "a photo of a square", "red", "a red square of blue column of a red bar of blue"]


@pytest.mark.parametrize("make", [make_clip, make_siglip])
def test_cosines_times_the_scale_are_the_models_own_logits(
    make: Any, tmp_path: Path, photos: ImageSource
) -> None:
    model = make()
    towers = load_image_text(save_image_text(model, tmp_path / "model"), RUNTIME)
    embedded = towers.images.embed(photos, RUNTIME)
    found = towers.scale * embedded.features @ towers.texts(TEXTS).T
    with torch.no_grad():
        pixels = pixels_of([photos.items[index] for index in embedded.indices])
        logits = model(pixel_values=pixels, **tokens_of(TEXTS)).logits_per_image.numpy()
    bias = float(getattr(model, "logit_bias", torch.zeros(1)).item())
    assert np.ptp(logits) > 0.01
    np.testing.assert_allclose(found, logits - bias, atol=0.01 * towers.scale)
    np.testing.assert_allclose(np.linalg.norm(towers.texts(TEXTS), axis=1), 1, atol=1e-5)


def test_a_text_is_the_same_alone_and_among_others(tmp_path: Path) -> None:
    towers = load_image_text(save_image_text(make_clip(), tmp_path / "model"), RUNTIME)
    many = [*TEXTS, *TEXTS] * 10  # in two batches
    together = towers.texts(many)
    assert together.dtype == np.float32 and len(together) == 80
    np.testing.assert_allclose(
        np.concatenate([towers.texts([text]) for text in many[:4]] * 20), together, atol=1e-5
    )


def test_what_is_no_model_of_images_and_text_says_what_is(dinov2: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"'openai/clip' is no folder; expected .* hf download"):
        load_image_text("openai/clip", RUNTIME)
    with pytest.raises(WeightsError, match=r"Dinov2Model\) doesn't compare images with text; expected"):
        load_image_text(dinov2, RUNTIME)
    folder = save_image_text(make_clip(), tmp_path / "model")
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with pytest.raises(WeightsError, match=r"has none of tokenizer.json, vocab.json"):
        load_image_text(folder, RUNTIME)
    whole = (tmp_path / "tokenizer.json").read_text()
    unlisted = json.loads(whole)
    del unlisted["post_processor"]["special_tokens"]["</s>"]
    for damaged in (
        "{",
        whole.replace(",", " ", 1),
        whole.replace('"model"', '"mode"'),
        json.dumps(unlisted),
    ):
        (folder / "tokenizer.json").write_text(damaged)
        with pytest.raises(WeightsError, match=r"the tokenizer of .* cannot be read"):
            load_image_text(folder, RUNTIME)
    (folder / "tokenizer.json").write_text(whole.replace('"<unk>": 2', '"<unk>": 77'))
    with pytest.raises(WeightsError, match=r"gives the token 77, and its model knows 11"):
        load_image_text(folder, RUNTIME).texts(["a photo of a zebra"])
    (folder / "tokenizer.json").write_text(whole.replace('"unk_token": "<unk>"', '"unk_token": "<no>"'))
    with pytest.raises(WeightsError, match=r"the tokenizer of .* cannot be used"):
        load_image_text(folder, RUNTIME).texts(["a photo of a zebra"])
    (tmp_path / "tokenizer.json").replace(folder / "tokenizer.json")
    weights = load_file(folder / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"incomplete: text_projection\.weight"):
        load_image_text(folder, RUNTIME)


def test_grey_images_are_taken_too(tmp_path: Path) -> None:
    towers = load_image_text(save_image_text(make_clip(), tmp_path / "model"), RUNTIME)
    grey = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    assert towers.images.embed(find_images(grey), RUNTIME).features.shape == (3, 8)
