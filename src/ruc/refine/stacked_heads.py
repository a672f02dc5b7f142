"""Two heads that learn as one stack, with gradients in closed form: `ruc.refine.one_by_one` in a third of the time.

A few hundred samples are so little work for a head that PyTorch's bookkeeping takes longer than the arithmetic, and
two threads of Python longer than one (experiments/LOG.md, "two heads as one stack"). Draws, targets and steps are the
same but for rounding. Hidden units and clusters come first and samples last, as in `ruc.cluster.scan_heads`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ruc.networks import Sgd
from ruc.refine.batches import Batch
from ruc.refine.exercise import Exercise
from ruc.refine.forwards import BatchLogits
from ruc.refine.members import Member, Turn
from ruc.refine.networks import Head
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime

# As `ruc.networks.mlp_head` calls them, in the order in which an optimiser has the first five.
HIDDEN, NORM, LAST = "layers.0", "layers.1", "layers.4"
LEARNED = (f"{HIDDEN}.weight", f"{NORM}.weight", f"{NORM}.bias", f"{LAST}.weight", f"{LAST}.bias")


def can_stack(turns: Sequence[Turn], settings: RefineSettings) -> bool:
    """Whether the students are two heads of the same shape, on a CPU, that learn from the same batches."""
    students = [student for student, _ in turns]
    if len(students) != 2 or settings.forwards != "needed" or not settings.label_smoothing:
        return False
    if not all(isinstance(each.network, Head) and each.learner is each.network for each in students):
        return False
    parameters = [[each.network.get_parameter(name) for name in LEARNED] for each in students]
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters[0])
    alike = all(one.shape == other.shape for one, other in zip(*parameters, strict=True))
    return on_cpu and alike and all(isinstance(each.optimizer, Sgd) for each in students)


@contextmanager
def stacked_heads(
    turns: Sequence[Turn], settings: RefineSettings, runtime: Runtime
) -> Iterator["StackedHeads"]:
    """The heads of a pass, as long as it takes; what they have learned is theirs afterwards."""
    stack = StackedHeads([student for student, _ in turns], settings)
    yield stack
    stack.give_back()


class StackedHeads:
    """The heads of a pass.

    Parameters
    ----------
    students
        Heads of the same shape, of which each is the peer of the other.
    """

    def __init__(self, students: Sequence[Member], settings: RefineSettings) -> None:
        self.students = students
        self.columns = [_head(student).columns for student in students]
        learned = [self._stack(name) for name in LEARNED]
        # (2, n_hidden, n_read), (2, n_hidden) twice, (2, n_clusters, n_hidden), (2, n_clusters)
        self.hidden, self.scale, self.shift, self.last, self.bias = learned
        self.mean, self.variance = self._stack(f"{NORM}.running_mean"), self._stack(f"{NORM}.running_var")
        norm = _head(students[0]).layers.get_submodule("1")
        assert isinstance(norm, nn.BatchNorm1d)
        self.tiny, self.follow = norm.eps, float(norm.momentum or 0)
        self.optimizer = Sgd(learned, _rate(students[0]), settings.momentum, settings.weight_decay)
        theirs = [student.optimizer.moments for student in students if isinstance(student.optimizer, Sgd)]
        self.optimizer.moments = {
            number: torch.stack([each[number] for each in theirs]) for number in theirs[0]
        }
        self.n_steps = 0

    def ask(self, batch: Batch) -> Mapping[Member, BatchLogits]:
        """What the heads say of a batch."""
        doubtful = [view.index_select(0, batch.unclean) for view in (batch.weak_a, batch.weak_b)]
        views = torch.cat([batch.plain, *doubtful])
        # The statistics are known, so that the norm is a part of the layer before it.
        steep = self.scale * (self.variance + self.tiny).rsqrt()
        level = torch.addcmul(self.shift, self.mean, steep, value=-1).unsqueeze(2)
        active = self._first_layer(self.hidden * steep.unsqueeze(2), [views, views]).add_(level).relu_()
        sizes = [len(batch.plain), len(batch.unclean), len(batch.unclean)]
        answers = {}
        for student, logits in zip(self.students, self._logits(active), strict=True):
            plain, weak_a, weak_b = torch.split(logits.T, sizes)
            answers[student] = BatchLogits(plain, (weak_a, weak_b))
        return answers

    def learn(
        self, clean: Tensor, exercises: Sequence[Callable[[], Exercise]], unclean_weight: float
    ) -> list[Tensor]:
        """One step of both heads on their exercises; returns the three losses of each.

        `clean`: the places of the clean in the batch.
        """
        done = [set_exercise() for set_exercise in exercises]
        inputs = [torch.cat([each.inputs, _strong(each)]) for each in done]
        targets = torch.stack([torch.cat([each.targets, each.smoothed]).T for each in done])
        n_clean, n_mixed = done[0].n_clean, len(done[0].inputs)

        centred = self._first_layer(self.hidden, inputs)
        mean = centred.mean(dim=2)
        centred -= mean.unsqueeze(2)
        inverse = self._note(mean, torch.linalg.vector_norm(centred, dim=2).square_(), len(inputs[0]))
        steep = self.scale * inverse
        active = (centred * steep.unsqueeze(2)).add_(self.shift.unsqueeze(2)).relu_()
        logs = self._logits(active).log_softmax(dim=1)
        losses, by_logits = _losses(logs, targets, n_clean, n_mixed, unclean_weight)

        by_last, by_bias = torch.bmm(by_logits, active.transpose(1, 2)), by_logits.sum(dim=2)
        by_active = torch.bmm(self.last.transpose(1, 2), by_logits)
        by_active *= active.sign_()
        by_shift = by_active.sum(dim=2)
        by_scale = torch.linalg.vecdot(by_active, centred).mul_(inverse)
        # The norm takes from a gradient what would move the mean or the spread of a unit (Ioffe and Szegedy 2015).
        n_samples = len(inputs[0])
        by_active -= (by_shift / n_samples).unsqueeze(2)
        by_active.addcmul_(centred, (by_scale * inverse / n_samples).unsqueeze(2), value=-1)
        by_hidden = torch.empty_like(self.hidden)
        for each, gradient, shown, read in zip(by_hidden, by_active, inputs, self.columns, strict=True):
            torch.mm(gradient, shown[:, read], out=each)
        by_hidden *= steep.unsqueeze(2)
        gradients = by_hidden, by_scale, by_shift, by_last, by_bias
        for parameter, gradient in zip(self.optimizer.param_groups[0]["params"], gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return list(losses)

    @torch.no_grad()
    def give_back(self) -> None:
        """Let the heads and their optimisers have what was learned."""
        for place, student in enumerate(self.students):
            head = _head(student)
            for name, stack in zip(LEARNED, self.optimizer.param_groups[0]["params"], strict=True):
                head.get_parameter(name).copy_(stack[place])
            head.get_buffer(f"{NORM}.running_mean").copy_(self.mean[place])
            head.get_buffer(f"{NORM}.running_var").copy_(self.variance[place])
            head.get_buffer(f"{NORM}.num_batches_tracked").add_(self.n_steps)
            assert isinstance(student.optimizer, Sgd)
            moments = self.optimizer.moments.items()
            student.optimizer.moments = {number: moment[place].clone() for number, moment in moments}

    def _stack(self, name: str) -> Tensor:
        layer, _, own = name.rpartition(".")
        return torch.stack(
            [getattr(_head(each).get_submodule(layer), own).detach() for each in self.students]
        )

    def _first_layer(self, weights: Tensor, views: Sequence[Tensor]) -> Tensor:
        """(2, n_hidden, n): each head's weights with what it reads of its views."""
        hidden = weights.new_empty(len(weights), weights.shape[1], len(views[0]))
        for each, weight, view, read in zip(hidden, weights, views, self.columns, strict=True):
            torch.mm(weight, view[:, read].T, out=each)
        return hidden

    def _logits(self, active: Tensor) -> Tensor:
        """(2, n_clusters, n)."""
        return torch.baddbmm(self.bias.unsqueeze(2), self.last, active)

    def _note(self, mean: Tensor, squares: Tensor, n_samples: int) -> Tensor:
        """Remember mean and spread of the hidden units; returns the inverse of the spread (2, n_hidden)."""
        self.n_steps += 1
        self.mean.lerp_(mean, self.follow)
        self.variance.lerp_(squares / (n_samples - 1), self.follow)
        return (squares / n_samples).add_(self.tiny).rsqrt_()


