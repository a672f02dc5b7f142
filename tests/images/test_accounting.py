"""A few of the generated folders; `python tests/images/accounting.py 2000` judges as many as it is told to."""

import warnings
from pathlib import Path

import pytest

pytest.importorskip("tifffile")
pytest.importorskip("imageio")
pytest.importorskip("cv2")

from accounting import disagreements, make_folder


@pytest.mark.parametrize("seed", range(8))
def test_other_readers_see_the_same(tmp_path: Path, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writers
        expected = make_folder(tmp_path, seed)
    assert disagreements(tmp_path, expected) == []
