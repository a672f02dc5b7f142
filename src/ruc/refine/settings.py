"""Every constant of the method, as keywords."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field

from ruc.declared import Count, NotNegative, Positive, Share, check_declared
from ruc.errors import InputError

T = TypeVar("T")
Selection = Literal["confidence", "neighbors", "hybrid"]


@dataclass(frozen=True)
class RefineSettings:
    """The constants of RUC. The defaults are what won our measurements; `paper()` is what was published.

    What is None is left to the space: heads on features and whole networks on images want other constants.

    Attributes
    ----------
    selection
        How clean samples are chosen: "confidence", "neighbors" (the paper's metric-based) or "hybrid" (both).
    confidence_threshold
        τ1: the base's probability from which *confidence* trusts a label.
    n_neighbors
        k: how many neighbours vote in *neighbors*; never more than half the mean cluster size is used.
    neighbor_agreement
        The share of the neighbours' votes from which *neighbors* trusts a label that no other label outvotes; 0: no
        such bound (paper).
    least_clean
        In each cluster that bound is lowered until at least this share of the labels passes it, so that small and
        loose clusters aren't left out.
    n_epochs, batch_size, learning_rate, weight_decay
        How the networks are trained; the learning rate falls along a cosine over the epochs.
    epoch_size
        An epoch is so many samples, drawn anew, where there are more; None: all (paper).
    optimizer, momentum
        "sgd" with Nesterov momentum (paper), or "adamw".
    clean_views
        How many weak views of a clean sample are learned from in each batch: 2 (paper) or 1.
    head_warmup
        Whether the new heads are fitted to the clean samples before a backbone is touched.
    sharpening_temperature
        T: guesses and refined labels become `p ** (1 / T)`, normalised.
    mixup_alpha
        α: MixUp draws λ ~ Beta(α, α) and keeps the larger of λ and 1 - λ.
    unclean_weight
        λ_U: the weight of the unclean loss at the end of its ramp.
    ramp_epochs, ramp_floor
        The weight of the unclean loss grows linearly over so many epochs (None: all), from this share of it.
    epsilon
        ε: how much of a smoothed label is uniform; "uniform" draws it anew from U(0, 1) for each batch (paper).
    promotion_threshold
        τ2: the probability above which an unclean sample joins the clean ones. "stepped" is
        0.90 + 0.02 · ⌊epoch / 40⌋ (official code on CIFAR-20 and STL-10).
    promotion_by
        "each": each network by itself, at the end of its pass; "confident": the more confident of the two, once
        per epoch (paper).
    promotion
        Whether unclean samples can join the clean ones at all.
    co_training
        Whether the peer takes part: in the guesses, and in refining the labels of the clean samples. Without it
        one network is trained, on the pseudo-labels as they are.
    turns
        "pass": in each epoch one network takes a pass over the data, then the other one (paper); "batch": both learn
        from each batch at the same time, from the same weak views.
    label_smoothing
        Whether the strong views of the clean samples are learned against smoothed labels.
    different_eyes
        Whether a clustering of the features is learned from by different eyes before its labels are trusted: by every
        embedding that there is, and by the eigenvectors of its neighbour graph. Heads on the same features have no
        say against the outcome.
    propagation
        The share of a sample's label that comes from its neighbours when any other clustering is smoothed over the
        neighbour graph before its labels are trusted; 0: not smoothed (paper). The networks' last word is
        weighed against the outcome.
    calibrate_by
        What the confidence is fitted to where labels were given from outside: the "neighbors", or "both" these and the
        networks, which is right where the networks have learned from something else than the neighbours' features.
    weigh_given
        Whether labels that know more than the features are weighed against their neighbours', by an estimate of
        how reliable they are, and kept where they're the likelier; else they're treated like any clustering
        (paper). Such are labels given from outside, and clusterings of something else that the features don't
        explain.
    forwards
        "needed" passes only the rows whose predictions are used, in evaluation mode; "all" passes whole batches
        and the student in training mode, as the official code: BatchNorm then averages over other statistics.
    precision
        In what the networks multiply while they're trained: "float32", or "bfloat16" (mixed precision: weights, batch
        statistics and losses stay float32). Predictions are always made in float32.
    """

    selection: Selection = "neighbors"
    confidence_threshold: Share = 0.99
    n_neighbors: Count | None = None
    neighbor_agreement: Share | None = None
    least_clean: Share = 0.8
    n_epochs: Count | None = None
    batch_size: Annotated[int, Field(ge=2)] | None = None
    epoch_size: Count | None = None
    learning_rate: Positive | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    momentum: Share = 0.9
    weight_decay: NotNegative = 5e-4
    sharpening_temperature: Positive = 0.5
    mixup_alpha: Positive = 4.0
    unclean_weight: NotNegative = 25.0
    ramp_epochs: Count | None = None
    ramp_floor: Share = 0.1
    epsilon: Share | Literal["uniform"] = 0.5
    promotion_threshold: Share | Literal["stepped"] = 0.99
    promotion_by: Literal["each", "confident"] = "each"
    promotion: bool = True
    co_training: bool = True
    turns: Literal["pass", "batch"] = "batch"
    label_smoothing: bool = True
    clean_views: Literal[1, 2] | None = None
    head_warmup: bool | None = None
    different_eyes: bool = True
    propagation: Annotated[float, Field(ge=0, lt=1)] | None = None
    calibrate_by: Literal["neighbors", "both"] | None = None
    weigh_given: bool = True
    forwards: Literal["needed", "all"] = "needed"
    precision: Literal["float32", "bfloat16"] | None = None

    def __post_init__(self) -> None:
        check_declared(self)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """All constants as published (Park et al., CVPR 2021, section 4.1 and the official code for CIFAR-10)."""
        published: dict[str, Any] = {
            "selection": "hybrid",
            "n_neighbors": 100,
            "n_epochs": 200,
            "batch_size": 250,
            "learning_rate": 0.01,
            "optimizer": "sgd",
            "neighbor_agreement": 0.0,
            "clean_views": 2,
            "head_warmup": False,
            "different_eyes": False,
            "propagation": 0.0,
            "calibrate_by": "neighbors",
            "ramp_epochs": 200,
            "epsilon": "uniform",
            "promotion_by": "confident",
            "turns": "pass",
            "weigh_given": False,
            "forwards": "all",
            "precision": "float32",
        }
        return cls(**{**published, **changes})

    @classmethod
    def mixmatch(cls, **changes: Any) -> Self:
        """MixMatch alone: no co-training, no label smoothing, no promotion (the last row of the paper's ablation)."""
        return cls(**{"co_training": False, "label_smoothing": False, "promotion": False, **changes})

    def filled(self, defaults: Mapping[str, Any]) -> Self:
        """With the space's defaults in place of what is None."""
        return replace(
            self, **{name: value for name, value in defaults.items() if getattr(self, name) is None}
        )

    @property
    def length(self) -> int:
        """The number of epochs, once it is known."""
        return _known("n_epochs", self.n_epochs)

    @property
    def rows_per_batch(self) -> int:
        """The size of a batch, once it is known."""
        return _known("batch_size", self.batch_size)

    def learning_rate_at(self, epoch: int) -> float:
        """A cosine from `learning_rate` to zero over the epochs."""
        share = 0.5 * (1 + math.cos(math.pi * epoch / self.length))
        return _known("learning_rate", self.learning_rate) * share

    def unclean_weight_at(self, epoch: int) -> float:
        """λ_U times its ramp: linear over `ramp_epochs`, never below `ramp_floor`."""
        length = self.ramp_epochs or self.length
        return self.unclean_weight * min(max(epoch / length, self.ramp_floor), 1.0)

    def promotion_threshold_at(self, epoch: int) -> float:
        """τ2 in this epoch."""
        if self.promotion_threshold == "stepped":
            return min(0.90 + 0.02 * (epoch // 40), 1.0)
        return self.promotion_threshold

    def to_dict(self) -> dict[str, Any]:
        """Every setting by name, for `config.yaml`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _known(name: str, value: T | None) -> T:
    if value is None:
        raise InputError(
            f"{name}=None is left to the space; expected settings that were filled with its defaults"
        )
    return value
