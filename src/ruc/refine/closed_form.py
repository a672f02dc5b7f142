"""One step of a head with gradients in closed form: the same as autograd's but for rounding, in less time.

A few hundred samples are so little work for a head that bookkeeping takes as long as the arithmetic, and products of
few columns take twice the time of those of few rows (experiments/LOG.md, "heads in closed form").
Hidden units and clusters come first and samples last, as in `ruc.cluster.scan_heads`.
"""

import torch
from torch import Tensor, nn

from ruc.networks import Sgd
from ruc.refine.exercise import Exercise
from ruc.refine.members import Member
from ruc.refine.networks import Head
from ruc.refine.settings import RefineSettings


def has_closed_form(member: Member, settings: RefineSettings) -> bool:
    """Whether `step_of_head` is for this student: a head that learns by `Sgd`, of strong views of the clean too."""
    of_head = isinstance(member.network, Head) and member.learner is member.network
    strong_of_clean = settings.label_smoothing and settings.forwards == "needed"
    return of_head and isinstance(member.optimizer, Sgd) and strong_of_clean


@torch.no_grad()
def step_of_head(member: Member, exercise: Exercise, unclean_weight: float) -> Tensor:
    """Learn from an exercise; returns the three losses, see `Exercise.losses`.

    `unclean_weight`: of the second of these in their sum.
    """
    head = member.network
    assert isinstance(head, Head) and exercise.strong is not None
    first, norm, last = (head.layers.get_submodule(place) for place in ("0", "1", "4"))  # of `mlp_head`
    assert isinstance(first, nn.Linear) and isinstance(norm, nn.BatchNorm1d) and isinstance(last, nn.Linear)
    inputs = torch.cat([exercise.inputs, exercise.strong])[:, head.columns]
    targets = torch.cat([exercise.targets, exercise.smoothed]).T

    centred = first.weight @ inputs.T
    mean = centred.mean(dim=1)
    centred -= mean.unsqueeze(1)
    inverse = _note(norm, mean, torch.linalg.vector_norm(centred, dim=1).square_(), len(inputs))
    steep = (norm.weight * inverse).unsqueeze(1)
    active = (centred * steep).add_(norm.bias.unsqueeze(1)).relu_()
    logs = torch.addmm(last.bias.unsqueeze(1), last.weight, active).log_softmax(dim=0)
    losses, by_logits = _losses(logs, targets, exercise, unclean_weight)

    last.weight.grad, last.bias.grad = by_logits @ active.T, by_logits.sum(dim=1)
    by_active = last.weight.T @ by_logits
    by_active *= active.sign_()
    norm.weight.grad = torch.linalg.vecdot(by_active, centred).mul_(inverse)
    norm.bias.grad = by_active.sum(dim=1)
    # The norm takes from a gradient what would move a unit's mean or spread (Ioffe and Szegedy 2015, section 3).
    by_active -= (norm.bias.grad / len(inputs)).unsqueeze(1)
    by_active.addcmul_(centred, (norm.weight.grad * inverse / len(inputs)).unsqueeze(1), value=-1)
    first.weight.grad = (by_active @ inputs).mul_(steep)
    member.optimizer.step()
    return losses


def _note(norm: nn.BatchNorm1d, mean: Tensor, squares: Tensor, n_samples: int) -> Tensor:
    """Let the norm remember mean and spread of the hidden units; returns the inverse of the spread (n_hidden,)."""
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean, norm.momentum)
    norm.running_var.lerp_(squares / (n_samples - 1), norm.momentum)
    norm.num_batches_tracked += 1
    return (squares / n_samples).add_(norm.eps).rsqrt_()


def _losses(
    logs: Tensor, targets: Tensor, exercise: Exercise, unclean_weight: float
) -> tuple[Tensor, Tensor]:
    """(3,) losses, and how their sum changes with the logits (n_clusters, n).

    With p the softmax and t the target that is ``p - t`` of a cross-entropy, and of squared errors, with u =
    ``2 * (p - t)``, ``p * (u - <p, u>)``; over the number of rows, or of rows and clusters.
    """
    n_clusters, n_samples = logs.shape
    n_clean, n_mixed = exercise.n_clean, len(exercise.inputs)
    clean, unclean, strong = slice(0, n_clean), slice(n_clean, n_mixed), slice(n_mixed, n_samples)
    of_clean, of_strong = 1 / max(n_clean, 1), 1 / max(n_samples - n_mixed, 1)
    of_unclean = 1 / max((n_mixed - n_clean) * n_clusters, 1)
    surprise = (targets * logs).sum(dim=0).neg_()
    probabilities = logs.exp()
    gradient = probabilities - targets
    wrong, sure = gradient[:, unclean], probabilities[:, unclean]
    losses = torch.stack(
        [
            surprise[clean].sum() * of_clean,
            wrong.square().sum() * of_unclean,
            surprise[strong].sum() * of_strong,
        ]
    )
    gradient[:, clean] *= of_clean
    gradient[:, strong] *= of_strong
    wrong *= sure
    wrong -= sure * wrong.sum(dim=0)
    wrong *= 2 * unclean_weight * of_unclean
    return losses, gradient
