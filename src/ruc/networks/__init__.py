"""Networks: backbones that make features of images, and heads that stand on them."""

from ruc.networks.heads import linear_head, mlp_head, projection_head, relu_layers
from ruc.networks.resnet import NetworkSettings, ResNet
from ruc.networks.seeding import seeded_init

__all__ = [
    "NetworkSettings",
    "ResNet",
    "linear_head",
    "mlp_head",
    "projection_head",
    "relu_layers",
    "seeded_init",
]
