import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter

from ruc.errors import InputError
from ruc.evaluation.corruptions import (
    BLUR,
    CONTRAST,
    CORRUPTIONS,
    NOISE,
    STRENGTHS,
    corrupt,
    corruption_table,
)


def smooth_images(n=4, channels=3, side=32):
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.random((n, channels, 4, 4))) * 255
    return (
        torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
        .clamp(0, 255)
        .byte()
        .numpy()
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_each_strength_is_worse_than_the_one_before(corruption, channels):
    pixels = smooth_images(channels=channels)
    detailed = corrupt(pixels, "noise", 5) if corruption in ("blur", "jpeg") else pixels
    distances = [np.abs(corrupt(detailed, corruption, s).astype(float) - detailed).mean() for s in STRENGTHS]
    assert distances == sorted(distances)
    assert distances[0] > 0.5
    assert corrupt(detailed, corruption, 1).dtype == np.uint8
    assert corrupt(detailed, corruption, 1).shape == detailed.shape


@pytest.mark.parametrize("strength", STRENGTHS)
def test_noise_has_the_stated_deviation(strength):
    grey = np.full((8, 1, 64, 64), 128, dtype=np.uint8)
    noisy = corrupt(grey, "noise", strength).astype(float) / 255
    assert noisy.std() == pytest.approx(NOISE[strength - 1], rel=0.03)
    assert noisy.mean() == pytest.approx(128 / 255, abs=0.003)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_blur_agrees_with_the_sampled_gaussian_and_nearly_with_pillow(strength):
    impulse = np.zeros((1, 1, 33, 33), dtype=np.uint8)
    impulse[0, 0, 16, 16] = 255
    sigma = BLUR[strength - 1] * 33
    offsets = np.arange(-16, 17)
    line = np.exp(-0.5 * (offsets / sigma) ** 2)
    expected = 255 * np.outer(line, line) / line.sum() ** 2
    assert np.abs(corrupt(impulse, "blur", strength)[0, 0] - expected).max() <= 1
    image = smooth_images(1, 1, 33)
    theirs = np.asarray(Image.fromarray(image[0, 0]).filter(ImageFilter.GaussianBlur(sigma)))
    assert np.abs(corrupt(image, "blur", strength)[0, 0].astype(int) - theirs).max() <= 4


@pytest.mark.parametrize("strength", STRENGTHS)
def test_contrast_agrees_with_pillow(strength):
    image = smooth_images(1, 1)
    theirs = np.asarray(ImageEnhance.Contrast(Image.fromarray(image[0, 0])).enhance(CONTRAST[strength - 1]))
    assert np.abs(corrupt(image, "contrast", strength)[0, 0].astype(int) - theirs).max() <= 2


def test_blur_grows_with_the_image():
    small, large = (
        smooth_images(1, 1, 32),
        np.kron(smooth_images(1, 1, 32), np.ones((1, 1, 4, 4), dtype=np.uint8)),
    )
    reduced = corrupt(large, "blur", 5).reshape(1, 1, 32, 4, 32, 4).mean(axis=(3, 5))
    assert np.abs(reduced - corrupt(small, "blur", 5)).max() < 4


def test_the_seed_decides_the_noise():
    pixels = smooth_images()
    assert (corrupt(pixels, "noise", 3, seed=1) == corrupt(pixels, "noise", 3, seed=1)).all()
    assert (corrupt(pixels, "noise", 3, seed=1) != corrupt(pixels, "noise", 3, seed=2)).any()


def test_the_table():
    pixels = np.full((10, 1, 8, 8), 100, dtype=np.uint8)
    pixels[5:, :, :, 4:] = 250  # half of the images have an edge
    has_edge = np.repeat([0, 1], 5)

    def by_edge(seen):
        return (np.abs(seen[:, 0, :, 7].astype(int) - seen[:, 0, :, 0]).mean(axis=1) > 60).astype(np.int64)

    seen = []
    table = corruption_table(
        {"base": by_edge, "refined": lambda pixels: np.zeros(len(pixels), np.int64)},
        pixels,
        {"base": has_edge, "refined": np.where(has_edge, -1, 0)},
        advance=seen.append,
    )
    assert table.clean_accuracy == {"base": 1.0, "refined": 0.5}
    accuracy = {(one.corruption, one.strength): one.accuracy for one in table.results}
    assert len(accuracy) == 20 == len(seen)
    assert accuracy["contrast", 1]["base"] == 1.0
    assert accuracy["contrast", 5]["base"] == 0.5  # 150 grey levels become 22
    assert all(found["refined"] == 0.5 for found in accuracy.values())
    rows = {row[:2]: row[2:] for row in table.rows()}
    assert rows["contrast", "base"][:2] == ("100.0", "100.0")
    assert len(table.to_dict()["results"]) == 20


def test_wrong_input_says_so():
    pixels = smooth_images()
    for arguments in (("fog", 1), ("noise", 6)):
        with pytest.raises(InputError, match="expected one of noise, blur, contrast, jpeg"):
            corrupt(pixels, *arguments)
    with pytest.raises(InputError, match="expected uint8"):
        corrupt(pixels / 255, "noise", 1)
    with pytest.raises(InputError, match="no image"):
        corruption_table({}, pixels[:0], {})
