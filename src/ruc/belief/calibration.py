"""From logits to probabilities: as sure as one may be, with each sample's cluster where it was.

Given labels are weighed against their neighbours', and one temperature is fitted to what both say. Where a clustering
was refined, all that its networks and neighbours say is consistent with itself even if it's wrong: how sure one may be
is asked elsewhere (`belief.confidence`), and the networks are set to that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

LOWEST, HIGHEST = 0.05, 20.0  # temperatures that are looked among: sharper or flatter ones change no ranking
LEAST_CERTAINTY = 0.02  # keeps the order of the clusters
N_STEPS = 60  # of bisection: as far as float64 goes
SMALLEST = 1e-6  # probability, so that its logarithm exists


@dataclass(frozen=True)
class Calibration:
    """The monotone map from logits to probabilities: `certainty * softmax(logits / temperature)`, the rest uniform.

    Attributes
    ----------
    temperature
        What doubt about single samples there is: those between clusters.
    certainty
        In (0, 1]: what is left when the clusters as such are doubted.
    """

    temperature: float = 1.0
    certainty: float = 1.0

    def apply(self, logits: Tensor) -> Tensor:
        """Probabilities (n, n_clusters) of logits; each row sums to 1, with its largest where it was."""
        return (
            self.certainty * (logits / self.temperature).softmax(dim=1)
            + (1 - self.certainty) / logits.shape[1]
        )

    def to_config(self) -> dict[str, float]:
        """For the model's JSON."""
        return {"temperature": self.temperature, "certainty": self.certainty}

    @staticmethod
    def from_config(config: dict[str, Any]) -> "Calibration":
        """What `to_config` wrote."""
        return Calibration(float(config.get("temperature", 1.0)), float(config.get("certainty", 1.0)))


def fit_temperature(logits: Tensor, believed: Tensor) -> float:
    """The temperature at which `softmax(logits / temperature)` is closest to what is believed, in cross-entropy.

    Parameters
    ----------
    logits
        (n_samples, n_clusters).
    believed
        (n_samples, n_clusters) probabilities from another source than the networks.

    Returns
    -------
    float
        In [0.05, 20]: dividing by it keeps the order of the clusters, and each row sums to 1.
    """

    def slope(temperature: float) -> float:
        """Of the cross-entropy along 1 / temperature, which is convex in it."""
        expected = (logits / temperature).softmax(dim=1)
        return float(((expected - believed) * logits).sum(dim=1).mean())

    return _falling_root(slope)


def fit_level(logits: Tensor, level: float) -> Calibration:
    """The map under which the mean confidence is `level`: by a temperature, and never doubting single samples more than
    the networks do; whatever doubt is then missing is in the clusters as such, and alike for all samples.

    `logits`: (n_samples, n_clusters). `level`: in (0, 1): the mean confidence.
    """

    def confidence(temperature: float) -> float:
        return float((logits / temperature).softmax(dim=1).amax(dim=1).mean())

    temperature = min(_falling_root(lambda temperature: confidence(temperature) - level), 1.0)
    chance = 1 / logits.shape[1]
    certainty = (level - chance) / max(confidence(temperature) - chance, 1e-6)
    return Calibration(temperature, min(max(certainty, LEAST_CERTAINTY), 1.0))


def pinned(
    probabilities: NDArray[np.floating], cluster: NDArray[np.int64], confidence: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Probabilities with the confidence at each sample's cluster; the order of the others stays.

    Parameters
    ----------
    probabilities
        (n_samples, n_clusters), each row summing to 1 and largest at its cluster.
    cluster
        (n_samples,) the cluster of each sample.
    confidence
        (n_samples,) in [0, 1]. What is missing is shared out evenly, what is too much goes alike from all others. A row
        can't be lower at its largest than even: a confidence below 1 / n_clusters makes it even but for a trace.
    """
    even = 1 / probabilities.shape[1]
    rows = np.arange(len(cluster))
    own = probabilities[rows, cluster].astype(np.float64)
    wanted = np.clip(confidence.astype(np.float64), even, 1.0)
    raised = wanted > own
    # Between the row and certainty, or between the row and an even one.
    towards_certain = (1 - wanted) / np.maximum(1 - own, SMALLEST)
    towards_even = np.maximum((wanted - even) / np.maximum(own - even, SMALLEST), LEAST_CERTAINTY)
    kept = np.where(raised, towards_certain, towards_even).clip(0, 1).astype(np.float32)
    out = np.asarray(probabilities, np.float32) * kept[:, None]
    out += np.where(raised, 0, (1 - kept) * np.float32(even))[:, None]
    out[rows, cluster] += np.where(raised, 1 - kept, 0)
    return out


def _falling_root(function: Callable[[float], float]) -> float:
    """The temperature at which a function that falls with it crosses zero, or the nearer bound."""
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(N_STEPS):
        middle = (low + high) / 2
        if function(math.exp(middle)) > 0:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)
