"""New images into the clusters of a run: as the run's network takes them, one by one as in a batch."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from PIL import Image

from ruc.belief.predictor import Predictor
from ruc.doors.predict import predict
from ruc.embed.pixels import fit_pixels
from ruc.images.source import find_images
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, State, seeded_init
from ruc.refine.networks import Head
from ruc.refine.trained import Pair
from ruc.runtime import Runtime

CPU = Runtime("cpu")
SIDE = 16
COLOUR = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
GREY = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR])


def model_of(space: str, n_channels: int) -> Mapping[str, State]:
    pixels = np.random.default_rng(1).integers(0, 256, (20, n_channels, SIDE, SIDE), dtype=np.uint8)
    embedder = fit_pixels(pixels, n_features=8)
    with seeded_init(0):
        if space == "image":
            shape = NetworkSettings(channels=n_channels, width=8, blocks=(1,), stem="half")
            first, second = (ImageNetwork(ResNet(shape), 3).eval() for _ in range(2))
        else:
            first, second = (Head(8, 3, 16).eval() for _ in range(2))
    pair = Pair(first, second).state()
    about = {"space": space, "image_size": SIDE, "temperature": 1.0}
    return {"pair": State({**pair.config, **about}, pair.weights), "embedder": embedder.state()}


@pytest.mark.parametrize("space", ["image", "feature"])
@pytest.mark.parametrize(
    ("n_channels", "given", "taken"), [(3, GREY, np.stack([GREY] * 3, axis=3)), (1, COLOUR, GREY)]
)
def test_grey_and_colour_become_what_the_network_takes(
    space: str, n_channels: int, given: np.ndarray, taken: np.ndarray
) -> None:
    model = model_of(space, n_channels)
    found, expected = (predict(model, find_images(images), CPU).probabilities for images in (given, taken))
    assert found.std(axis=0).max() > 0  # else all images would be alike
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("space", ["image", "feature"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_one_at_a_time_equals_a_batch_of_grey_and_colour(tmp_path, space: str, n_channels: int) -> None:
    model = model_of(space, n_channels)
    for number in range(6):
        images = GREY if number % 2 else COLOUR
        Image.fromarray(images[number]).save(tmp_path / f"{number}.png")
    source = find_images(tmp_path)
    together = predict(model, source, CPU).probabilities
    alone = [predict(model, source.take([place]), CPU).probabilities[0] for place in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_features_may_have_any_length() -> None:
    model = {"pair": model_of("feature", 1)["pair"]}
    features = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    expected = predict(model, features, CPU)
    np.testing.assert_allclose(np.linalg.norm(expected.features, axis=1), 1, rtol=1e-6)
    for scale in (1e-3, 1e3):
        found = predict(model, features * np.float32(scale), CPU)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert predict(model, np.zeros((1, 8), np.float32), CPU).probabilities.sum() == pytest.approx(1)


def test_images_are_handed_on_as_bytes(monkeypatch) -> None:
    """A float of each value of many images would take four times the memory."""
    model, logits, given = model_of("image", 3), Predictor.logits, []

    def look(predictor: Predictor, inputs: torch.Tensor) -> torch.Tensor:
        given.append(inputs.dtype)
        return logits(predictor, inputs)

    monkeypatch.setattr(Predictor, "logits", look)
    predict(model, find_images(COLOUR), CPU)
    assert given == [torch.uint8]
