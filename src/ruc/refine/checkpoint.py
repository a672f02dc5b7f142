"""RUC's own published checkpoints as a pair of networks."""

import copy

from torch import nn

from ruc.errors import WeightsError
from ruc.networks import ImageNetwork, ResNet
from ruc.networks.checkpoints import Checkpoint
from ruc.refine.trained import Pair


def pair_from_checkpoint(checkpoint: Checkpoint) -> Pair:
    """The two networks of a checkpoint of RUC, as `refine` would have returned them, in image space.

    Raises
    ------
    WeightsError
        It is another's checkpoint.
    """
    if checkpoint.kind != "ruc":
        raise WeightsError(
            f"{checkpoint.path} is {checkpoint.kind.upper()}'s; expected a checkpoint of RUC with net1 and net2: "
            "give this one as --base or --embedder"
        )
    first, second = (
        _network(backbone, head)
        for backbone, head in zip(checkpoint.backbones, checkpoint.heads, strict=True)
    )
    return Pair(first, second)


def _network(backbone: ResNet, head: nn.Sequential) -> ImageNetwork:
    linear = copy.deepcopy(head[-1])
    assert isinstance(linear, nn.Linear)
    network = ImageNetwork(copy.deepcopy(backbone), linear.out_features)
    network.head = linear
    return network.eval()
