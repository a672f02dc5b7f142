"""Learning against a slow copy: the loss against slow loops, resuming, and a small training that has to learn."""

import numpy as np
import pytest
import torch
from stripes import stripes
from torch import nn

from ruc.embed.momentum import MomentumSettings, agreement_loss, fit_momentum, follow, inertia
from ruc.errors import InputError
from ruc.images.views import ViewPolicy
from ruc.networks import NetworkSettings, State
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu")
QUICK = MomentumSettings(
    policy=ViewPolicy(area=(0.6, 1.0), shift=0.05, brightness=0.3),
    network=NetworkSettings(width=8, blocks=(1, 1), stem="full"),
    n_epochs=6,
    batch_size=20,
    inertia=0.9,
    n_hidden=32,
    n_projected=16,
)


def unit(*shape: int) -> torch.Tensor:
    rows = torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)
    return rows / rows.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("n_views", [2, 3])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_loss_equals_slow_loops(n_views, share) -> None:
    targets, near = unit(n_views, 5, 4), unit(5, 4)
    predicted = 3 * unit(n_views, 5, 4).flip(1)
    terms = []
    for view in range(n_views):
        for image in range(5):
            mine = predicted[view, image] / predicted[view, image].norm()
            far = [2 - 2 * float(mine @ targets[o, image]) for o in range(n_views) if o != view]
            # A dot product with a mean is the mean of the dot products.
            terms.append((1 - share) * sum(far) / len(far) + share * (2 - 2 * float(mine @ near[image])))
    found = agreement_loss(predicted, targets, near if share else None, share)
    assert found.item() == pytest.approx(sum(terms) / len(terms))


def test_the_teacher_follows_ever_more_slowly() -> None:
    teacher, student = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.75 * teacher.weight.detach() + 0.25 * student.weight.detach()
    follow(teacher, student, 0.75)
    torch.testing.assert_close(teacher.weight.detach(), expected)
    assert inertia(0.9, 0.0) == pytest.approx(0.9)
    assert inertia(0.9, 0.5) == pytest.approx(0.95)
    assert inertia(0.9, 1.0) == pytest.approx(1.0)


def test_learns_repeats_with_the_seed_and_resumes_to_the_same_weights() -> None:
    pixels, kinds = stripes(120, 2)
    states: list[State] = []
    whole = fit_momentum(pixels, CPU, QUICK, lambda epoch, loss, state: states.append(state()))
    features = whole.transform(pixels, CPU)
    similarity = features @ features.T
    np.fill_diagonal(similarity, -1)
    assert (kinds[similarity.argmax(axis=1)] == kinds).mean() > 0.9
    resumed = fit_momentum(pixels, CPU, QUICK, resume=states[2])
    np.testing.assert_array_equal(resumed.transform(pixels, CPU), features)


def test_a_foreign_state_is_refused() -> None:
    pixels, _ = stripes(40, 2)
    with pytest.raises(InputError, match="kind 'refinement' with 0 samples"):
        fit_momentum(pixels, CPU, QUICK, resume=State({"kind": "refinement"}, {}))


def test_neighbours_count_in_the_last_epochs_alone(monkeypatch) -> None:
    pixels, _ = stripes(40, 2)
    shares = []
    original = agreement_loss

    def spy(predicted, targets, near, share):
        shares.append(share if near is not None else 0.0)
        return original(predicted, targets, near, share)

    monkeypatch.setattr("ruc.embed.momentum.agreement_loss", spy)
    fit_momentum(pixels, CPU, QUICK)
    assert shares == [0.0] * 8 + [0.5] * 4  # two batches an epoch; 40% of six epochs


def test_memory_holds_unit_rows_of_every_image() -> None:
    pixels, _ = stripes(40, 2)
    states: list[State] = []
    fit_momentum(pixels, CPU, QUICK, lambda epoch, loss, state: states.append(state()))
    norms = states[0].weights["network.memory"].norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(40))
