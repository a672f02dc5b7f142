"""What a student is shown of a batch, and what it is to answer."""

from dataclasses import dataclass

from torch import Tensor

from ruc.refine.losses import soft_cross_entropy, squared_error


@dataclass(frozen=True)
class Exercise:
    """Views and targets of one student.

    Attributes
    ----------
    inputs
        (n_mixed, …) views after MixUp: first of the clean, then of the unclean.
    targets
        (n_mixed, n_clusters) probabilities.
    n_clean
        How many of these are of the clean.
    strong
        (n_strong, …) strongly changed views of the clean, with `forwards` "all" of the whole batch; None: smoothed
        labels aren't learned.
    smoothed
        (n_strong, n_clusters) smoothed labels of the clean.
    """

    inputs: Tensor
    targets: Tensor
    n_clean: int
    strong: Tensor | None
    smoothed: Tensor

    def losses(self, logits: Tensor, strong_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clean, the unclean and the smoothing loss (Park et al. 2021, section 3.2) of these answers."""
        return (
            soft_cross_entropy(logits[: self.n_clean], self.targets[: self.n_clean]),
            squared_error(logits[self.n_clean :], self.targets[self.n_clean :]),
            soft_cross_entropy(strong_logits, self.smoothed),
        )
