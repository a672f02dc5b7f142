"""Networks: backbones that make features of images, heads that stand on them, and how they are trained."""

from ruc.networks.heads import linear_head, mlp_head, projection_head, relu_layers
from ruc.networks.image_network import ImageNetwork
from ruc.networks.last_blocks import Cut, FirstBlocks, LastBlocks, LastBlocksNetwork
from ruc.networks.memory_format import channels_last
from ruc.networks.optimizers import (
    Optimizer,
    can_fuse,
    load_optimizer,
    optimizer_tensors,
    set_learning_rate,
    warmup_cosine,
)
from ruc.networks.resnet import NetworkSettings, ResNet
from ruc.networks.seeding import seeded_init
from ruc.networks.sgd import Sgd
from ruc.networks.state import State
from ruc.networks.training import OnEpoch, shuffled_batches, train_epochs
