"""Networks: backbones that make features of images, and heads that stand on them."""

from ruc.networks.heads import linear_head, mlp_head, projection_head, relu_layers
from ruc.networks.image_network import ImageNetwork
from ruc.networks.optimizers import load_optimizer, optimizer_tensors, warmup_cosine
from ruc.networks.resnet import NetworkSettings, ResNet
from ruc.networks.seeding import seeded_init

__all__ = [
    "ImageNetwork",
    "NetworkSettings",
    "ResNet",
    "linear_head",
    "load_optimizer",
    "mlp_head",
    "optimizer_tensors",
    "projection_head",
    "relu_layers",
    "seeded_init",
    "warmup_cosine",
]
