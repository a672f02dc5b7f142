"""Muon (Jordan et al. 2024): steps along the momentum made orthogonal, for all that is a matrix; Adam for the rest.

PyTorch's own takes nothing but matrices: neither convolutions nor the vectors beside them.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ruc.networks.adam import DECAYS, EPSILON

MOMENTUM = 0.95  # Nesterov's; theirs, as what follows
N_ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the singular values' first, third and fifth power
STEP = 0.2  # root mean square of a step at a rate of 1, as AdamW's is (Liu et al. 2025, arXiv 2502.16982)


class Muon(torch.optim.Optimizer):
    """What has two dimensions or more is taken as a matrix of a row an output; the others' steps are Adam's.

    Parameters
    ----------
    parameters
        What is learned.
    learning_rate
        Of both kinds.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move the parameters that have a gradient; there is no closure to call."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move = self._matrix_step if parameter.ndim > 1 else self._vector_step
                    move(parameter, parameter.grad, group["lr"])

    def _matrix_step(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].mul_(MOMENTUM).add_(gradient)
        step = orthogonal((gradient + MOMENTUM * momentum).flatten(1))
        parameter.add_(step.view(parameter.shape), alpha=-rate * STEP * max(step.shape) ** 0.5)

    def _vector_step(self, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        state = self.state[parameter]
        if not state:
            state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["n_steps"] = torch.zeros(())
        state["n_steps"] += 1
        n_steps = float(state["n_steps"])
        first = state["first"].lerp_(gradient, 1 - DECAYS[0])
        second = state["second"].mul_(DECAYS[1]).addcmul_(gradient, gradient, value=1 - DECAYS[1])
        spread = (second / (1 - DECAYS[1] ** n_steps)).sqrt_().add_(EPSILON)
        parameter.addcdiv_(first, spread, value=-rate / (1 - DECAYS[0] ** n_steps))


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought near 1 (0.7 to 1.2 for all but tiny ones), by Newton and Schulz.

    Parameters
    ----------
    matrix
        (rows, columns).
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    linear, cubic, quintic = COEFFICIENTS
    start: Tensor = matrix / matrix.norm().clamp_min(torch.finfo(matrix.dtype).tiny)
    gram = start @ start.T  # all that happens to the rows can be told from their products, which are fewer
    same = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    all_steps = same
    for _ in range(N_ITERATIONS):
        step = torch.addmm(linear * same + cubic * gram, gram, gram, alpha=quintic)
        all_steps, gram = step @ all_steps, step @ gram @ step
    return all_steps @ start
