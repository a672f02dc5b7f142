"""The moving parts of a refinement: the two networks in training, what is trusted, and how to stop and go on."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ruc.cluster.clustering import Clustering
from ruc.errors import InputError
from ruc.networks import State, load_optimizer, optimizer_tensors
from ruc.refine.refinement import Epoch
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.runtime import Runtime

__all__ = [
    "Batch",
    "Member",
    "Said",
    "Trust",
    "Turn",
    "batches",
    "learnable_logits",
    "listen",
    "make_members",
    "own_generators",
    "restore",
    "snapshot",
    "surer",
]

NEVER = -1  # no epoch
Asked = tuple[Tensor, Tensor]  # views of a batch, and the rows of it whose logits are wanted


class Batch(NamedTuple):
    """The samples of a batch, at which places in it there are clean and unclean ones, and views of all of them."""

    rows: Tensor
    clean: Tensor
    unclean: Tensor
    labels: Tensor  # (n_clean,) pseudo-labels
    plain: Tensor
    weak_a: Tensor
    weak_b: Tensor


class Said(NamedTuple):
    """What a network says of a batch before it learns from it."""

    plain: Tensor  # (n_rows, n_clusters) logits of the plain views
    weak: tuple[Tensor, Tensor]  # (n_unclean, n_clusters) logits of the two weak views of the unclean


@dataclass(eq=False)
class Member:
    """One of the two networks: its optimiser, and what it said of every sample in its last pass."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    confidence: Tensor  # (n_samples,) largest probability on the plain view; 0 before the first pass
    opinion: Tensor  # (n_samples,) the cluster it belongs to

    def start_pass(self, learning_rate: float) -> None:
        """Make ready to learn."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def note(self, rows: Tensor, logits: Tensor) -> None:
        """Remember what the network says of these rows' plain views."""
        self.confidence[rows], self.opinion[rows] = logits.softmax(dim=1).max(dim=1)


Turn = tuple[Member, Member]  # the student, and its peer


@dataclass
class Trust:
    """The current label of every sample, and since when it is trusted; both networks read and extend it."""

    pseudo_labels: Tensor
    clean_since: Tensor  # 0: from the start; e: the e-th epoch; NEVER: it isn't clean

    @staticmethod
    def at_start(labels: Tensor, is_clean: Tensor) -> "Trust":
        """Trust what was selected, before the first epoch."""
        return Trust(labels.clone(), torch.where(is_clean, 0, NEVER))

    @property
    def is_clean(self) -> Tensor:
        """(n_samples,) bool."""
        return self.clean_since != NEVER

    def promote(self, confidence: Tensor, opinion: Tensor, threshold: float, epoch: int) -> None:
        """Trust the unclean samples that are predicted with more than the threshold, with that label, for good."""
        promoted = ~self.is_clean & (confidence > threshold)
        self.pseudo_labels[promoted] = opinion[promoted]
        self.clean_since[promoted] = epoch + 1


def surer(first: Member, second: Member) -> tuple[Tensor, Tensor]:
    """Confidence and opinion, for each sample, of the network that is surer of it."""
    confidence = torch.maximum(first.confidence, second.confidence)
    return confidence, torch.where(second.confidence > first.confidence, second.opinion, first.opinion)


def make_members(
    space: Space, base: Clustering, settings: RefineSettings, runtime: Runtime
) -> tuple[Member, Member]:
    """Two networks and their optimisers; without co-training twice the same one."""
    members = []
    for network in space.networks(base.n_clusters, runtime):
        optimizer = make_optimizer(network, settings)
        confidence = torch.zeros(space.n_samples, device=runtime.device)
        members.append(
            Member(network, optimizer, confidence, torch.zeros_like(confidence, dtype=torch.int64))
        )
    return members[0], members[1 if settings.co_training else 0]


