"""What a finished run knows, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SHOWN: Final = 10  # clusters, where a run is printed


@dataclass(frozen=True, repr=False)
class Run:
    """All that a finished run knows; what a run folder holds. n is the number of images or feature rows.

    Attributes
    ----------
    settings
        Every resolved setting, with seed, versions and device; `config.yaml`.
    file_names
        n names in the order of all arrays; row numbers for features without names.
    cluster, initial_cluster
        (n,) int64 in 0 … K-1; initial_cluster may be -1 (unknown).
    confidence
        (n,) float32: the estimated probability that the image is in the right cluster.
    was_clean, is_clean
        (n,) bool: trusted at the start, and at the end.
    probabilities
        (n, K) float32, calibrated; of the clusters as they were edited.
    initial_probabilities
        (n, K before any edit) float32 of the base clustering, or None where it has none.
    features
        (n, n_features) float32, unit-norm rows; of several embeddings their columns side by side.
    embeddings
        Of several embeddings the number of features of each, by its name; empty of a single one.
    network_probabilities
        (n, K before any edit) float32 as the networks gave them, where the run was edited, else None.
    cluster_names
        K names; the numbers as text unless the labels were given as text or a cluster was renamed.
    skipped
        (file_name, reason) of each file that could not be read.
    history
        One mapping per epoch.
    marks
        Further columns of the table, each (n,): outliers, duplicates, names.
    notes
        What else the report shows: remarks, warnings, why an embedder was chosen, the curve over K.
    review
        The images most worth a person's look, best first: file name, cluster, confidence, doubt, and the cluster that
        comes second or "".
    metrics
        What `evaluate` found, or None.
    """

    settings: dict[str, Any]
    file_names: tuple[str, ...]
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    initial_cluster: NDArray[np.int64]
    was_clean: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    cluster_names: tuple[str, ...]
    initial_probabilities: NDArray[np.float32] | None = None
    network_probabilities: NDArray[np.float32] | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    history: tuple[dict[str, float], ...] = ()
    marks: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    review: tuple[tuple[Any, ...], ...] = ()
    metrics: dict[str, Any] | None = None
    embeddings: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = np.bincount(self.cluster, minlength=self.n_clusters)
        largest = [int(number) for number in np.argsort(-sizes, kind="stable")[:SHOWN] if sizes[number]]
        shown = ", ".join(f"{self.cluster_names[number]}: {sizes[number]}" for number in largest)
        more = int((sizes > 0).sum()) - len(largest)
        return (
            f"Run of {len(self.cluster)} {'samples' if self.is_of_features else 'images'} in {self.n_clusters} clusters"
            f"\n  sizes: {shown}{f', and {more} more' if more else ''}"
            f"\n  {int(self.changed.sum())} changed, {len(self.skipped)} skipped; "
            f"mean confidence {float(self.confidence.mean()):.2f}"
        )

    @property
    def seed(self) -> int:
        """Of all that is drawn."""
        return int(self.settings.get("seed", 0))

    @property
    def review_share(self) -> float:
        """The share of the images that `review` lists."""
        return float(self.settings.get("review", 0.05))

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(n,) bool: the initial cluster was known, and is another now. What was unknown is placed, not changed."""
        return (self.initial_cluster >= 0) & np.not_equal(self.cluster, self.initial_cluster)

    @property
    def is_of_features(self) -> bool:
        """Whether its samples are rows of features or of an array, so that their numbers name them too."""
        return self.settings.get("source") is None

    @property
    def has_names(self) -> bool:
        """Whether a cluster is called something else than its number."""
        return self.cluster_names != tuple(str(number) for number in range(len(self.cluster_names)))

    @property
    def n_clusters(self) -> int:
        """K, counting clusters that are empty."""
        return int(self.probabilities.shape[1])
