"""Rows of any scale as an embedding: unit length, and alike where the rows are near each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.mapped import row_blocks
from ruc.networks import State

BLOCK_ROWS = 65_536  # at a time in double precision
MOST_FITTED = 65_536  # rows of which the medians are taken
REACH = 2.0  # median distances: half as far bends what is far away, twice as far heeds outliers (experiments/LOG.md)
REACH_OF_DIRECTIONS = 0.25  # the same of embeddings: nearly seen from their mean alone (the same)
MOST_CENTRED = 2**28  # values of embeddings, 1 GiB: of more a copy would cost more than it gives
ALIKE = 1e-3  # lengths that differ by less than this share of their mean say nothing: rows are directions
FARTHEST = 1e150  # of a coordinate: its square is still a number
SURELY_UNIT = 1e-5  # a length that differs from 1 by less does so by rounding


@dataclass(frozen=True)
class Scaling:
    """Rows of unit length whose cosine similarity follows the distances between the rows they are made from.

    Rows are centred and lifted by a constant coordinate before they are scaled to unit length: what is far from the
    centre is then told from what is merely in the same direction.

    What networks make, rows of one length, lies in a narrow cone, and is lifted little: what tells it apart is how it
    looks from the mean (experiments/LOG.md, "embeddings seen from their mean").

    Attributes
    ----------
    n_features
        Of the rows that were fitted to.
    center
        (n_features,) the median of these rows, of embeddings their mean; None: they are left as they are.
    spread
        Twice the median of their distances from it, for embeddings a quarter: the height to which rows are lifted.
    magnitude
        What all values are divided by first, center and spread too, so that no square overflows or vanishes.
    """

    n_features: int
    center: NDArray[np.float64] | None = None
    spread: float = 1.0
    magnitude: float = 1.0

    def __call__(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """(n_samples, n_features) as unit rows, one coordinate wider where they are lifted.

        A mapped file of unit rows is left where it is.
        """
        if isinstance(values, np.memmap) and values.dtype == np.float32 and self._leaves_as_they_are(values):
            return values
        wider = 0 if self.center is None else 1
        features = np.empty((len(values), values.shape[1] + wider), np.float32)
        for part in row_blocks(values, BLOCK_ROWS):
            if values.dtype == np.float32 and self._leaves_as_they_are(values[part]):
                features[part] = values[part]
                continue
            with np.errstate(over="ignore"):
                rows = values[part].astype(np.float64) / self.magnitude
                if self.center is not None:
                    rows = np.column_stack([(rows - self.center) / self.spread, np.ones(len(rows))])
            np.nan_to_num(rows, copy=False)
            largest = np.maximum(rows.max(axis=1), -rows.min(axis=1))[:, None]
            rows /= np.maximum(largest / FARTHEST, 1)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            unit = rows / np.maximum(lengths, np.finfo(np.float64).tiny)
            if self.center is None:  # so that it doesn't matter whether a file is mapped
                is_unit = np.abs(lengths * self.magnitude - 1) < SURELY_UNIT
                unit = np.where(is_unit, values[part], unit)
            features[part] = unit
        return features

    def state(self) -> State:
        """What was fitted, without pickle."""
        center = {} if self.center is None else {"center": torch.from_numpy(self.center)}
        about = {"n_features": self.n_features, "spread": self.spread, "magnitude": self.magnitude}
        return State({"kind": "scaling", **about}, center)

    @staticmethod
    def from_state(state: State) -> "Scaling":
        """What `state` was taken of."""
        center = state.weights["center"].numpy() if "center" in state.weights else None
        return Scaling(state.config["n_features"], center, state.config["spread"], state.config["magnitude"])

    def _leaves_as_they_are(self, values: NDArray[np.generic]) -> bool:
        if self.center is not None:
            return False
        lengths = _lengths(values, 1.0)
        return bool((np.abs(lengths - 1) < SURELY_UNIT).all())


def fit_scaling(values: NDArray[np.generic]) -> Scaling:
    """The scaling that suits (n_samples, n_features); rows of one length are taken for embeddings.

    Medians, so that a few rows far away don't make all the others look the same; of at most 65,536 rows, evenly spread.
    Embeddings of more than 2^28 values are left as they are, in the file where they are mapped.
    """
    largest = max(
        max(float(values[part].max()), -float(values[part].min())) for part in row_blocks(values, BLOCK_ROWS)
    )
    magnitude = 2.0 ** (np.frexp(largest)[1] - 1) if largest > 0 else 1.0  # a power of two rounds nothing
    lengths = _lengths(values, magnitude)
    are_directions = np.allclose(lengths, lengths.mean(), rtol=ALIKE, atol=0)
    if are_directions and values.size > MOST_CENTRED:
        return Scaling(values.shape[1], magnitude=magnitude)
    some = values[:: -(-len(values) // MOST_FITTED)].astype(np.float64) / magnitude
    center = some.mean(axis=0) if are_directions else np.median(some, axis=0)
    away = np.linalg.norm(some - center, axis=1)
    away = away[away > 0]
    reach = REACH_OF_DIRECTIONS if are_directions else REACH
    spread = reach * float(np.median(away)) if len(away) else 1.0
    return Scaling(values.shape[1], center, spread, magnitude)


def _lengths(values: NDArray[np.generic], magnitude: float) -> NDArray[np.float64]:
    """(n_samples,) the length of each row, over the magnitude."""
    blocks = (values[part].astype(np.float64) / magnitude for part in row_blocks(values, BLOCK_ROWS))
    lengths: NDArray[np.float64] = np.concatenate([np.linalg.norm(block, axis=1) for block in blocks])
    return lengths


def scaling_states(scalings: Sequence[Scaling]) -> dict[str, State]:
    """The scalings of one or several arrays of features, as parts of a run's model by name."""
    names = ["scaling"] if len(scalings) == 1 else [f"scaling_{number}" for number in range(len(scalings))]
    return {name: scaling.state() for name, scaling in zip(names, scalings, strict=True)}


def scalings_of(model: Mapping[str, State]) -> tuple[Scaling, ...]:
    """The scalings that `scaling_states` put into a run's model, in their order; none of a run on images."""
    names = ["scaling"] if "scaling" in model else [f"scaling_{number}" for number in range(len(model))]
    return tuple(Scaling.from_state(model[name]) for name in names if name in model)
