"""What is written to disk of a fitted thing, or of a training that was interrupted."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class State:
    """JSON-able configuration and named tensors, no pickle."""

    config: dict[str, Any]
    weights: dict[str, Tensor]

    def under(self, name: str) -> dict[str, Tensor]:
        """The tensors that are called "NAME.…", by the rest of their names."""
        prefix = f"{name}."
        return {key.removeprefix(prefix): v for key, v in self.weights.items() if key.startswith(prefix)}
