"""What the embedding stage hands on beside the features: those of random views."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ruc.embedded_views
from ruc.embed.pixels import fit_pixels
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embedded_views import N_VIEWS, embed_views
from ruc.embedding import Embedding, EmbedTask, embed_images
from ruc.given_features import given_features
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.images.views import GENTLE
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.runtime import Runtime

CPU = Runtime("cpu")


def embedding(folder: Path) -> Embedding:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1)))
    images = load_pixels(find_images(folder), 16, CPU)
    embedder = SelfSupervisedEmbedder(network.eval(), GENTLE, "contrastive")
    features = embedder.transform(images.pixels, CPU)
    return Embedding("contrastive", images.file_names, features, images.indices, embedder, images)


def test_views_are_of_the_same_images_and_repeat_with_the_seed(shapes: tuple[Path, dict[str, str]]) -> None:
    embedded = embedding(shapes[0])
    views = embed_views(embedded, CPU)
    assert views is not None and views.shape == (N_VIEWS, *embedded.features.shape)
    np.testing.assert_allclose(np.linalg.norm(views, axis=2), 1, atol=1e-5)
    own = np.einsum("vnd,nd->n", views, embedded.features) / N_VIEWS
    others = np.einsum("vnd,nd->n", views, np.roll(embedded.features, 1, axis=0)) / N_VIEWS
    assert own.mean() > others.mean()
    assert not np.array_equal(views[0], views[1])
    np.testing.assert_array_equal(views, embed_views(embedded, CPU))


def test_views_are_made_of_a_few_images_at_a_time(
    shapes: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded, change, sizes = embedding(shapes[0]), ruc.embedded_views.change, []

    def look(images: torch.Tensor, *others: object) -> torch.Tensor:
        sizes.append(len(images))
        return change(images, *others)

    at_once = embed_views(embedded, CPU)
    monkeypatch.setattr(ruc.embedded_views, "CHUNK", 25)
    monkeypatch.setattr(ruc.embedded_views, "change", look)
    np.testing.assert_allclose(
        embed_views(embedded, CPU), at_once, atol=0.01
    )  # a level of a pixel, by rounding
    assert sizes == N_VIEWS * [25, 25, 10]


def test_no_views_without_a_network_or_without_images(shapes: tuple[Path, dict[str, str]]) -> None:
    assert embed_views(given_features(np.eye(5, dtype=np.float32)), CPU) is None
    pixels = embed_images(EmbedTask(find_images(shapes[0]), CPU, None, 0.1), ["pixels"])
    assert isinstance(pixels.embedder, type(fit_pixels(np.zeros((3, 1, 8, 8), np.uint8))))
    assert embed_views(pixels, CPU) is None
