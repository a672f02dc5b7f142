"""EfficientNet-Lite: a small convolutional network for photographs, without what integer hardware can't compute.

Tan and Le 2019 (arXiv 1905.11946) without squeeze-and-excite and with ReLU6 in place of swish, as Google released it
in 2020. Only for inference: every batch normalisation is folded into the convolution before it, which gives the same
numbers in half the passes over memory.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, hardtanh, pad

STEM_WIDTH, N_FEATURES = 32, 1280
N_CLASSES = 1000  # ImageNet's
NORM_EPSILON = 1e-3  # TensorFlow's, in whose terms the weights were learned

# Of the stages: blocks, kernel, stride, expansion, width (Table 1 of the paper).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True)
class Variant:
    """How much wider and deeper than Lite0 a network is, and the side of its images in pixels."""

    width: float
    depth: float
    side: int


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {"lite0": Variant(1.0, 1.0, 224), "lite1": Variant(1.0, 1.1, 240), "lite2": Variant(1.1, 1.2, 260)}
)


class BlockShape(NamedTuple):
    """Of one block; the convolution in its middle has `stride`."""

    n_in: int
    n_out: int
    kernel: int
    stride: int
    expansion: int


def block_shapes(variant: Variant) -> list[BlockShape]:
    """Of all blocks of a network, in order."""
    shapes, n_in = [], STEM_WIDTH
    for number, (n_blocks, kernel, stride, expansion, width) in enumerate(STAGES):
        n_out = _round_width(width * variant.width)
        is_end = number in (0, len(STAGES) - 1)  # the first and the last stage never grow deeper
        for step in range(n_blocks if is_end else math.ceil(n_blocks * variant.depth)):
            shapes.append(BlockShape(n_in, n_out, kernel, stride if step == 0 else 1, expansion))
            n_in = n_out
    return shapes


class Convolution(nn.Module):
    """A convolution with a bias, padded as TensorFlow's "SAME", and ReLU6 unless it is linear."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_out, n_in // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(n_out))
        self.stride, self.groups, self.linear = stride, groups, linear
        bound = 1 / math.sqrt(self.weight[0].numel())
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        """(n, n_in, height, width) to (n, n_out, ceil(height / stride), ceil(width / stride))."""
        kernel, stride = self.weight.shape[-1], self.stride
        down, across = (max((math.ceil(s / stride) - 1) * stride + kernel - s, 0) for s in images.shape[-2:])
        if down % 2 or across % 2:  # one more row or column at the end than at the beginning
            images = pad(images, (across // 2, across - across // 2, down // 2, down - down // 2))
            down = across = 0
        images = conv2d(images, self.weight, self.bias, stride, (down // 2, across // 2), groups=self.groups)
        return images if self.linear else hardtanh(images, 0.0, 6.0, inplace=not torch.is_grad_enabled())


class Block(nn.Module):
    """An inverted residual: expanded, filtered channel by channel, projected, and added where shapes allow."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = n_in * expansion
        self.expand = Convolution(n_in, wide) if expansion > 1 else nn.Identity()
        self.depthwise = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, n_out, linear=True)
        self.adds = stride == 1 and n_in == n_out

    def forward(self, images: Tensor) -> Tensor:
        """(n, n_in, height, width) to (n, n_out, height / stride, width / stride)."""
        projected: Tensor = self.project(self.depthwise(self.expand(images)))
        return projected + images if self.adds else projected


class EfficientNetLite(nn.Module):
    """A variant of the network: images to features, and on to ImageNet's classes."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_WIDTH, 3, 2)
        shapes = block_shapes(variant)
        self.blocks = nn.Sequential(*(Block(*shape) for shape in shapes))
        self.head = Convolution(shapes[-1].n_out, N_FEATURES)
        self.classifier = nn.Linear(N_FEATURES, N_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, side, side), each value (x - 127) / 128 of a pixel in 0 … 255, to (n, 1280): the last map's mean."""
        last_map: Tensor = self.head(self.blocks(self.stem(images)))
        return last_map.mean(dim=(2, 3), dtype=torch.float32)

    def logits(self, images: Tensor) -> Tensor:
        """(n, 1000) of ImageNet's classes."""
        scores: Tensor = self.classifier(self(images))
        return scores

    @classmethod
    def from_reference(cls, variant: Variant, weights: Mapping[str, Tensor]) -> "EfficientNetLite":
        """The network with weights as `efficientnet_lite_pytorch` names them, in evaluation mode.

        Raises
        ------
        KeyError, RuntimeError
            A tensor is missing, or of another shape.
        """
        network = cls(variant)
        ours = {"classifier.weight": weights["_fc.weight"], "classifier.bias": weights["_fc.bias"]}
        for name, module in network.named_modules():
            if isinstance(module, Convolution):
                convolution, norm = _reference_names(name)
                folded = _folded(weights, convolution, norm)
                ours[f"{name}.weight"], ours[f"{name}.bias"] = folded
        network.load_state_dict(ours)
        return network.eval()


def _round_width(width: float, multiple: int = 8) -> int:
    """The nearest multiple of 8, and never more than a tenth below."""
    rounded = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * width else rounded


def _reference_names(name: str) -> tuple[str, str]:
    """What the reference calls a convolution and the normalisation that follows it."""
    if name == "stem":
        return "_conv_stem", "_bn0"
    if name == "head":
        return "_conv_head", "_bn1"
    _, number, part = name.split(".")
    norm = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}[part]
    return f"_blocks.{number}._{part}_conv", f"_blocks.{number}.{norm}"


def _folded(weights: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what it and its normalisation do; in double precision."""
    gain, shift, mean, variance = (
        weights[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / (variance + NORM_EPSILON).sqrt()
    kernel = weights[f"{convolution}.weight"].double() * factor[:, None, None, None]
    return kernel.float(), (shift - mean * factor).float()
