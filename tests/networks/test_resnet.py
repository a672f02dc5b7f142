"""Networks: torchvision's names and sizes, any image size, reproducible weights."""

import pytest
import torch
from torch import nn

from ruc.networks import NetworkSettings, ResNet, linear_head, mlp_head, projection_head, seeded_init


def test_resnet18_has_torchvisions_names_and_number_of_parameters() -> None:
    network = ResNet(NetworkSettings(stem="quarter"))
    names = set(network.state_dict())
    for name in (
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer1.1.bn2.bias",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.running_mean",
        "layer4.1.conv2.weight",
    ):
        assert name in names
    assert "layer1.0.downsample.0.weight" not in names
    # torchvision's ResNet-18 has 11,689,512 parameters, of which its classifier holds 512 · 1000 + 1000.
    assert sum(p.numel() for p in network.parameters()) == 11_689_512 - 513_000


@pytest.mark.parametrize("stem", ["full", "half", "quarter"])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 8), (1, 28), (3, 96)])
def test_features_of_any_size_are_finite(stem, channels, side) -> None:
    settings = NetworkSettings(channels=channels, width=4, blocks=(1, 1, 1), stem=stem)
    images = torch.rand(3, channels, side, side, requires_grad=True)
    features = ResNet(settings)(images)
    assert features.shape == (3, settings.n_features) == (3, 16)
    features.square().sum().backward()
    assert torch.isfinite(features).all()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_stems_differ_in_resolution() -> None:
    images = torch.rand(1, 3, 32, 32)
    sides = {}
    for stem in ("full", "half", "quarter"):
        network = ResNet(NetworkSettings(width=4, blocks=(1,), stem=stem))
        network.layer1.register_forward_hook(lambda m, i, out, stem=stem: sides.update({stem: out.shape[-1]}))
        network(images)
    assert sides == {"full": 32, "half": 16, "quarter": 8}


def test_one_image_at_a_time_equals_a_batch() -> None:
    network = ResNet(NetworkSettings(width=4, blocks=(1, 1))).eval()
    images = torch.rand(5, 3, 16, 16)
    with torch.inference_mode():
        singly = torch.cat([network(image[None]) for image in images])
        assert torch.allclose(network(images), singly, atol=1e-5)


def test_seeded_init_repeats_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    with seeded_init(5):
        first = nn.Linear(3, 3)
    assert torch.equal(torch.rand(1), expected)
    with seeded_init(5):
        second = nn.Linear(3, 3)
    with seeded_init(6):
        third = nn.Linear(3, 3)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)


@pytest.mark.parametrize(
    "head", [linear_head(6, 4), mlp_head(6, 8, 4, dropout=0.1), projection_head(6, 8, 4)]
)
def test_heads_map_features_to_their_outputs(head) -> None:
    assert head(torch.rand(5, 6)).shape == (5, 4)


@pytest.mark.parametrize("channels", [8, 16])
def test_shortcuts_of_few_channels_take_the_same_places(channels: int) -> None:
    with seeded_init(0):
        shortcut = ResNet(NetworkSettings(width=channels, blocks=(1, 1))).layer2[0].downsample[0]
    x = torch.randn(3, channels, 7, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mine = shortcut(x)
    (gradient,) = torch.autograd.grad(mine.square().sum(), x)
    expected = torch.nn.functional.conv2d(x, shortcut.weight, stride=2)
    torch.testing.assert_close(mine, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.square().sum(), x)[0])
