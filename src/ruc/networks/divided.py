"""A network that several processes share: each computes a part of every batch, and all have the answers of all.

Losses and what is drawn at random are then the same everywhere, as if one process had done it all.
"""

import copy
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel


def divided(network: nn.Module) -> nn.Module:
    """A network of the same weights that is called by all processes with the same views, and answers each the same.

    Its gradients are those of the whole batch in each process, and BatchNorm's statistics are the whole batch's. The
    network itself is left as it is, but learns what this one learns; the first process's weights count.
    """
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    part = _Part(_with_statistics_of_all(copy.deepcopy(network, shared)))
    return DistributedDataParallel(part)


class _Part(nn.Module):
    """Computes this process's part of the logits, and takes the others'."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, views: Tensor) -> Tensor:
        sizes = [len(part) for part in views.tensor_split(dist.get_world_size())]
        start = sum(sizes[: dist.get_rank()])
        logits = self.network(views[start : start + sizes[dist.get_rank()]])
        joined: Tensor = _Join.apply(logits.float(), start, len(views))  # type: ignore[no-untyped-call]
        return joined


class _Join(torch.autograd.Function):
    """The parts of all processes as one tensor.

    All go on with the same, so each has the whole gradient of its part; it's multiplied by the number of processes,
    since `DistributedDataParallel` takes the mean over them where the sum is wanted.
    """

    @staticmethod
    def forward(ctx: Any, part: Tensor, start: int, n_rows: int) -> Tensor:
        ctx.rows = slice(start, start + len(part))
        joined = part.new_zeros(n_rows, *part.shape[1:])
        joined[ctx.rows] = part
        dist.all_reduce(joined)
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.rows] * dist.get_world_size(), None, None


class _Sum(torch.autograd.Function):
    """The sum over the processes."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        dist.all_reduce(whole)
        return whole


class _BatchNorm(nn.BatchNorm2d):
    """Normalises by mean and variance over the parts of all processes, as torch's `SyncBatchNorm` does on GPUs."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return super().forward(inputs)
        sums = torch.cat([inputs.sum(dim=(0, 2, 3)), inputs.new_tensor([inputs.numel() / inputs.shape[1]])])
        *_, count = sums = _Sum.apply(sums)  # type: ignore[no-untyped-call]
        mean = sums[:-1] / count
        centred = inputs - mean.view(1, -1, 1, 1)
        variance = _Sum.apply(centred.square().sum(dim=(0, 2, 3))) / count  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        normed: Tensor = centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)
        return normed

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def _with_statistics_of_all(network: nn.Module) -> nn.Module:
    """The network with its batch normalisation replaced; the weights stay the same tensors."""
    if next(network.parameters()).device.type == "cuda":
        on_gpus: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return on_gpus
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                own = _BatchNorm(child.num_features, child.eps, child.momentum).train(child.training)
                own._parameters, own._buffers = child._parameters, child._buffers
                setattr(parent, name, own)
    return network