def make_optimizer(network: nn.Module, settings: RefineSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name; the learning rate is set anew in each epoch."""
    fused = next(network.parameters()).device.type in ("cpu", "cuda")
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


def batches(trust: Trust, space: Space, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
    """All samples in random order, in batches of nearly equal size, none larger than `batch_size`."""
    device = trust.is_clean.device
    is_clean = trust.is_clean.cpu()  # the device is waited for once in a pass, not in each batch
    order = torch.randperm(len(is_clean), generator=generator)
    for drawn in order.tensor_split(-(-len(order) // batch_size)):
        chosen = is_clean[drawn]
        parts = drawn, chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)
        rows, clean, unclean = (part.to(device, non_blocking=True) for part in parts)
        views = space.plain(rows), space.weak(rows, generator), space.weak(rows, generator)
        yield Batch(rows, clean, unclean, trust.pseudo_labels[rows[clean]], *views)


def own_generators(generator: torch.Generator, n_students: int) -> list[torch.Generator]:
    """A source of randomness for each student: those that learn at the same time can't draw from one."""
    if n_students == 1:
        return [generator]
    seeds = torch.randint(2**62, (n_students,), generator=generator).tolist()
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@torch.no_grad()
def listen(batch: Batch, settings: RefineSettings, member: Member) -> Said:
    """Ask a network about a batch."""
    everyone = torch.arange(len(batch.rows), device=batch.rows.device)
    doubtful = [(view, batch.unclean) for view in (batch.weak_a, batch.weak_b)]
    plain, weak_a, weak_b = predict(member.network, [(batch.plain, everyone), *doubtful], settings)
    return Said(plain, (weak_a, weak_b))


def predict(network: nn.Module, asked: Sequence[Asked], settings: RefineSettings) -> list[Tensor]:
    """Logits of the wanted rows of each of several views, by `settings.forwards`."""
    if settings.forwards == "all":
        return [forward(network, views, settings)[wanted] for views, wanted in asked]
    learning = network.training
    network.eval()
    logits = forward(network, torch.cat([views[wanted] for views, wanted in asked]), settings)
    network.train(learning)
    return list(torch.split(logits, [len(wanted) for _, wanted in asked]))


def forward(network: nn.Module, views: Tensor, settings: RefineSettings) -> Tensor:
    """Logits as float32, computed in the precision that the settings name."""
    with torch.autocast(views.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        logits: Tensor = network(views)
    return logits.float()


def learnable_logits(
    network: nn.Module,
    inputs: Tensor,
    rows: Tensor,
    clean: Tensor,
    space: Space,
    settings: RefineSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Logits of the mixed inputs, and of strong views of the clean rows where smoothed labels are learned."""
    if not settings.label_smoothing:
        logits = forward(network, inputs, settings)
        return logits, logits.new_zeros((len(clean), logits.shape[1]))
    if settings.forwards == "all":
        logits = forward(network, inputs, settings)
        return logits, forward(network, space.strong(rows, generator), settings)[clean]
    logits = forward(network, torch.cat([inputs, space.strong(rows[clean], generator)]), settings)
    return logits[: len(inputs)], logits[len(inputs) :]


def snapshot(members: tuple[Member, Member], trust: Trust, history: list[Epoch]) -> State:
    """Everything that the next epoch depends on."""
    weights = {"trust.pseudo_labels": trust.pseudo_labels, "trust.clean_since": trust.clean_since}
    for name, member in zip(("first", "second"), members, strict=True):
        weights |= {f"{name}.confidence": member.confidence, f"{name}.opinion": member.opinion}
        weights |= {f"{name}.network.{key}": value for key, value in member.network.state_dict().items()}
        moments = optimizer_tensors(member.optimizer)
        weights |= {f"{name}.optimizer.{key}": value for key, value in moments.items()}
    copies = {key: value.detach().cpu().clone() for key, value in weights.items()}
    return State({"kind": "refinement", "history": [asdict(epoch) for epoch in history]}, copies)


def restore(state: State, members: tuple[Member, Member], trust: Trust) -> list[Epoch]:
    """Put members and trust back to where the snapshot was taken; returns the history until then."""
    if state.config.get("kind") != "refinement":
        raise InputError(
            f"cannot resume from a state of kind {state.config.get('kind')!r}; expected 'refinement'"
        )
    weights = state.weights
    if len(weights["trust.clean_since"]) != len(trust.clean_since):
        raise InputError(
            f"the state to resume from has {len(weights['trust.clean_since'])} samples, the data has "
            f"{len(trust.clean_since)}; resume with the same data, or start anew"
        )
    trust.pseudo_labels.copy_(weights["trust.pseudo_labels"])
    trust.clean_since.copy_(weights["trust.clean_since"])
    for name, member in zip(("first", "second"), members, strict=True):
        member.confidence.copy_(weights[f"{name}.confidence"])
        member.opinion.copy_(weights[f"{name}.opinion"])
        member.network.load_state_dict(state.under(f"{name}.network"))
        load_optimizer(member.optimizer, state.under(f"{name}.optimizer"))
    return [Epoch(**record) for record in state.config["history"]]
