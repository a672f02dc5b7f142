import torch

from ruc.networks import NetworkSettings, ResNet, channels_last

CPU = torch.device("cpu")


def test_channels_last_is_a_layout_alone() -> None:
    network = ResNet(NetworkSettings(channels=3, width=8, blocks=(1,), stem="full")).eval()
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(images)
    laid_out = channels_last(network, CPU)
    assert laid_out is network
    weight = next(value for value in network.parameters() if value.dim() == 4 and value.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images), before)


def test_narrow_networks_keep_their_channels_first() -> None:
    network = channels_last(ResNet(NetworkSettings(channels=3, width=4, blocks=(1,), stem="full")), CPU)
    assert all(value.is_contiguous() for value in network.parameters())
