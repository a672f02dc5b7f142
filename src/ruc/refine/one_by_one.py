"""Networks of any kind that are asked and learn one by one, or each on its share of the cores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ruc.refine.batches import Batch
from ruc.refine.closed_form import has_closed_form, step_of_head
from ruc.refine.exercise import Exercise
from ruc.refine.forwards import BatchLogits, batch_logits, learnable_logits
from ruc.refine.members import Member, Turn
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime


class OneByOne:
    """The networks of a pass.

    Parameters
    ----------
    turns
        Who learns, and with whom as the peer.
    run
        A `map`, see `Runtime.side_by_side`.
    """

    def __init__(
        self, turns: Sequence[Turn], settings: RefineSettings, run: Callable[..., Iterator[Any]]
    ) -> None:
        self.turns, self.settings, self.run = turns, settings, run

    def ask(self, batch: Batch) -> Mapping[Member, BatchLogits]:
        """What students and peers say of a batch."""
        members = list(dict.fromkeys(member for turn in self.turns for member in turn))
        answers = self.run(
            partial(batch_logits, batch, self.settings), [member.learner for member in members]
        )
        return dict(zip(members, answers, strict=True))

    def learn(
        self, clean: Tensor, exercises: Sequence[Callable[[], Exercise]], unclean_weight: float
    ) -> list[Tensor]:
        """One step of every student on its exercise; returns the three losses of each.

        `clean`: the places of the clean in the batch.
        """
        return list(self.run(partial(self._learn, clean, unclean_weight), self.turns, exercises))

    def _learn(
        self, clean: Tensor, unclean_weight: float, turn: Turn, set_exercise: Callable[[], Exercise]
    ) -> Tensor:
        (student, _), exercise = turn, set_exercise()
        if has_closed_form(student, exercise) and self.settings.forwards == "needed":
            return step_of_head(student, exercise, unclean_weight)
        losses = exercise.losses(*learnable_logits(student.learner, exercise, clean, self.settings))
        clean_loss, unclean_loss, smoothing_loss = losses
        loss = clean_loss + unclean_weight * unclean_loss + smoothing_loss
        student.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        student.optimizer.step()
        return torch.stack(losses).detach()


@contextmanager
def one_by_one(turns: Sequence[Turn], settings: RefineSettings, runtime: Runtime) -> Iterator[OneByOne]:
    """The networks of a pass, as long as it takes."""
    with runtime.side_by_side(len(turns)) as run:
        yield OneByOne(turns, settings, run)
