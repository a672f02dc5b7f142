"""The two networks in training, and who learns with whom as the peer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ruc.networks import Optimizer, Sgd, can_fuse, set_learning_rate
from ruc.refine.networks import Head
from ruc.refine.probabilities import softmax
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.runtime import Runtime


@dataclass(eq=False)
class Member:
    """One of the two networks: its optimiser, and what it said of every sample in its last pass.

    `learner` is what is asked and learns: the network itself, or what several processes share of it.
    """

    network: nn.Module
    learner: nn.Module
    optimizer: Optimizer
    confidence: Tensor  # (n_samples,) largest probability on the plain view; 0 before the first pass
    opinion: Tensor  # (n_samples,) the cluster it belongs to

    def start_pass(self, learning_rate: float) -> None:
        """Make ready to learn."""
        self.learner.train()
        set_learning_rate(self.optimizer, learning_rate)

    def end_pass(self) -> None:
        """Make ready to be asked."""
        self.learner.eval()
        self.network.eval()

    def note(self, rows: Tensor, logits: Tensor) -> None:
        """Remember what the network says of these rows' plain views."""
        self.confidence[rows], self.opinion[rows] = softmax(logits).max(dim=1)


Turn = tuple[Member, Member]  # the student, and its peer


def make_members(
    space: Space, n_clusters: int, settings: RefineSettings, runtime: Runtime
) -> tuple[Member, Member]:
    """Two networks and their optimisers; without co-training twice the same one."""
    members = []
    for network in space.networks(n_clusters, runtime):
        optimizer = make_optimizer(network, settings)
        confidence = torch.zeros(space.n_samples, device=runtime.device)
        members.append(
            Member(network, network, optimizer, confidence, torch.zeros_like(confidence, dtype=torch.int64))
        )
    return members[0], members[1 if settings.co_training else 0]


def passes(first: Member, second: Member, settings: RefineSettings) -> list[list[Turn]]:
    """Who learns in each pass over the data, and with whom as the peer."""
    if not settings.co_training:
        return [[(first, first)]]
    if settings.turns == "pass":
        return [[(first, second)], [(second, first)]]
    return [[(first, second), (second, first)]]


def more_confident(first: Member, second: Member) -> tuple[Tensor, Tensor]:
    """Confidence and opinion, for each sample, of the network that is more confident of it."""
    confidence = torch.maximum(first.confidence, second.confidence)
    return confidence, torch.where(second.confidence > first.confidence, second.opinion, first.opinion)


def own_generators(generator: torch.Generator, n_students: int) -> list[torch.Generator]:
    """A source of randomness for each student: those that learn at the same time can't draw from one."""
    if n_students == 1:
        return [generator]
    seeds = torch.randint(2**62, (n_students,), generator=generator).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def make_optimizer(network: nn.Module, settings: RefineSettings) -> Optimizer:
    """The optimiser that the settings name; the learning rate is set anew in each epoch."""
    if settings.optimizer == "sgd" and isinstance(network, Head):
        rate = settings.learning_rate_at(0)
        return Sgd(network.parameters(), rate, settings.momentum, settings.weight_decay)
    fused = can_fuse(next(network.parameters()).device)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay, fused=fused)
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate_at(0),
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
        fused=fused,
    )
