"""Small images that several tests share."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_shapes(folder: Path, per_class: int = 20, seed: int = 0) -> dict[str, str]:
    """Write grey 16-pixel images of bars and squares; returns the shape of each file."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {}
    for number in range(3 * per_class):
        shape = ("across", "down", "square")[number % 3]
        pixels = rng.integers(0, 40, size=(16, 16))
        at = rng.integers(5, 9)
        if shape == "across":
            pixels[at : at + 3, 2:14] += 180
        elif shape == "down":
            pixels[2:14, at : at + 3] += 180
        else:
            pixels[at - 3 : at + 4, at - 3 : at + 4] += 180
        name = f"{number:03d}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
        shapes[name] = shape
    return shapes
