"""SCAN's heads: the loss and its closed-form gradient, and which heads learn to the end."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from ruc.cluster.scan import ENTROPY_WEIGHT, N_LEARNING, self_label
from ruc.cluster.scan_heads import Heads, gradient_of_logits, scan_loss, train_heads
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def test_scan_loss_equals_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.rand(2, 5, 3, generator=generator).softmax(dim=2)
    other = torch.rand(2, 5, 3, generator=generator).softmax(dim=2)
    for head, value in enumerate(scan_loss(one, other, 5.0)):
        consistency = 0.0
        for sample in range(5):
            consistency -= (
                np.log(sum(float(one[head, sample, k] * other[head, sample, k]) for k in range(3))) / 5
            )
        entropy = 0.0
        for k in range(3):
            mean = sum(float(one[head, sample, k]) for sample in range(5)) / 5
            entropy -= mean * np.log(mean)
        assert float(value) == pytest.approx(consistency - 5.0 * entropy, rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_gradient_is_what_autograd_finds(scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = scale * torch.randn(4, 3, 16, generator=generator, dtype=torch.float64)
    probabilities = logits.requires_grad_().softmax(dim=0)
    own, others = (each.permute(1, 2, 0) for each in probabilities.split(8, dim=2))
    scan_loss(own, others, 5.0).sum().backward()
    found = gradient_of_logits(logits.detach().softmax(dim=0), 5.0)
    agreement = (own * others).detach().sum(dim=2).repeat(1, 2)
    told = agreement > 1e-8  # below, the loss is cut off, and the gradient goes on
    assert told.sum() >= 12
    # The entropy's logarithms are cut off too where hardly anything is in a cluster.
    torch.testing.assert_close(found[:, told], logits.grad[:, told], rtol=1e-9, atol=1e-9)


def blobs(spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(0)
    centres = random.normal(size=(5, 16))
    rows = (centres.repeat(60, axis=0) + spread * random.normal(size=(300, 16))).astype(np.float32)
    near = torch.from_numpy(nearest_neighbors(rows, 20, RUNTIME).indices)
    return torch.from_numpy((rows - rows.mean(axis=0)) / rows.std()), near


@pytest.mark.learns
def test_the_best_heads_learn_to_the_end() -> None:
    inputs, near = blobs(0.8)
    all_of_them, all_losses = train_heads(inputs, near, 5, RUNTIME, ENTROPY_WEIGHT)
    finalists, losses = train_heads(inputs, near, 5, RUNTIME, ENTROPY_WEIGHT, N_LEARNING)
    assert len(all_of_them.weights) == len(all_losses) == 10
    assert len(finalists.weights) == len(finalists.biases) == len(losses) == N_LEARNING[-1]
    assert losses.min() < all_losses.min() + 0.01
    assert losses.mean() < all_losses.mean() + 0.01  # the worse ones were left out
    both = [
        heads.logits(inputs)[int(each.argmin())].argmax(dim=1)
        for heads, each in ((all_of_them, all_losses), (finalists, losses))
    ]
    assert adjusted_rand_score(*both) > 0.95


@pytest.mark.learns
def test_self_labelling_makes_a_head_surer_and_leaves_the_one_given_alone() -> None:
    inputs, _ = blobs(0.2)
    centres = inputs.view(5, 60, -1).mean(dim=1)  # of each blob: a head that is right, and nowhere very sure
    head = Heads(0.7 * centres.T[None], -0.35 * centres.square().sum(dim=1)[None, None])
    before = head.weights.clone()
    after = self_label(head, inputs, RUNTIME)
    assert torch.equal(head.weights, before) and not torch.equal(after.weights, before)
    sure = [each.logits(inputs)[0].softmax(dim=1).max(dim=1).values.mean() for each in (head, after)]
    assert 0.8 < sure[0] < sure[1]