def _losses(
    logs: Tensor, targets: Tensor, n_clean: int, n_mixed: int, unclean_weight: float
) -> tuple[Tensor, Tensor]:
    """(2, 3) losses as in `Exercise.losses`, and how their sum changes with the logits (2, n_clusters, n).

    With p the softmax and t the target that is ``p - t`` of a cross-entropy, and of squared errors, with u =
    ``2 * (p - t)``, ``p * (u - <p, u>)``; over the number of rows, or of rows and clusters.
    """
    n_samples, n_clusters = logs.shape[2], logs.shape[1]
    clean, unclean, strong = slice(0, n_clean), slice(n_clean, n_mixed), slice(n_mixed, n_samples)
    of_clean, of_strong = 1 / max(n_clean, 1), 1 / max(n_samples - n_mixed, 1)
    of_unclean = 1 / max((n_mixed - n_clean) * n_clusters, 1)
    surprise = (targets * logs).sum(dim=1).neg_()
    probabilities = logs.exp()
    gradient = probabilities - targets
    wrong, sure = gradient[:, :, unclean], probabilities[:, :, unclean]
    losses = torch.stack(
        [
            surprise[:, clean].sum(dim=1) * of_clean,
            wrong.square().sum(dim=(1, 2)) * of_unclean,
            surprise[:, strong].sum(dim=1) * of_strong,
        ],
        dim=1,
    )
    gradient[:, :, clean] *= of_clean
    gradient[:, :, strong] *= of_strong
    wrong *= sure
    wrong -= sure * wrong.sum(dim=1, keepdim=True)
    wrong *= 2 * unclean_weight * of_unclean
    return losses, gradient


def _head(member: Member) -> Head:
    assert isinstance(member.network, Head)
    return member.network


def _rate(member: Member) -> float:
    return float(member.optimizer.param_groups[0]["lr"])


def _strong(exercise: Exercise) -> Tensor:
    assert exercise.strong is not None
    return exercise.strong
