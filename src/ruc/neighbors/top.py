"""The largest values of long rows, and the positive ones of a large matrix."""

import torch

GROUP = 32  # values of which the largest stands for all, for the speed alone
WORTH_IT = 3  # groups for each wanted value


def top(values: torch.Tensor, n_wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest values of each row and their columns, in order, the lower column first among equals.

    `values`: (n_rows, n_columns); n_columns is larger than `n_wanted`.
    """
    largest, columns = _candidates(values, n_wanted + 1)  # one more shows whether the last place is contested
    last, next_one = largest[:, n_wanted - 1, None], largest[:, n_wanted, None]
    contested = ((next_one == last) & (last > -torch.inf)).squeeze(1)
    # topk may order equals as it likes: first by column, then stably by value.
    columns = columns[:, :n_wanted].sort(dim=1).values
    if contested.any():
        columns[contested] = _first_columns(values[contested], last[contested], n_wanted)
    largest, order = values.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return largest, columns.gather(1, order)


def _first_columns(values: torch.Tensor, last: torch.Tensor, n_wanted: int) -> torch.Tensor:
    """Columns of the values above the last one wanted, and of as many of its equals as are missing, in order."""
    above, equal = values > last, values == last
    missing = n_wanted - above.sum(dim=1, keepdim=True)
    wanted = above | (equal & (equal.cumsum(dim=1, dtype=torch.int32) <= missing))
    return wanted.nonzero()[:, 1].view(-1, n_wanted)


def positive(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the few positive values of a matrix, or of a slice of its columns, in no order.

    Only groups of rows that hold one are looked into.
    """
    n_groups = len(values) // GROUP
    # A group is every n_groups-th row.
    maxima = values[: n_groups * GROUP].view(GROUP, n_groups, values.shape[1]).amax(dim=0)
    groups, columns = (maxima > 0).nonzero(as_tuple=True)
    rows = groups + torch.arange(GROUP, device=values.device)[:, None] * n_groups
    within, which = (values[rows, columns] > 0).nonzero(as_tuple=True)
    rest, others = (values[n_groups * GROUP :] > 0).nonzero(as_tuple=True)
    return (
        torch.cat([rows[within, which], rest + n_groups * GROUP]),
        torch.cat([columns[which], others]),
    )


def top_unordered(values: torch.Tensor, n_wanted: int) -> torch.Tensor:
    """Columns of the largest values of each row, whichever of equals come last; quicker than `top`."""
    return _candidates(values, n_wanted)[1]


def _candidates(values: torch.Tensor, n_wanted: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As `topk`. Of long rows only the groups with the largest maxima are looked into.

    The n largest values lie in the n groups with the largest maxima: each of these groups holds one value that is at
    least as large as all of any other group.
    """
    n_rows, n_columns = values.shape
    n_groups = n_columns // GROUP
    if n_groups < WORTH_IT * n_wanted:
        return values.topk(n_wanted, dim=1)
    # A group is every n_groups-th column, so that the maxima are those of whole rows of a matrix.
    grouped = values[:, : n_groups * GROUP].view(n_rows, GROUP, n_groups)
    # The result in the layout of the values: else it takes ten times as long.
    maxima = grouped.amax(dim=1) if values.is_contiguous() else grouped.permute(1, 2, 0).amax(dim=0).T
    groups = maxima.topk(n_wanted, dim=1).indices
    within = torch.arange(GROUP, device=values.device) * n_groups
    columns = (groups[:, :, None] + within).flatten(1)
    rest = torch.arange(n_groups * GROUP, n_columns, device=values.device).expand(n_rows, -1)
    columns = torch.cat([columns, rest], dim=1)
    largest, places = values.gather(1, columns).topk(n_wanted, dim=1)
    return largest, columns.gather(1, places)
