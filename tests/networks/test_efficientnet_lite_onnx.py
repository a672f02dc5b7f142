"""The network written as ONNX computes what it does in PyTorch."""

import numpy as np
import pytest
import torch

from ruc.networks import seeded_init
from ruc.networks.efficientnet_lite import VARIANTS, EfficientNetLite

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ruc[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install 'ruc[onnx]'"
)


@pytest.mark.parametrize(("name", "side"), [("lite0", 64), ("lite2", 47)])
def test_features_are_those_of_the_network(name: str, side: int) -> None:
    from ruc.networks.efficientnet_lite_onnx import as_onnx

    with seeded_init(0):
        network = EfficientNetLite(VARIANTS[name]).eval()
        for bias in (value for key, value in network.named_parameters() if key.endswith("bias")):
            torch.nn.init.uniform_(bias, -0.5, 0.5)
    model = as_onnx(network, side)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).normal(size=(3, 3, side, side)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    assert expected.std() > 1e-3
    for n_images in (1, 3):
        (found,) = session.run(None, {"images": images[:n_images]})
        np.testing.assert_allclose(found, expected[:n_images], rtol=1e-3, atol=1e-4)
