"""Maps of views: as the networks would make them, each image's for itself, in memory that is bounded."""

from pathlib import Path

import pytest
import torch

from ruc.embed import maps
from ruc.embed.maps import load_blocks, map_views, maps_of, n_views_of, stream_images
from ruc.errors import NothingToClusterError
from ruc.images.source import find_images
from ruc.images.views import PAPER
from ruc.networks import Cut
from ruc.networks.last_blocks import last_size
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=3)
CUT = Cut("lite0", 32, last_size("lite0"))


def test_maps_are_those_of_the_image_and_of_views_of_it(shapes: tuple[Path, dict[str, str]]) -> None:
    source = find_images(shapes[0]).take(range(10))
    first, _ = load_blocks([CUT], CPU)
    made = map_views(source, first, PAPER, (2, 1), CPU.generator("test"), CPU)
    assert made.shape == (4, 10, CUT.stop)
    assert made.dtype == torch.float16
    plain = torch.cat([maps_of(batch, first, CPU) for batch in stream_images(source, CUT, CPU)])
    torch.testing.assert_close(made[0].float(), plain, rtol=2e-3, atol=2e-3)
    for view in made[1:].float():
        assert float((view - plain).abs().amax(dim=1).min()) > 0.05  # of every image another view


def test_an_image_that_is_gone_is_named(shapes: tuple[Path, dict[str, str]]) -> None:
    source = find_images(shapes[0]).take(range(3))
    (shapes[0] / "001.png").write_bytes(b"gone")
    with pytest.raises(NothingToClusterError, match=r"001\.png can no longer be read"):
        map_views(source, load_blocks([CUT], CPU)[0], PAPER, (1, 1), CPU.generator("test"), CPU)


def test_many_images_have_fewer_views_and_too_many_none(monkeypatch: pytest.MonkeyPatch) -> None:
    a_view = CUT.stop * 2  # bytes
    monkeypatch.setattr(maps, "MEMORY", 100 * 8 * a_view)
    found = {n_samples: n_views_of(n_samples, [CUT]) for n_samples in (10, 100, 101, 150, 266, 267)}
    assert found == {10: (4, 3), 100: (4, 3), 101: (3, 3), 150: (2, 2), 266: (1, 1), 267: (0, 0)}
    for n_samples, n_views in found.items():
        assert not any(n_views) or n_samples * (1 + sum(n_views)) * a_view <= maps.MEMORY
