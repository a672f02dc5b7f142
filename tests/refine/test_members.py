"""Who is more confident, and who draws from what."""

import torch

from ruc.refine.members import Member, more_confident, own_generators


def test_the_more_confident_network_decides() -> None:
    def member(confidence: list[float], opinion: list[int]) -> Member:
        network = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        return Member(network, network, optimizer, torch.tensor(confidence), torch.tensor(opinion))

    confidence, opinion = more_confident(
        member([0.9, 0.2, 0.5], [0, 0, 0]), member([0.1, 0.8, 0.5], [1, 1, 1])
    )
    torch.testing.assert_close(confidence, torch.tensor([0.9, 0.8, 0.5]))
    assert opinion.tolist() == [0, 1, 0]


def test_a_single_student_draws_from_the_pass_and_two_draw_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    assert own_generators(generator, 1) == [generator]
    one, other = ([torch.rand(3, generator=each) for each in own_generators(generator, 2)] for _ in range(2))
    assert not torch.equal(*one) and not torch.equal(one[0], other[0])
    again = own_generators(torch.Generator().manual_seed(0), 2)
    assert torch.equal(torch.rand(3, generator=again[0]), one[0])
