"""What is trusted: the current label of every sample, and since when it counts as clean."""

from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = -1  # no epoch


@dataclass
class Trust:
    """The current label of every sample, and since when it is trusted; both networks read and extend it."""

    pseudo_labels: Tensor
    clean_since: Tensor  # 0: from the start; e: the e-th epoch; NEVER: it isn't clean

    @staticmethod
    def at_start(labels: Tensor, is_clean: Tensor) -> "Trust":
        """Trust what was selected, before the first epoch."""
        return Trust(labels.clone(), torch.where(is_clean, 0, NEVER))

    @property
    def is_clean(self) -> Tensor:
        """(n_samples,) bool."""
        return self.clean_since != NEVER

    def promote(self, confidence: Tensor, opinion: Tensor, threshold: float, epoch: int) -> None:
        """Trust the unclean samples that are predicted with more than the threshold, with that label, for good."""
        promoted = ~self.is_clean & (confidence > threshold)
        self.pseudo_labels[promoted] = opinion[promoted]
        self.clean_since[promoted] = epoch + 1
