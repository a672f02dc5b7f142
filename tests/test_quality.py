"""Flags: what was made dark, blurred and so on is found among the others, and these have none; by one decoding."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data import data_set
from PIL import Image, ImageFilter
from runs import make_checkable

import ruc.images.load as load
from ruc.cache import Cache
from ruc.cli import main
from ruc.images.load import content_hashes, open_thumbnail
from ruc.images.measures import MEASURES, Measured, measured
from ruc.images.source import find_images
from ruc.quality import as_text, flags_of_text, measures_of, quality_fences, quality_flags, with_quality
from ruc.runtime import Runtime

SPOILED = {
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(0.03 * max(image.size))),
    "dark": lambda image: image.point(lambda value: value * 0.12),
    "bright": lambda image: image.point(lambda value: 255 - (255 - value) * 0.12),
    "low_contrast": lambda image: image.point(lambda value: 110 + value * 0.05),
    "odd_shape": lambda image: image.resize((300, 40)),
    "odd_size": lambda image: image.resize((image.width * 8, image.height * 8)),
    "one_colour": lambda image: Image.new("RGB", image.size, (90, 140, 60)),
    "grey_among_colour": lambda image: image.convert("L"),
}


def picture(seed: int) -> Image.Image:
    """Colours at all scales, as photographs have them."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(
            Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize((96, 80)), float
        )
        for side in (3, 6, 12, 24, 48)
    ]
    light = np.mean(layers, axis=0)
    return Image.fromarray(np.clip((light - 128) * 1.8 + 110 + random.normal(0, 15), 0, 255).astype(np.uint8))


def rows_of(images: list[Image.Image]) -> np.ndarray:
    return np.array([(*measured(image), *image.size) for image in images], np.float32)


@pytest.mark.parametrize("flag", SPOILED)
def test_spoiled_images_are_flagged_among_the_others(flag: str) -> None:
    images = [picture(seed) for seed in range(60)]
    spoiled = [SPOILED[flag](image) for image in images[:3]]
    rows = rows_of(images + spoiled)
    found = quality_flags(rows, quality_fences(rows))
    assert found[flag][60:].all()
    assert not any(column[:60].any() for column in found.values())


def test_images_that_are_all_black_to_the_eye_are_said_to_be() -> None:
    """Masks of 0 and 1 in 8 bits are; the same as 0 and 255, and photographs by night, aren't."""
    run = replace(make_checkable()[0], notes={"warnings": ["few images"]})
    masks = [np.random.default_rng(seed).integers(0, 2, (40, 40), np.uint8) for seed in range(10)]
    nights = [SPOILED["dark"](picture(seed)) for seed in range(10)]
    for images, n_warnings in (
        ([Image.fromarray(mask) for mask in masks], 2),
        ([Image.fromarray(mask * np.uint8(255)) for mask in masks], 1),
        (nights, 1),
    ):
        rows = np.repeat(rows_of(images), 40, axis=0)
        assert len(with_quality(run, rows).notes["warnings"]) == n_warnings


@pytest.mark.parametrize("flag", ["dark", "blurred", "grey_among_colour"])
def test_what_all_are_none_is(flag: str) -> None:
    """Photographs by night, scans out of focus, grey pictures: thresholds are those of the set."""
    rows = rows_of([SPOILED[flag](picture(seed)) for seed in range(60)])
    assert not quality_flags(rows, quality_fences(rows))[flag].any()


def test_photographs_as_they_are_have_few_flags() -> None:
    source = find_images(data_set("stl10") / "images")
    rows = rows_of([open_thumbnail(source, place, 256) for place in range(0, 1500, 10)])
    flags = quality_flags(rows, quality_fences(rows))
    assert all(column.mean() < 0.05 for column in flags.values())


def test_measures_by_hand() -> None:
    halves = np.zeros((20, 20, 3), np.uint8)
    halves[:, 10:] = 255
    brightness, contrast, sharpness, one_colour, grey = measured(Image.fromarray(halves))
    assert (brightness, contrast, grey) == pytest.approx((0.5, 0.5, 1.0))
    # the Laplacian is 1 in two of the 18 inner columns, and the variance is a quarter
    assert sharpness == pytest.approx(2 / 18 / 0.25)
    assert one_colour == pytest.approx(0.0)  # the middle of black and white is neither
    assert measured(Image.new("RGB", (2, 2), (9, 200, 9)))[2:] == pytest.approx((0.0, 1.0, 0.0))


def test_text_and_flags_are_the_same() -> None:
    flags = {"dark": np.array([True, False, True]), "blurred": np.array([False, False, True])}
    assert as_text(flags).tolist() == ["dark", "", "dark blurred"]
    assert {name: column.tolist() for name, column in flags_of_text(as_text(flags).tolist()).items()} == {
        name: column.tolist() for name, column in flags.items()
    }
    assert flags_of_text(["", ""]) == {}


def test_an_image_is_decoded_once_and_its_size_is_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        picture(seed).resize((1600, 1200)).save(tmp_path / f"{seed}.jpg", quality=95)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    source, seen = find_images(tmp_path), Measured()
    load.load_pixels(source.watched_by(seen), 32, Runtime("cpu"), max_skipped=0.5)
    assert set(seen.rows) == {f"{seed}.jpg" for seed in range(4)}
    assert seen.rows["0.jpg"][-2:].tolist() == [1600, 1200]  # though it was decoded at an eighth
    calls = []
    decode = load.decode
    monkeypatch.setattr(load, "decode", lambda *given: calls.append(given) or decode(*given))
    cache, hashes = Cache(tmp_path / "cache"), content_hashes(source)
    rows = measures_of(source, hashes, seen, cache, Runtime("cpu"))
    assert len(calls) == 1 and np.isnan(rows[-1]).all()  # the broken one alone is tried again
    again = measures_of(source.take(range(4)), hashes[:4], Measured(), cache, Runtime("cpu"))
    np.testing.assert_array_equal(again, rows[:4])
    assert len(calls) == 1 and rows.shape == (5, len(MEASURES))


@pytest.mark.learns
def test_a_run_has_the_flags_in_its_table_and_its_report(tmp_path: Path) -> None:
    for seed in range(40):
        picture(seed).save(tmp_path / f"{seed:02d}.png")
    SPOILED["dark"](picture(40)).save(tmp_path / "night.png")
    run = tmp_path / "run"
    arguments = ["-k", "2", "--embedder", "pixels", "--epochs", "1", "-q", "-o", str(run)]
    with pytest.raises(SystemExit) as stopped:
        main(["cluster", str(tmp_path), *arguments])
    assert not stopped.value.code
    with (run / "clusters.csv").open() as file:
        quality = {row["file_name"]: row["quality"] for row in csv.DictReader(file)}
    assert "dark" in quality["night.png"] and sum(map(bool, quality.values())) == 1
    assert '"is_dark"' in (run / "report.html").read_text()
