"""Pixel features, with scikit-learn's PCA as the oracle."""

import numpy as np
import torch
from sklearn.decomposition import PCA

from ruc.embed.pixels import BESIDE, PixelEmbedder, fit_pixels
from ruc.runtime import Runtime


def images(count: int, channels: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def test_equals_scikit_learns_pca_up_to_signs() -> None:
    pixels = images(100)
    features = fit_pixels(pixels, n_features=10).transform(pixels, Runtime())
    expected = PCA(10, svd_solver="full").fit_transform(pixels.reshape(100, -1) / 255.0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(features), np.abs(expected), atol=1e-4)


def test_rows_are_unit_float32_and_never_more_than_images_or_pixels() -> None:
    pixels = images(5, 1)
    features = fit_pixels(pixels, n_features=64).transform(pixels, Runtime())
    assert features.shape == (5, 5)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


def test_one_at_a_time_equals_a_batch_and_large_images_are_shrunk() -> None:
    pixels = images(20, 3, 64)
    embedder = fit_pixels(pixels, side=16)
    assert embedder.components.shape[1] == 3 * 16 * 16
    singly = np.concatenate([embedder.transform(pixels[i : i + 1], Runtime()) for i in range(20)])
    np.testing.assert_allclose(embedder.transform(pixels, Runtime()), singly, atol=1e-5)


def test_images_like_the_mean_are_alike_by_the_constant() -> None:
    random = np.random.default_rng(0)
    brightness = np.arange(60) % 3
    grey = np.clip(random.normal(60 + 60 * brightness[:, None, None, None], 5, (60, 1, 16, 16)), 0, 255)
    pixels = grey.astype(np.uint8)

    def alike(beside: float) -> np.ndarray:
        features = fit_pixels(pixels, beside=beside).transform(pixels, Runtime())
        similarity = features @ features.T
        np.fill_diagonal(similarity, -np.inf)
        return brightness[similarity.argsort(axis=1)[:, -10:]] == brightness[:, None]

    assert alike(0.0)[brightness == 1].mean() < 0.9  # of which noise alone says which way they lie
    assert alike(BESIDE).all()


def test_state_makes_the_same_embedder() -> None:
    pixels = images(30)
    embedder = fit_pixels(pixels, beside=BESIDE)
    assert embedder.constant > 0
    state = embedder.state()
    assert state.config["kind"] == "pixels"
    assert all(isinstance(value, torch.Tensor) for value in state.weights.values())
    again = PixelEmbedder.from_state(state)
    assert np.array_equal(again.transform(pixels, Runtime()), embedder.transform(pixels, Runtime()))


def test_images_that_are_all_the_same_do_not_fail() -> None:
    pixels = np.full((6, 1, 8, 8), 7, dtype=np.uint8)
    assert np.isfinite(fit_pixels(pixels).transform(pixels, Runtime())).all()
