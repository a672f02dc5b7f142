"""The training loop: a descent worked by hand, what is told of it, and one that is taken up again."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ruc.errors import InputError
from ruc.networks import State, shuffled_batches, train_epochs
from ruc.runtime import Runtime

CPU = Runtime("cpu")


class Number(nn.Module):
    """One parameter, and a buffer that epochs may change as they like."""

    value: Tensor
    steps: Tensor

    def __init__(self, start: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(start))
        self.register_buffer("steps", torch.tensor(0))


def test_descends_by_hand() -> None:
    number = Number(1.0)
    told, after = [], []

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        for _ in range(2):
            yield 3, number.value.square()
            after.append(number.value.item())

    optimizer = torch.optim.SGD(number.parameters(), lr=0.25)  # each step halves: x - 0.25 * 2x
    train_epochs("halving", number, optimizer, losses, 2, 6, CPU, lambda *e: told.append(e[:2]))
    assert after == [0.5, 0.25, 0.125, 0.0625]  # the step was taken when what stands behind the yield is done
    assert told == [(0, (1 + 0.25) / 2), (1, (0.0625 + 0.015625) / 2)]
    assert not number.training


def noisy(number: Number, generator: torch.Generator, resume: State | None = None) -> list[State]:
    """Five epochs that depend on momentum, a buffer, and one generator for all; the states after each."""
    states: list[State] = []
    optimizer = torch.optim.SGD(number.parameters(), lr=0.01, momentum=0.9)

    def losses(epoch: int) -> Iterator[tuple[int, Tensor]]:
        for _ in range(3):
            yield 1, (number.value - number.steps - torch.randn((), generator=generator)).square()
            number.steps += 1

    def keep(epoch: int, loss: float, state) -> None:
        states.append(state())

    train_epochs("noisy", number, optimizer, losses, 5, 3, CPU, keep, resume, generator)
    return states


def test_taken_up_again_it_ends_the_same() -> None:
    whole = noisy(Number(1.0), torch.Generator().manual_seed(0))
    rest = noisy(Number(5.0), torch.Generator().manual_seed(9), whole[2])
    assert [state.config["epoch"] for state in rest] == [3, 4]
    for name, tensor in whole[-1].weights.items():
        assert torch.equal(rest[-1].weights[name], tensor), name


@pytest.mark.parametrize("config", [{"kind": "other", "n_samples": 3}, {"kind": "noisy", "n_samples": 4}])
def test_another_state_is_refused(config) -> None:
    message = f"kind '{config['kind']}' with {config['n_samples']} samples.*expected 'noisy' with 3 samples"
    with pytest.raises(InputError, match=message):
        noisy(Number(1.0), torch.Generator(), State(config, {}))


def test_all_images_count_as_seen_where_an_epoch_leaves_some_out(caplog) -> None:
    number = Number(1.0)
    optimizer = torch.optim.SGD(number.parameters(), lr=0.1)
    with caplog.at_level("INFO"):
        losses = lambda epoch: iter([(2, number.value.square())])  # noqa: E731
        train_epochs("half", number, optimizer, losses, 2, 5, Runtime("cpu", verbose=True))
    assert "half: 10 images in" in caplog.text


def test_an_epoch_without_a_batch_is_no_failure() -> None:
    told = []
    number = Number(1.0)
    optimizer = torch.optim.SGD(number.parameters(), lr=0.1)
    train_epochs("none", number, optimizer, lambda epoch: iter(()), 1, 5, CPU, lambda *e: told.append(e[1]))
    assert str(told) == "[nan]"


@pytest.mark.parametrize(("n_samples", "sizes"), [(10, [4, 3, 3]), (2, [2]), (6, [3, 3])])
def test_batches_hold_every_row_once(n_samples, sizes) -> None:
    batches = shuffled_batches(n_samples, 3, torch.Generator().manual_seed(0), CPU.device)
    assert [len(rows) for rows in batches] == sizes
    assert torch.cat(batches).sort().values.tolist() == list(range(n_samples))
