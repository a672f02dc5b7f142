"""Softmax of rows of few clusters.

Along rows shorter than a vector register PyTorch's takes six times as long on a CPU as along columns: 0.20 and 0.03 ms
for 1,000 x 10, and twice as long with its gradients.
"""

from torch import Tensor

FEWEST_LONG = 16  # float32 in a register of AVX-512; rows that are as long are quicker as they are


def softmax(logits: Tensor) -> Tensor:
    """(n, n_clusters) probabilities."""
    return logits.softmax(dim=1) if _is_long(logits) else _columns(logits).softmax(dim=0).T


def log_softmax(logits: Tensor) -> Tensor:
    """(n, n_clusters) their logarithms."""
    return logits.log_softmax(dim=1) if _is_long(logits) else _columns(logits).log_softmax(dim=0).T


def _is_long(logits: Tensor) -> bool:
    return logits.shape[1] >= FEWEST_LONG


def _columns(logits: Tensor) -> Tensor:
    return logits.T.contiguous()
