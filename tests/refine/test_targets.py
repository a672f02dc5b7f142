import numpy as np
import pytest
import torch

from ruc.refine.losses import soft_cross_entropy, squared_error
from ruc.refine.targets import draw_share, guess, mix_up, one_hot, refine_labels, sharpen, smooth_labels


def softmax(row):
    powers = [np.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


def sharpen_slowly(row, temperature):
    powers = [value ** (1 / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def random_probabilities(generator, n, k):
    return generator.dirichlet(np.ones(k), n).astype(np.float32)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_sharpen_by_hand():
    # squares of .6 and .4 are .36 and .16
    assert sharpen(torch.tensor([[0.6, 0.4]]), 0.5)[0].tolist() == pytest.approx([0.36 / 0.52, 0.16 / 0.52])


def test_refine_labels_by_hand():
    # weight .5, peer says (.5, .5): (.75, .25) before sharpening; squares .5625 and .0625 -> .9 and .1
    refined = refine_labels(torch.tensor([0]), torch.zeros(1, 2), torch.tensor([0.5]), 0.5)
    assert refined[0].tolist() == pytest.approx([0.9, 0.1])


def test_refine_labels_without_peer_weight_is_the_label():
    refined = refine_labels(torch.tensor([2, 0]), torch.randn(2, 3), torch.zeros(2), 0.5)
    assert refined.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_smooth_labels_by_hand():
    smooth = smooth_labels(torch.tensor([1]), 4, 0.5)
    assert smooth[0].tolist() == pytest.approx([0.125, 0.625, 0.125, 0.125])


def test_losses_by_hand():
    # softmax of equal logits is .5 each: cross-entropy log 2 whatever the target, squared error of (1, 0) is .25
    logits = torch.zeros(1, 2)
    target = torch.tensor([[1.0, 0.0]])
    assert soft_cross_entropy(logits, target).item() == pytest.approx(np.log(2))
    assert squared_error(logits, target).item() == pytest.approx(0.25)


def test_losses_of_nothing_are_zero():
    nothing = torch.zeros(0, 3, requires_grad=True)
    loss = soft_cross_entropy(nothing, nothing.detach()) + squared_error(nothing, nothing.detach())
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 0.1])
def test_guess_against_loops(generator, temperature):
    predictions = [generator.standard_normal((5, 4)).astype(np.float32) for _ in range(4)]
    expected = []
    for row in range(5):
        mean = [np.mean([softmax(p[row])[k] for p in predictions]) for k in range(4)]
        expected.append(sharpen_slowly(mean, temperature))
    actual = guess([torch.from_numpy(p) for p in predictions], temperature)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=2e-4, atol=1e-6)


def test_refine_labels_against_loops(generator):
    labels = generator.integers(0, 4, 6)
    logits = generator.standard_normal((6, 4)).astype(np.float32)
    weight = generator.random(6).astype(np.float32)
    expected = []
    for row in range(6):
        peer = softmax(logits[row])
        mixed = [(1 - weight[row]) * (k == labels[row]) + weight[row] * peer[k] for k in range(4)]
        expected.append(sharpen_slowly(mixed, 0.5))
    actual = refine_labels(torch.from_numpy(labels), torch.from_numpy(logits), torch.from_numpy(weight), 0.5)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_losses_against_loops(generator):
    logits = generator.standard_normal((7, 3)).astype(np.float32)
    targets = random_probabilities(generator, 7, 3)
    cross_entropy = np.mean(
        [-sum(targets[i][k] * np.log(softmax(logits[i])[k]) for k in range(3)) for i in range(7)]
    )
    error = np.mean([(softmax(logits[i])[k] - targets[i][k]) ** 2 for i in range(7) for k in range(3)])
    given = torch.from_numpy(logits), torch.from_numpy(targets)
    assert soft_cross_entropy(*given).item() == pytest.approx(cross_entropy, rel=1e-5)
    assert squared_error(*given).item() == pytest.approx(error, rel=1e-5)


def test_mix_up_against_loops(generator):
    inputs = generator.standard_normal((6, 2, 3)).astype(np.float32)
    targets = random_probabilities(generator, 6, 4)
    mixed = mix_up(torch.from_numpy(inputs), torch.from_numpy(targets), 4.0, torch.Generator().manual_seed(1))
    same = torch.Generator().manual_seed(1)
    share, partner = draw_share(4.0, same), torch.randperm(6, generator=same).tolist()
    assert 0.5 <= share <= 1
    for row in range(6):
        expected = share * inputs[row] + (1 - share) * inputs[partner[row]]
        np.testing.assert_allclose(mixed[0][row].numpy(), expected, atol=1e-6)
        expected = share * targets[row] + (1 - share) * targets[partner[row]]
        np.testing.assert_allclose(mixed[1][row].numpy(), expected, atol=1e-6)


def test_shares_are_the_larger_half_of_a_beta_distribution():
    generator = torch.Generator().manual_seed(0)
    shares = np.array([draw_share(4.0, generator) for _ in range(4000)])
    oracle = np.random.default_rng(1).beta(4, 4, 4000)
    assert shares.min() >= 0.5
    assert shares.mean() == pytest.approx(np.maximum(oracle, 1 - oracle).mean(), abs=0.005)


def test_one_hot():
    assert one_hot(torch.tensor([1]), 3).tolist() == [[0, 1, 0]]
