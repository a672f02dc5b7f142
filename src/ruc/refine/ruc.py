"""RUC: retrain two networks on the labels that can be trusted, and let them correct the rest.

Park et al., *Improving Unsupervised Image Clustering With Robust Learning*, CVPR 2021. The algorithm is
`refine`, `train_pass`, `learn` and `set_exercise`, in the order in which things happen.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ruc.networks import State
from ruc.progress import progress
from ruc.refine.batches import Batch, batches
from ruc.refine.closed_form import has_closed_form, step_of_head
from ruc.refine.exercise import Exercise
from ruc.refine.forwards import BatchLogits, batch_logits, learnable_logits
from ruc.refine.members import Member, Turn, make_members, more_confident, own_generators, passes
from ruc.refine.resume import restore, snapshot
from ruc.refine.select import CleanSelection
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.refine.statistics import settle_statistics
from ruc.refine.targets import guess, mix_up, one_hot, refine_labels, smooth_labels
from ruc.refine.trained import Epoch, Pair, Trained
from ruc.refine.trust import Trust
from ruc.refine.warmup import warm_up_heads
from ruc.runtime import Runtime


def refine(
    space: Space,
    start: CleanSelection,
    settings: RefineSettings,
    runtime: Runtime,
    on_epoch: Callable[[Epoch, Callable[[], State]], None] | None = None,
    resume: State | None = None,
    share: Callable[[nn.Module], nn.Module] | None = None,
) -> Trained:
    """Retrain two networks on the labels that are trusted, and let them relabel the rest.

    Parameters
    ----------
    space
        Supplies the two networks and the views of the samples.
    start
        The labels, and which of them are trusted, from `select_clean`.
    settings
        Every constant, filled with the space's defaults.
    on_epoch
        Called after each epoch with its record and a function that returns the state to resume from.
    resume
        Such a state: the run goes on where it was taken and ends as if it hadn't been interrupted.
    share
        Makes of a network one of the same weights that is asked and learns in its place, see `ruc.refine.processes`.
    """
    trust = Trust.at_start(
        torch.as_tensor(start.labels, device=runtime.device),
        torch.as_tensor(start.is_clean, device=runtime.device),
    )
    first, second = members = make_members(space, start.n_clusters, settings, runtime)
    networks = (first.network, second.network)
    if settings.head_warmup:
        warm_up_heads(networks, space, trust, runtime)
    history = [] if resume is None else restore(resume, members, trust)
    if share is not None:
        for member in dict.fromkeys(members):
            member.learner = share(member.network)
    with progress("refining", settings.length - len(history), "epochs", runtime.verbose) as advance:
        for epoch in range(len(history), settings.length):
            started, clean_before = time.monotonic(), int(trust.is_clean.sum())
            generator = runtime.generator(f"refine/epoch {epoch}")
            losses = [
                train_pass(turns, trust, space, settings, epoch, runtime, generator)
                for turns in passes(first, second, settings)
            ]
            if settings.promotion and settings.promotion_by == "confident":
                trust.promote(*more_confident(first, second), settings.promotion_threshold_at(epoch), epoch)
            record = _record(epoch, torch.stack(losses), clean_before, trust, members, settings, started)
            history.append(record)
            if on_epoch is not None:
                on_epoch(record, lambda: snapshot(members, trust, history))
            advance(1)
    if settings.forwards == "needed":
        settle_statistics(networks, space, settings.rows_per_batch, runtime)
    return Trained(Pair(*networks), trust.clean_since.cpu().numpy(), tuple(history))


def train_pass(
    turns: Sequence[Turn],
    trust: Trust,
    space: Space,
    settings: RefineSettings,
    epoch: int,
    runtime: Runtime,
    generator: torch.Generator,
) -> Tensor:
    """Show the student of each turn every sample of an epoch once; returns the mean of each of the three losses."""
    members = list(dict.fromkeys(member for turn in turns for member in turn))
    peer_weights = [_spread(peer.confidence) for _, peer in turns]
    generators = own_generators(generator, len(turns))
    for student, _ in turns:
        student.start_pass(settings.learning_rate_at(epoch))
    totals: list[Tensor] = []
    with runtime.side_by_side(len(turns)) as run:
        for batch in batches(trust, space, settings.rows_per_batch, generator, settings.epoch_size):
            asked = run(partial(batch_logits, batch, settings), [member.learner for member in members])
            lesson = Lesson(batch, dict(zip(members, asked, strict=True)), space, settings, epoch)
            totals += run(partial(learn, lesson), turns, peer_weights, generators)
    for student, _ in turns:
        student.end_pass()
        if settings.promotion and settings.promotion_by == "each":
            threshold = settings.promotion_threshold_at(epoch)
            trust.promote(student.confidence, student.opinion, threshold, epoch)
    return torch.stack(totals).mean(dim=0)


@dataclass(frozen=True)
class Lesson:
    """What is learned from one batch: its views, and what each network says of them."""

    batch: Batch
    answers: Mapping[Member, BatchLogits]
    space: Space
    settings: RefineSettings
    epoch: int


def learn(lesson: Lesson, turn: Turn, peer_weight: Tensor, generator: torch.Generator) -> Tensor:
    """One step of the student; returns the three losses."""
    (student, _), settings, batch = turn, lesson.settings, lesson.batch
    student.note(batch.rows, lesson.answers[student].plain)
    exercise = set_exercise(lesson, turn, peer_weight, generator)
    unclean_weight = settings.unclean_weight_at(lesson.epoch)
    if has_closed_form(student, settings):
        return step_of_head(student, exercise, unclean_weight)
    losses = exercise.losses(*learnable_logits(student.learner, exercise, batch.clean, settings))
    clean_loss, unclean_loss, smoothing_loss = losses
    loss = clean_loss + unclean_weight * unclean_loss + smoothing_loss
    student.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    student.optimizer.step()
    return torch.stack(losses).detach()


def set_exercise(lesson: Lesson, turn: Turn, peer_weight: Tensor, generator: torch.Generator) -> Exercise:
    """What the student of this turn is shown of a batch, and what it is to answer (section 3.2 of the paper)."""
    settings, (student, peer) = lesson.settings, turn
    rows, clean, unclean, labels, _, weak_a, weak_b = lesson.batch
    own, other = lesson.answers[student], lesson.answers[peer]
    n_clusters = own.plain.shape[1]

    refined, guessed = one_hot(labels, n_clusters), guess(own.weak, settings.sharpening_temperature)
    if settings.co_training:
        weight = peer_weight[rows[clean]]
        refined = refine_labels(labels, other.plain[clean], weight, settings.sharpening_temperature)
        guessed = guess([*own.weak, *other.weak], settings.sharpening_temperature)

    seen = [weak_a, weak_b][: settings.clean_views]
    of_clean = [view.index_select(0, clean) for view in seen]
    of_unclean = [view.index_select(0, unclean) for view in (weak_a, weak_b)]
    inputs, targets = mix_up(
        torch.cat([*of_clean, *of_unclean]),
        torch.cat([refined] * len(seen) + [guessed, guessed]),
        settings.mixup_alpha,
        generator,
    )
    strong = None
    if settings.label_smoothing:
        strong = lesson.space.strong(rows if settings.forwards == "all" else rows[clean], generator)
    epsilon = (
        float(torch.rand((), generator=generator)) if settings.epsilon == "uniform" else settings.epsilon
    )
    smoothed = smooth_labels(labels, n_clusters, epsilon)
    return Exercise(inputs, targets, len(seen) * len(clean), strong, smoothed)


def _spread(confidence: Tensor) -> Tensor:
    """Min-max normalised over the samples that were asked about; 0 of others, and where all are equal."""
    asked = confidence[confidence > 0]
    if not len(asked):
        return torch.zeros_like(confidence)
    lowest, highest = asked.min(), asked.max()
    spread = (confidence - lowest) / (highest - lowest).clamp_min(torch.finfo(confidence.dtype).tiny)
    return spread.clamp_min(0)


def _record(
    epoch: int,
    losses: Tensor,
    clean_before: int,
    trust: Trust,
    members: tuple[Member, Member],
    settings: RefineSettings,
    started: float,
) -> Epoch:
    clean_loss, unclean_loss, smoothing_loss = losses.mean(dim=0).tolist()
    n_clean = int(trust.is_clean.sum())
    first, second = members
    asked = (first.confidence > 0) & (second.confidence > 0)
    return Epoch(
        epoch=epoch,
        clean_loss=clean_loss,
        unclean_loss=unclean_loss,
        smoothing_loss=smoothing_loss,
        clean_share=n_clean / len(trust.is_clean),
        n_promoted=n_clean - clean_before,
        learning_rate=settings.learning_rate_at(epoch),
        promotion_threshold=settings.promotion_threshold_at(epoch),
        agreement=float((first.opinion == second.opinion)[asked].float().mean()),
        seconds=time.monotonic() - started,
    )
