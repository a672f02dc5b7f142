"""Adam (Kingma and Ba 2015, arXiv 1412.6980) for gradients in closed form, as `torch.optim.Adam` takes its steps.

PyTorch's own asks for its compiler, which takes a second to import: more than all the steps of a few linear heads.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

DECAYS = (0.9, 0.999)  # of the first and of the second moment; theirs, as EPSILON
EPSILON = 1e-8


class Adam:
    """Moves tensors in place; `first` and `second` are the moments of each.

    Parameters
    ----------
    tensors
        What is learned; none of them asks for gradients of its own.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        self.first = [torch.zeros_like(each) for each in self.tensors]
        self.second = [torch.zeros_like(each) for each in self.tensors]
        self.n_steps = 0

    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """One step against the gradients, of which there is one for each tensor."""
        self.n_steps += 1
        of_first, of_second = (
            1 - decay**self.n_steps for decay in DECAYS
        )  # what is missing of the moments yet
        for tensor, first, second, gradient in zip(
            self.tensors, self.first, self.second, gradients, strict=True
        ):
            first.lerp_(gradient, 1 - DECAYS[0])
            second.mul_(DECAYS[1]).addcmul_(gradient, gradient, value=1 - DECAYS[1])
            spread = second.sqrt().div_(of_second**0.5).add_(EPSILON)
            tensor.addcdiv_(first, spread, value=-learning_rate / of_first)

    def of(self, tensors: Sequence[Tensor], kept: Tensor) -> "Adam":
        """The same for some rows of each tensor, which are given, with what is remembered of them."""
        some = Adam(tensors)
        some.first, some.second = ([each[kept] for each in moments] for moments in (self.first, self.second))
        some.n_steps = self.n_steps
        return some
