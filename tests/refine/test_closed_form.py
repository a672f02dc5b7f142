"""Steps of a head in closed form against autograd's."""

import copy
from dataclasses import replace

import pytest
import torch

from ruc.networks import Sgd, seeded_init
from ruc.refine.closed_form import has_closed_form, step_of_head
from ruc.refine.exercise import Exercise
from ruc.refine.members import Member
from ruc.refine.networks import Head
from ruc.refine.settings import RefineSettings

pytestmark = pytest.mark.learns

N_FEATURES, N_CLUSTERS = 12, 4


def member_of(head: Head) -> Member:
    return Member(head, head, Sgd(head.parameters(), 0.05, 0.9, 5e-4), torch.zeros(1), torch.zeros(1).long())


def make_exercise(n_clean: int, n_unclean: int, n_strong: int, seed: int) -> Exercise:
    draw = torch.Generator().manual_seed(seed)
    n_mixed = n_clean + n_unclean

    def views(n: int) -> torch.Tensor:
        return torch.randn(n, N_FEATURES, generator=draw)

    def answers(n: int) -> torch.Tensor:
        return torch.rand(n, N_CLUSTERS, generator=draw).softmax(dim=1)

    return Exercise(views(n_mixed), answers(n_mixed), n_clean, views(n_strong), answers(n_strong))


def step_by_autograd(member: Member, exercise: Exercise, unclean_weight: float) -> torch.Tensor:
    logits = member.network(torch.cat([exercise.inputs, exercise.strong]))
    n_mixed = len(exercise.inputs)
    losses = exercise.losses(logits[:n_mixed], logits[n_mixed:])
    member.optimizer.zero_grad()
    (losses[0] + unclean_weight * losses[1] + losses[2]).backward()
    member.optimizer.step()
    return torch.stack(losses).detach()


@pytest.mark.parametrize("sizes", [(14, 6, 7), (14, 0, 7), (0, 6, 0), (2, 2, 1)])
@pytest.mark.parametrize("columns", [(0, N_FEATURES), (5, 11)])
def test_three_steps_are_those_of_autograd(sizes, columns) -> None:
    with seeded_init(1):
        head = Head(N_FEATURES, N_CLUSTERS, 16, *columns).train()
    member, twin = member_of(head), member_of(copy.deepcopy(head))
    before = copy.deepcopy(head.state_dict())
    for step in range(3):  # from the second on there is momentum
        exercise = make_exercise(*sizes, seed=step)
        losses = step_of_head(member, exercise, 25.0)
        torch.testing.assert_close(losses, step_by_autograd(twin, exercise, 25.0), rtol=1e-4, atol=1e-6)
        for name, value in head.state_dict().items():
            assert not torch.equal(value, before[name]), name
            torch.testing.assert_close(value, twin.network.state_dict()[name], rtol=1e-3, atol=1e-5)


def test_what_learns_in_another_way_has_none() -> None:
    with seeded_init(1):
        head = Head(N_FEATURES, N_CLUSTERS, 16)
    settings = RefineSettings()
    assert has_closed_form(member_of(head), settings)
    assert not has_closed_form(member_of(head), replace(settings, label_smoothing=False))
    assert not has_closed_form(member_of(head), replace(settings, forwards="all"))
    by_adam = member_of(head)
    by_adam.optimizer = torch.optim.AdamW(head.parameters())
    assert not has_closed_form(by_adam, settings)
    shared = member_of(head)
    shared.learner = torch.nn.Sequential(head)  # what several processes share
    assert not has_closed_form(shared, settings)
