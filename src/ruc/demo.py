"""The demonstration's images: scikit-learn's scanned digits as a folder of PNG files."""

import csv
from pathlib import Path

import numpy as np

__all__ = ["write_digits"]


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write 1,797 scanned digits of 8 by 8 pixels as `images/*.png`, and `truth.csv` beside them.

    Returns
    -------
    images, truth
        The folder of images, and the table `file_name,label` that only `ruc evaluate` may see.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    names = [f"{row:04d}.png" for row in range(len(digits.images))]
    for name, pixels in zip(names, digits.images, strict=True):
        Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8)).save(images / name)
    truth = folder / "truth.csv"
    with truth.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "label"))
        writer.writerows(zip(names, digits.target.tolist(), strict=True))
    return images, truth
