"""EfficientNet-Lite as an ONNX model, which onnxruntime computes half as fast again as PyTorch does on a processor.

Written out operator by operator: an exporter would take longer than a thousand images.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ruc.networks.efficientnet_lite import Block, Convolution, EfficientNetLite

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 13, 8
INPUT, OUTPUT = "images", "features"


def as_onnx(network: EfficientNetLite, side: int) -> "onnx.ModelProto":
    """The model: `images` (n, 3, side, side) float32, as the network takes them, to `features` (n, 1280)."""
    from onnx import TensorProto, helper

    graph = _Graph()
    name = graph.convolution(INPUT, network.stem)
    for block in network.blocks:
        assert isinstance(block, Block)
        name = _block(graph, name, block)
    name = graph.convolution(name, network.head)
    graph.add("Flatten", [graph.add("GlobalAveragePool", [name])], OUTPUT)
    n_features = network.head.weight.shape[0]
    made = helper.make_graph(
        graph.nodes,
        "efficientnet_lite",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3, side, side])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", n_features])],
        graph.weights,
    )
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="ruc")


def _block(graph: "_Graph", name: str, block: Block) -> str:
    before = name
    for part in (block.expand, block.depthwise, block.project):
        if isinstance(part, Convolution):
            name = graph.convolution(name, part)
    return graph.add("Add", [name, before]) if block.adds else name


class _Graph:
    """Nodes and weights in the order in which they are added; each node has one output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.bounds = [self.constant(np.float32(0)), self.constant(np.float32(6))]

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def convolution(self, name: str, layer: Convolution) -> str:
        """The convolution, padded as `Convolution` pads, and ReLU6 unless it is linear."""
        inputs = [name, self.constant(_array(layer.weight)), self.constant(_array(layer.bias))]
        found = self.add(
            "Conv",
            inputs,
            auto_pad="SAME_UPPER",
            group=layer.groups,
            kernel_shape=list(layer.weight.shape[-2:]),
            strides=[layer.stride, layer.stride],
        )
        return found if layer.linear else self.add("Clip", [found, *self.bounds])


def _array(values: Tensor) -> Any:
    return values.detach().cpu().contiguous().numpy()
