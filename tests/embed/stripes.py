"""Images whose pixels don't show what kind they are: stripes of any phase."""

import math

import numpy as np


def stripes(count: int, n_kinds: int, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Grey images with horizontal, vertical or diagonal stripes under noise, and the kind of each."""
    drawn = np.random.default_rng(0)
    kinds = np.arange(count) % n_kinds
    rows, columns = np.mgrid[:side, :side]
    along = np.array([rows, columns, rows + columns])[kinds]
    waves = 128 + 80 * np.sin(along * 1.6 + drawn.uniform(0, 2 * math.pi, (count, 1, 1)))
    noisy = waves + drawn.normal(0, 20, waves.shape)
    return noisy.clip(0, 255).astype(np.uint8)[:, None], kinds
