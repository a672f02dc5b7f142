"""Preprocessing, against that of transformers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import CLIP, DINOV2, VIT, reference_processor

from ruc.embed.preprocessing import Preprocessing, read_preprocessing
from ruc.errors import WeightsError


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    generator = np.random.default_rng(width)
    small = generator.integers(0, 256, (max(height // 4, 1), max(width // 4, 1), 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


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
    preprocessing = Preprocessing.from_config({"do_normalize": False, **config})
    assert (preprocessing.resize, preprocessing.crop) == (resize, crop)


def test_scale_and_normalisation_can_be_switched_off() -> None:
    plain = Preprocessing.from_config({"size": 32, "do_rescale": False, "do_normalize": False})
    assert (plain.scale, plain.mean, plain.std) == (255.0, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(WeightsError, match="longest_edge"):
        Preprocessing.from_config({"size": {"longest_edge": 32}, "do_normalize": False})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": 32}, "doesn't say by which image_mean and image_std"),
        ({"size": 32, "do_normalize": True, "image_mean": [0.5] * 3}, "image_mean and image_std"),
        ({"size": 32, "do_normalize": False, "do_resize": False}, "do_resize: false"),
    ],
)
def test_what_a_configuration_leaves_open_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        Preprocessing.from_config(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_mean": ["x", 0, 0]}, "could not convert"),
        ({"image_mean": [0.5] * 4}, r"image_mean is \[0.5, .*; expected three numbers"),
        ({"image_mean": [float("nan")] * 3}, "expected three numbers"),
        ({"image_std": [1, 0, 1]}, r"image_std is \[1, 0, 1\]; expected three numbers"),
        ({"size": 0}, "images of 0 x 0 pixels"),
        ({"size": {"shortest_edge": 32}, "crop_pct": 0}, "division by zero"),
        ({"resample": 77}, "77 is not a valid"),
    ],
)
def test_a_configuration_of_what_cannot_be_done_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3} | change
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=f"preprocessor_config.json of m cannot be used.*{message}"):
        read_preprocessing(tmp_path, "m")
