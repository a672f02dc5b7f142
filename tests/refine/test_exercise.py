"""The three losses of an exercise against sums sample by sample."""

import math

import pytest
import torch

from ruc.refine.exercise import Exercise


def test_losses_are_means_over_their_own_rows() -> None:
    draw = torch.Generator().manual_seed(0)
    targets, smoothed = (torch.rand(n, 3, generator=draw).softmax(dim=1) for n in (7, 2))
    logits, strong = (torch.randn(n, 3, generator=draw) for n in (7, 2))
    exercise = Exercise(torch.zeros(7, 1), targets, 4, torch.zeros(2, 1), smoothed)

    def said(row: torch.Tensor) -> list[float]:
        powers = [math.exp(value) for value in row.tolist()]
        return [power / sum(powers) for power in powers]

    def surprise(rows: torch.Tensor, wanted: torch.Tensor) -> float:
        each = [
            -sum(t * math.log(p) for t, p in zip(target.tolist(), said(row), strict=True))
            for row, target in zip(rows, wanted, strict=True)
        ]
        return sum(each) / len(each)

    wrong = [
        (p - t) ** 2
        for row, target in zip(logits[4:], targets[4:], strict=True)
        for p, t in zip(said(row), target.tolist(), strict=True)
    ]
    expected = surprise(logits[:4], targets[:4]), sum(wrong) / len(wrong), surprise(strong, smoothed)
    assert [float(loss) for loss in exercise.losses(logits, strong)] == pytest.approx(expected, rel=1e-4)
