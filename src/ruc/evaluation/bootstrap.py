"""Every number of a labelling, or of two side by side, with its bootstrap interval over images."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.evaluation.labelling import Labelling

SMALLEST = {"ari": -1.0}
SAME = 1e-12  # sums of the same numbers in another order differ by less
LARGEST = {"brier": 2.0, "nll": math.inf}


@dataclass(frozen=True)
class Estimate:
    """A number and its bootstrap interval over images."""

    value: float
    low: float
    high: float


def estimate_numbers(
    refined: Labelling, base: Labelling | None, n_resamples: int, level: float, seed: int
) -> tuple[dict[str, Estimate], dict[str, Estimate], dict[str, Estimate]]:
    """Estimates of refined, of base, and of their paired difference, from the same bootstrap samples."""

    def all_numbers(times: NDArray[np.float64]) -> dict[str, float]:
        after = refined.numbers(times)
        before = {} if base is None else base.numbers(times)
        return (
            {f"refined {name}": value for name, value in after.items()}
            | {f"base {name}": value for name, value in before.items()}
            | {f"difference {name}": after[name] - before[name] for name in after if name in before}
        )

    n_samples = len(refined.cells)
    values = all_numbers(np.ones(n_samples))
    samples = [all_numbers(times) for times in _resamples(n_samples, n_resamples, seed)]
    found: dict[str, dict[str, Estimate]] = {"refined": {}, "base": {}, "difference": {}}
    for key, value in values.items():
        of, name = key.split(" ")
        span = (SMALLEST.get(name, 0.0), LARGEST.get(name, 1.0))
        if of == "difference":
            span = (-math.inf, math.inf)
        found[of][name] = _estimate(value, np.array([sample[key] for sample in samples]), level, span)
    return found["refined"], found["base"], found["difference"]


def _resamples(n_samples: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How many times each image is drawn, for each bootstrap sample."""
    random = np.random.default_rng(seed)
    for _ in range(n_resamples):
        yield np.bincount(random.integers(n_samples, size=n_samples), minlength=n_samples).astype(np.float64)


def _estimate(
    value: float, samples: NDArray[np.float64], level: float, span: tuple[float, float]
) -> Estimate:
    """Percentile interval, moved by the bootstrap's own bias: NMI and ECE of resampled images are too high.

    Where no resample differs, as where all are right, or of one image, nothing is known of how far it may vary.
    """
    if len(samples) == 0 or np.ptp(samples) < SAME:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]) + (value - samples.mean())
    return Estimate(value, float(np.clip(low, *span)), float(np.clip(high, *span)))
