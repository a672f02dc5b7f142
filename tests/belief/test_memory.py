"""Remembered samples: answered up to rounding, and no others; images kept as sketches."""

import pytest
import torch

from ruc.belief.memory import Memory, sketch
from ruc.belief.predictor import Predictor
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, seeded_init
from ruc.refine.trained import Pair


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 20, 20, generator=torch.Generator().manual_seed(seed))


def test_small_inputs_are_their_own_sketch_and_large_ones_have_256_values() -> None:
    small = torch.rand(4, 2, 8, 16)
    assert torch.equal(sketch(small), small.flatten(1))
    assert sketch(images(4)).shape == (4, 256)
    assert torch.equal(sketch(sketch(images(4))), sketch(images(4)))


def test_a_sketch_by_hand(monkeypatch) -> None:
    monkeypatch.setattr("ruc.belief.memory.SKETCHED", 2)
    values = torch.tensor([[1.0, 10.0, 100.0, 1000.0, 10000.0]])
    first, second = sketch(values)[0].tolist()
    assert abs(first) in {abs(a + 100 * b + 10000 * c) for a in (1, -1) for b in (1, -1) for c in (1, -1)}
    assert abs(second) in {990.0, 1010.0}


def test_distances_of_sketches_are_about_those_of_images() -> None:
    a, b = images(200), images(200, seed=1)
    ratio = (sketch(a) - sketch(b)).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
    assert abs(float(ratio.mean()) - 1) < 0.02
    assert float(ratio.min()) > 0.8 and float(ratio.max()) < 1.2


@pytest.mark.parametrize("flat", [False, True])
def test_the_remembered_and_they_alone_are_answered_from_memory(flat) -> None:
    known, others = images(30), images(50, seed=1)
    if flat:
        known, others = known.flatten(1)[:, :40], others.flatten(1)[:, :40]
    answers = torch.eye(30)
    memory = Memory(sketch(known), answers)
    rounded = known + 1e-6 * torch.randn(known.shape, generator=torch.Generator().manual_seed(2))
    asked = torch.cat([others, rounded.flip(0)])
    logits = torch.full((80, 30), 0.5)
    seen = memory.answer(asked, logits)
    assert torch.equal(seen[:50], logits[:50])
    assert torch.equal(seen[50:], answers.flip(0))
    # Another image is another image, even one that differs in a single place.
    touched = known.clone().flatten(1)
    touched[:, 7] += 0.5
    assert torch.equal(memory.answer(touched.view_as(known), logits[:30]), logits[:30])


def test_a_predictor_from_a_file_with_whole_views_answers_alike() -> None:
    with seeded_init(0):
        networks = [
            ImageNetwork(ResNet(NetworkSettings(width=8, blocks=(1,), stem="half")), 2).eval() for _ in "ab"
        ]
    known = images(5)
    answers = torch.tensor([[9.0, -9.0]]).repeat(5, 1)
    predictor = Predictor(Pair(*networks), Memory(sketch(known), answers))
    state = predictor.state()
    assert state.weights["memory.keys"].shape == (5, 256)
    state.weights["memory.keys"] = known.flatten(1)
    again = Predictor.from_state(state, torch.device("cpu"))
    assert torch.equal(again.logits(known), answers)
    other = images(5, seed=1)
    assert torch.equal(again.logits(other), predictor.logits(other))
