"""Heads learn in the leading directions of their features: a third of the arithmetic for 1,280 of them, the same heads.

A head's first layer is linear, and is normalised after: what it can learn of features along some directions it reads of
the whole features as well. So heads learn in few directions and are widened afterwards. They start as they would have,
and the noise of strong views is that of dropped features; missing is what lies in the directions that are left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ruc.principal import Principal, leading_directions
from ruc.refine.networks import Head
from ruc.refine.spaces import FeatureSpace, Space
from ruc.refine.trained import Pair
from ruc.runtime import Runtime

MOST_DIRECTIONS = 128  # of what each head reads (experiments/LOG.md, "a whole run, shorter")
WORTH_IT = 2  # times as many features, for finding the directions to cost less than it saves
MOST_SAMPLES = 100_000  # of more the second copy of the features takes gigabytes


class NarrowSpace:
    """A `FeatureSpace` seen along a few directions.

    Parameters
    ----------
    whole
        The space of the whole features.
    directions
        (n_columns, n_directions) each, orthonormal: of all columns, or of the first network's and of the second's.
    """

    sees_more = False

    def __init__(self, whole: FeatureSpace, directions: Sequence[Tensor]) -> None:
        self.whole, self.directions = whole, directions
        self.seen = whole.seen_along(directions)
        # Dropping a share p of many small features moves a view along every direction by normal noise of this size.
        spreads = [block.square().mean().sqrt() for block in whole.blocks(whole.features)]
        sizes = [spread.expand(each.shape[1]) for spread, each in zip(spreads, directions, strict=True)]
        self.noise = torch.cat(sizes) * (whole.dropout / (1 - whole.dropout)) ** 0.5

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.whole.n_samples

    @property
    def defaults(self) -> Mapping[str, Any]:
        """As of the whole features."""
        return self.whole.defaults

    def networks(self, n_clusters: int, runtime: Runtime) -> tuple[nn.Module, nn.Module]:
        """The heads that would have been trained on the whole features, as they see these directions."""
        n_seen, n_first = self.seen.features.shape[1], self.directions[0].shape[1]
        read = [(0, n_first), (n_seen - self.directions[-1].shape[1], n_seen)]
        heads = []
        for whole, columns, along in zip(
            self.whole.networks(n_clusters, runtime), read, self._of_each_head(), strict=True
        ):
            head = Head(n_seen, n_clusters, self.whole.width, *columns).to(along.device)
            heads.append(_with_first_layer(head, whole, _first_layer(whole) @ along))
        return heads[0], heads[1]

    def plain(self, rows: Tensor) -> Tensor:
        """The features as they are."""
        return self.seen.plain(rows)

    def weak(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """As of the whole features."""
        return self.seen.weak(rows, generator)

    def strong(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """A longer step towards a near neighbour, and the noise of features dropped."""
        moved = self.seen.step(rows, self.whole.strong_step, generator)
        drawn = torch.randn(moved.shape, generator=generator).to(moved.device)
        noisy: Tensor = moved + drawn * self.noise
        return noisy

    def widened(self, pair: Pair) -> Pair:
        """The pair that learned here, as it reads whole features."""
        heads = []
        for narrow, (start, stop), along in zip(
            (pair.first, pair.second), self.whole.columns, self._of_each_head(), strict=True
        ):
            n_features = self.whole.features.shape[1]
            head = Head(n_features, pair.n_clusters, self.whole.width, start, stop).to(along.device)
            heads.append(_with_first_layer(head, narrow, _first_layer(narrow) @ along.T).eval())
        return Pair(heads[0], heads[1])

    def _of_each_head(self) -> tuple[Tensor, Tensor]:
        return self.directions[0], self.directions[-1]


def principal_of(space: Space) -> Principal | None:
    """Where the features differ most that both heads read; None where that is more or less than `narrow` looks for."""
    blocks = _worth_narrowing(space)
    return Principal(blocks[0]) if len(blocks) == 1 else None


def narrow(space: Space, principal: Principal | None = None) -> Space:
    """The space in which heads learn: a narrow one where they read many features, else the space itself.

    `principal`: from `principal_of`, which others may have asked already.
    """
    blocks = _worth_narrowing(space)
    if not blocks or not isinstance(space, FeatureSpace):
        return space
    if principal is not None:
        return NarrowSpace(space, [principal.directions[:, :MOST_DIRECTIONS]])
    return NarrowSpace(space, [leading_directions(block, MOST_DIRECTIONS) for block in blocks])


def _worth_narrowing(space: Space) -> tuple[Tensor, ...]:
    """The features that each head reads, or none."""
    if not isinstance(space, FeatureSpace) or space.n_samples > MOST_SAMPLES:
        return ()
    blocks = space.blocks(space.features)
    return blocks if min(block.shape[1] for block in blocks) >= WORTH_IT * MOST_DIRECTIONS else ()


def widen(space: Space, pair: Pair) -> Pair:
    """The pair that learned in such a space, as it reads the samples' plain views."""
    return space.widened(pair) if isinstance(space, NarrowSpace) else pair


def _first_layer(head: nn.Module) -> Tensor:
    weight: Tensor = head.get_parameter("layers.0.weight").detach()
    return weight


def _with_first_layer(head: Head, other: nn.Module, weight: Tensor) -> Head:
    """The head with this first layer, and with all others of another head."""
    head.load_state_dict({**other.state_dict(), "layers.0.weight": weight})
    return head
