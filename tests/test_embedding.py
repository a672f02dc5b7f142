"""The embedding stage."""

from functools import partial
from pathlib import Path

import pytest

from ruc.embed.momentum import MomentumSettings
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.embedding import EmbedTask, embed_images
from ruc.images.source import find_images
from ruc.networks import NetworkSettings
from ruc.runtime import Runtime

CPU = Runtime("cpu")


def test_momentum_learns_with_views_that_suit_the_images(
    shapes: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = NetworkSettings(width=4, blocks=(1, 1))
    quick = partial(MomentumSettings, network=tiny, n_epochs=1, n_hidden=16, n_projected=8)
    monkeypatch.setattr("ruc.embed.known.MomentumSettings", quick)
    embedded = embed_images(EmbedTask(find_images(shapes[0]), CPU, 16, 0.1), ["momentum"])
    assert isinstance(embedded.embedder, SelfSupervisedEmbedder)
    assert embedded.embedder.name == "momentum"
    assert "views" in embedded.why
    assert len(embedded.features) == len(embedded.file_names)
