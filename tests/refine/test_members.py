"""Who is trusted, who is surer, and which rows make a batch."""

import numpy as np
import torch

from ruc.embed.neighbors import Neighbors
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine.members import Member, Trust, batches, forward, own_generators, predict, surer
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.runtime import Runtime


def test_promotion_by_hand() -> None:
    trust = Trust.at_start(torch.tensor([0, 1, 2, 0]), torch.tensor([True, False, False, False]))
    confidence, opinion = torch.tensor([0.999, 0.99, 0.991, 0.5]), torch.tensor([2, 2, 1, 2])
    trust.promote(confidence, opinion, 0.99, epoch=4)
    # The clean one keeps its label whatever is said of it, and the threshold itself is not enough.
    assert trust.pseudo_labels.tolist() == [0, 1, 1, 0]
    assert trust.is_clean.tolist() == [True, False, True, False]
    trust.promote(torch.zeros(4), opinion, 0.99, epoch=5)
    assert trust.is_clean.tolist() == [True, False, True, False]  # for good
    assert trust.clean_since.tolist() == [0, -1, 5, -1]


def test_the_surer_network_decides() -> None:
    def member(confidence: list[float], opinion: list[int]) -> Member:
        network = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        return Member(network, optimizer, torch.tensor(confidence), torch.tensor(opinion))

    confidence, opinion = surer(member([0.9, 0.2, 0.5], [0, 0, 0]), member([0.1, 0.8, 0.5], [1, 1, 1]))
    torch.testing.assert_close(confidence, torch.tensor([0.9, 0.8, 0.5]))
    assert opinion.tolist() == [0, 1, 0]


def test_every_row_is_in_one_batch_and_none_is_too_large() -> None:
    is_clean = torch.arange(103) % 3 > 0
    trust = Trust.at_start(torch.arange(103) % 5, is_clean)
    space = FeatureSpace(
        np.eye(103, dtype=np.float32),
        Neighbors(np.zeros((103, 1), np.int64), np.ones((103, 1), np.float32)),
        Runtime("cpu"),
    )
    parts = list(batches(trust, space, 25, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == list(range(103))
    assert [len(part.rows) for part in parts] == [21, 21, 21, 20, 20]
    for part in parts:
        assert torch.equal(is_clean[part.rows].nonzero().squeeze(1), part.clean)
        assert torch.equal((~is_clean[part.rows]).nonzero().squeeze(1), part.unclean)
        assert torch.equal(part.labels, part.rows[part.clean] % 5)
        assert torch.equal(part.plain.argmax(dim=1), part.rows)
        assert not torch.equal(part.weak_a, part.weak_b)


def test_a_single_student_draws_from_the_pass_and_two_draw_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    assert own_generators(generator, 1) == [generator]
    one, other = ([torch.rand(3, generator=each) for each in own_generators(generator, 2)] for _ in range(2))
    assert not torch.equal(*one) and not torch.equal(one[0], other[0])
    again = own_generators(torch.Generator().manual_seed(0), 2)
    assert torch.equal(torch.rand(3, generator=again[0]), one[0])


def test_mixed_precision_is_near_and_leaves_weights_and_statistics_in_single() -> None:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half"))
    views = torch.rand(16, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    exact = forward(network, views, RefineSettings(precision="float32"))
    mixed = forward(network, views, RefineSettings(precision="bfloat16"))
    assert mixed.dtype == torch.float32
    assert not torch.equal(exact, mixed)
    torch.testing.assert_close(exact, mixed, rtol=0.05, atol=0.05)
    mixed.square().sum().backward()
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32, torch.int64}
    assert {parameter.grad.dtype for parameter in network.parameters()} == {torch.float32}


def test_one_forward_answers_all_that_is_asked_and_leaves_the_statistics_alone() -> None:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half")).train()
    views = torch.rand(2, 10, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    wanted = [torch.tensor([3, 1]), torch.tensor([0, 9, 9])]
    before = network.bn1.running_mean.clone()
    with torch.no_grad():
        seen = predict(network, list(zip(views, wanted, strict=True)), RefineSettings())
        assert network.training
        assert torch.equal(network.bn1.running_mean, before)
        network.eval()
        for logits, view, rows in zip(seen, views, wanted, strict=True):
            torch.testing.assert_close(logits, network(view)[rows], rtol=1e-4, atol=1e-5)
