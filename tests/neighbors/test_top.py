import numpy as np
import pytest
import torch

from ruc.neighbors.top import GROUP, WORTH_IT, positive, top, top_unordered


def sorted_rows(values: torch.Tensor, n_wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    columns = np.argsort(-values.numpy(), axis=1, kind="stable")[:, :n_wanted]
    return torch.from_numpy(np.take_along_axis(values.numpy(), columns, axis=1)), torch.from_numpy(columns)


@pytest.mark.parametrize("n_columns", [12, 40 * GROUP, 40 * GROUP + 1, 41 * GROUP - 1])
def test_equals_a_stable_sort(n_columns: int) -> None:
    values = torch.randn(9, n_columns, generator=torch.Generator().manual_seed(0))
    for n_wanted in (1, 7, 11):
        assert all(map(torch.equal, top(values, n_wanted), sorted_rows(values, n_wanted)))


@pytest.mark.parametrize("n_columns", [20, 40 * GROUP + 3])
def test_of_equals_the_lower_column_comes_first(n_columns: int) -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randint(0, 4, (50, n_columns), generator=generator).float()
    values[:, 5] = -torch.inf
    for n_wanted in (1, 4, 11):
        assert n_columns == 20 or n_columns // GROUP >= WORTH_IT * (n_wanted + 1)  # groups are looked at
        assert all(map(torch.equal, top(values, n_wanted), sorted_rows(values, n_wanted)))


def test_few_above_many_equals() -> None:
    values = torch.zeros(3, 40 * GROUP)
    values[0, [700, 3]] = 1.0
    values[1, :] = 2.0
    values[2, [5, 6, 8]] = torch.tensor([-torch.inf, -1.0, 3.0])
    assert top(values, 4)[1].tolist() == [[3, 700, 0, 1], [0, 1, 2, 3], [8, 0, 1, 2]]


def test_the_largest_may_be_in_the_rest_behind_the_last_group() -> None:
    values = torch.zeros(1, 40 * GROUP + 2)
    values[0, -1] = 1.0
    assert top(values, 2)[1].tolist() == [[40 * GROUP + 1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unordered_holds_the_same_values_whatever_the_layout(dtype: torch.dtype) -> None:
    values = torch.randn(9, 41 * GROUP - 1, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected, _ = sorted_rows(values.float(), 7)
    for laid_out in (values, values.T.contiguous().T):
        columns = top_unordered(laid_out, 7)
        assert all(len(set(row)) == 7 for row in columns.tolist())
        assert torch.equal(values.gather(1, columns).float().sort(dim=1, descending=True).values, expected)


@pytest.mark.parametrize("shape", [(5, 9), (3 * GROUP, 4), (3 * GROUP + 7, 11), (40, 0)])
def test_positive_finds_all_that_are(shape: tuple[int, int]) -> None:
    wider = torch.randn(shape[0], shape[1] + 2, generator=torch.Generator().manual_seed(0)) - 1.5
    values = wider[:, : shape[1]]
    values[:, :1] = 0.0  # which is not positive
    found = torch.stack(positive(values), dim=1).tolist()
    assert sorted(found) == (values > 0).nonzero().tolist()
