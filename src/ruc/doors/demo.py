"""The demonstration's images: scikit-learn's scanned digits as a folder of PNG files."""

from pathlib import Path

import numpy as np

from ruc.run_folder import explained, new_output, write_csv


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write 1,797 scanned digits of 8 by 8 pixels as `images/*.png`, and `truth.csv` beside them; once.

    Returns
    -------
    images, truth
        The folder of images, and the table `file_name,label` that only `ruc evaluate` may see.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, truth = folder / "images", folder / "truth.csv"
    if truth.exists():  # which is written last
        return images, truth
    names = [f"{row:04d}.png" for row in range(len(digits.images))]
    with explained(folder):
        images.mkdir(parents=True, exist_ok=True)
        for name, pixels in zip(names, digits.images, strict=True):
            Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8)).save(images / name)
    with new_output(truth) as new:
        write_csv(new, ("file_name", "label"), zip(names, digits.target.tolist(), strict=True))
    return images, truth
