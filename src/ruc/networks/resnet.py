"""Residual networks that end in a feature vector.

Parameters are named as in torchvision's ResNet (`conv1`, `bn1`, `layer1.0.conv1`, `layer2.0.downsample.0`, …),
so that checkpoints of SCAN, MoCo and others fit after renaming at most a prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Stem = Literal["full", "half", "pooled", "quarter"]


@dataclass(frozen=True)
class NetworkSettings:
    """The shape of a `ResNet`.

    Attributes
    ----------
    channels
        1 or 3.
    width
        Channels of the first stage; each further stage doubles it.
    blocks
        Blocks in each stage; each stage after the first halves the side.
    stem
        "full": a 3×3 convolution at full resolution (CIFAR's stem);
        "half": the same with stride 2, for narrow networks on CPUs;
        "pooled": a 3×3 convolution at full resolution, then 2×2 max pooling (STL-10's stem in SCAN and RUC);
        "quarter": a 7×7 convolution with stride 2, then max pooling (ImageNet's stem).
    mean, std
        Images become ``(images - mean) / std`` first; one value, or one for each channel. Grey images become as
        many channels as there are values.
    """

    channels: int = 3
    width: int = 64
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    stem: Stem = "full"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (1.0,)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "NetworkSettings":
        """The settings whose `asdict` this is, back from JSON, where tuples are lists."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
        }
        return cls(**values)

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""
        return self.width << (len(self.blocks) - 1)


class _Shortcut(nn.Conv2d):
    """A 1×1 convolution of every `stride`-th place.

    Of few channels those places are taken first: with 8 of them in bfloat16 the strided convolution's gradient is
    written beyond its buffers on Intel and AMD processors (oneDNN in torch 2.13), and the process ends.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.in_channels >= 16:
            return super().forward(x)
        across, down = self.stride
        return functional.conv2d(x[:, :, ::across, ::down], self.weight)


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            shortcut = _Shortcut(channels_in, channels_out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        return functional.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class ResNet(nn.Module):
    """Images (n, channels, height, width) in [0, 1] to features (n, n_features), not normalised.

    The defaults are ResNet-18 for CIFAR; `stem="pooled"` is ResNet-18 for STL-10.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(settings.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(settings.std).view(-1, 1, 1), persistent=False)
        width, large = settings.width, settings.stem == "quarter"
        stride = 1 if settings.stem in ("full", "pooled") else 2
        self.conv1 = nn.Conv2d(
            settings.channels, width, 7 if large else 3, stride, 3 if large else 1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = _pooling(settings.stem)
        self.stage_names = tuple(f"layer{number + 1}" for number in range(len(settings.blocks)))
        channels = width
        for number, (name, count) in enumerate(zip(self.stage_names, settings.blocks, strict=True)):
            stage, channels = (
                _stage(channels, width * 2**number, count, 1 if number == 0 else 2),
                width * 2**number,
            )
            self.add_module(name, stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """The mean over the last stage's places."""
        x: Tensor = self.conv1((images - self.mean) / self.std)
        x = self.maxpool(functional.relu(self.bn1(x), inplace=True))
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3))


def _pooling(stem: Stem) -> nn.Module:
    if stem == "pooled":
        return nn.MaxPool2d(2, 2, 1)
    return nn.MaxPool2d(3, 2, 1) if stem == "quarter" else nn.Identity()


def _stage(channels_in: int, channels_out: int, count: int, stride: int) -> nn.Sequential:
    blocks: Sequence[_Block] = [
        _Block(channels_in if number == 0 else channels_out, channels_out, stride if number == 0 else 1)
        for number in range(count)
    ]
    return nn.Sequential(*blocks)
