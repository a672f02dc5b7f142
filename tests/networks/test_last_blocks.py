"""A network cut in two does what it did whole, wherever it is cut."""

import pytest
import torch

from ruc.networks import Cut, FirstBlocks, LastBlocks, LastBlocksNetwork, seeded_init
from ruc.networks.efficientnet_lite import VARIANTS, EfficientNetLite, block_shapes
from ruc.networks.last_blocks import last_size, normalized
from ruc.refine.networks import network_from_config

SIDE = 40


def untrained(name: str, seed: int = 0) -> EfficientNetLite:
    with seeded_init(seed):
        return EfficientNetLite(VARIANTS[name]).eval()


def images(n_images: int = 3) -> torch.Tensor:
    return torch.rand((n_images, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_frozen", [0, 1, 5, 12, 16])
def test_first_and_last_blocks_are_the_network(n_frozen: int) -> None:
    network, cut = untrained("lite0"), Cut("lite0", SIDE, n_frozen)
    first, last = FirstBlocks([cut], [network]), LastBlocks(cut, network)
    with torch.no_grad():
        found, whole = last(first(images())), network(normalized(images()))
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)


def test_maps_of_two_networks_lie_side_by_side() -> None:
    networks = untrained("lite0"), untrained("lite2", 1)
    cut = Cut("lite0", SIDE, last_size("lite0"))
    cuts = cut, Cut("lite2", SIDE, last_size("lite2"), cut.stop)
    with torch.no_grad():
        maps = FirstBlocks(cuts, networks)(images())
        assert maps.shape == (3, cuts[1].stop)
        for each, network in zip(cuts, networks, strict=True):
            found = LastBlocks(each, network)(maps)
            torch.testing.assert_close(found, network(normalized(images())), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_above_the_cut_no_map_gets_smaller(name: str) -> None:
    shapes, n_frozen = block_shapes(VARIANTS[name]), last_size(name)
    assert shapes[n_frozen - 1].stride == 2
    assert all(shape.stride == 1 for shape in shapes[n_frozen:])


def test_what_is_retrained_is_a_copy_and_learns() -> None:
    network, cut = untrained("lite0"), Cut("lite0", SIDE, last_size("lite0"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    retrained = LastBlocksNetwork(LastBlocks(cut, network.requires_grad_(False)), n_clusters=2)
    optimizer = torch.optim.SGD(retrained.parameters(), lr=0.1)
    loss = retrained(FirstBlocks([cut], [network])(images())).square().sum()
    loss.backward()
    assert all(parameter.grad is not None for parameter in retrained.parameters())
    optimizer.step()
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_network_is_made_again_from_its_configuration() -> None:
    cut = Cut("lite2", SIDE, last_size("lite2"), start=7)
    network = LastBlocksNetwork(LastBlocks(cut), n_clusters=4).eval()
    again = network_from_config(network.config).eval()
    again.load_state_dict(network.state_dict())
    maps = torch.rand(2, cut.stop)
    with torch.no_grad():
        torch.testing.assert_close(again(maps), network(maps))
