"""Real images that some tests read; experiments/DATA.md says what they are."""

import os
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

FOLDER = Path(os.environ.get("RUC_DATA", Path(__file__).parents[1] / "../shared/data"))


def data_set(name: str) -> Path:
    """A folder with `images/` and `truth.csv`; the test is skipped where there is none."""
    if not (FOLDER / name).is_dir():
        pytest.skip(f"{FOLDER / name} is not here; the environment variable RUC_DATA says where it is")
    return FOLDER / name


def photographs(n_images: int, side: int = 300) -> list[Image.Image]:
    """Squares cut from the two photographs that come with scikit-learn, by turns from each."""
    whole = load_sample_images().images
    cut = []
    for number in range(n_images):
        left = number // 2 * 37 % (640 - side)
        cut.append(Image.fromarray(whole[number % 2][60 : 60 + side, left : left + side]))
    return cut
