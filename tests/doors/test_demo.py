from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ruc.doors.demo import write_digits


def test_digits_are_written_as_images_with_their_truth(tmp_path: Path) -> None:
    images, truth = write_digits(tmp_path)
    digits = load_digits()
    rows = truth.read_text().splitlines()
    assert rows[0] == "file_name,label" and len(rows) == 1798
    name, label = rows[43].split(",")
    assert int(label) == digits.target[42]
    pixels = np.asarray(Image.open(images / name), dtype=float) * 16 / 255
    np.testing.assert_allclose(pixels, digits.images[42], atol=0.05)
