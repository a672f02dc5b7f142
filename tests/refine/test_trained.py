"""The pair: whatever it is asked about goes to its networks in blocks, as they take it."""

import torch
from device_check import ELSEWHERE, pretended_device
from torch import nn

from ruc.images.views import to_float
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, seeded_init
from ruc.refine.networks import Head
from ruc.refine.trained import PREDICT_ROWS, Pair


def make_pair() -> Pair:
    with seeded_init(0):
        shape = NetworkSettings(channels=1, width=8, blocks=(1,), stem="half")
        first, second = (ImageNetwork(ResNet(shape), 3) for _ in range(2))
    return Pair(first, second)


def make_pixels(n_images: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(256, (n_images, 1, 8, 8), generator=random, dtype=torch.uint8)


def test_many_images_stay_bytes_but_for_the_block_that_is_asked_about() -> None:
    pair, pixels, seen = make_pair(), make_pixels(PREDICT_ROWS + 5), []

    def look(network: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen.append((inputs[0].dtype, len(inputs[0])))

    pair.first.register_forward_pre_hook(look)
    logits = pair.logits(pixels)
    assert seen == [(torch.float32, PREDICT_ROWS), (torch.float32, 5)]
    assert logits.std(dim=0).min() > 0
    torch.testing.assert_close(logits, pair.logits(to_float(pixels)))


def test_only_what_is_asked_about_is_on_the_device(monkeypatch) -> None:
    pair, pixels = make_pair(), make_pixels(7)
    here = pair.logits(pixels)
    with pretended_device(monkeypatch):
        far = Pair(pair.first.to(ELSEWHERE), pair.second.to(ELSEWHERE))
        there = far.logits(pixels)
        assert there.device.type == "cpu"
    torch.testing.assert_close(there, here)


def test_each_network_of_a_pair_may_read_columns_of_its_own() -> None:
    with seeded_init(0):
        pair = Pair(Head(7, 3, 8, 0, 4), Head(7, 3, 8, 4))
    rows = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    other = rows.clone()
    other[:, 4:] = 0
    torch.testing.assert_close(pair.first(rows), pair.first(other))
    assert not torch.allclose(pair.second(rows), pair.second(other))
    again = Pair.from_state(pair.state(), torch.device("cpu"))
    torch.testing.assert_close(pair.logits(rows), again.logits(rows))
