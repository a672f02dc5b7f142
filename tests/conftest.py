"""Small images in a folder, and one thread: two threads fight over tiny networks."""

from pathlib import Path

import pytest
import torch
from shapes import write_shapes

torch.set_num_threads(1)


@pytest.fixture
def shapes(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of 60 images in three shapes, and the shape of each."""
    folder = tmp_path / "shapes"
    return folder, write_shapes(folder)
