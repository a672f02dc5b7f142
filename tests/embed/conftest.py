"""A tiny pretrained network, and photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import TINY, save

from ruc.images.source import ImageSource, find_images


@pytest.fixture(scope="session")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(**TINY, image_size=28, patch_size=14)
    return save(Dinov2Model(config), tmp_path_factory.mktemp("models") / "dinov2")


@pytest.fixture
def photos(tmp_path: Path) -> ImageSource:
    """Twelve noisy pictures, of which the fourth is broken."""
    generator = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(generator.integers(0, 256, (50, 40 + i, 3), dtype=np.uint8)).save(
            tmp_path / f"{i:02d}.png"
        )
    (tmp_path / "03.png").write_bytes(b"")
    return find_images(tmp_path)
