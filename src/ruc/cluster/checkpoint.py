"""The clusters that a field checkpoint (SCAN's or RUC's) sees in images."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.embed.checkpoint import apply_in_batches, resized
from ruc.errors import InputError
from ruc.labels.clustering import Clustering
from ruc.networks.checkpoints import Checkpoint
from ruc.runtime import Runtime


def cluster_by_checkpoint(
    pixels: NDArray[np.uint8], checkpoint: Checkpoint, n_clusters: int | None, runtime: Runtime
) -> Clustering:
    """Labels and probabilities by SCAN's best head, or by the summed logits of RUC's two networks.

    Parameters
    ----------
    pixels
        (n, 1 or 3, size, size) uint8; resized where the size isn't the checkpoint's.
    checkpoint
        From `load_checkpoint`.
    n_clusters
        As the user wants it, or None.

    Raises
    ------
    InputError
        The checkpoint has no clusters, or another number of them.
    """
    if checkpoint.kind == "simclr":
        raise InputError(
            f"--base {checkpoint.path} is SimCLR's, which has no clusters; expected a checkpoint of SCAN or RUC: "
            "give this one as --embedder"
        )
    heads = checkpoint.heads if checkpoint.kind == "ruc" else (checkpoint.head,)
    branches = list(zip(checkpoint.backbones, heads, strict=True))
    found = int(heads[0][-1].out_features)  # type: ignore[arg-type]
    if n_clusters not in (None, found):
        raise InputError(
            f"{n_clusters} clusters asked of {checkpoint.path}, which has {found}; expected -k {found}, or none"
        )

    def logits(images: Tensor) -> Tensor:
        images = resized(images, checkpoint.side)
        return torch.stack([head(backbone(images)) for backbone, head in branches]).sum(dim=0)

    modules = [module for branch in branches for module in branch]
    probabilities = apply_in_batches(logits, modules, pixels, runtime, "clustering").softmax(dim=1).numpy()
    labels: NDArray[np.int64] = probabilities.argmax(axis=1)
    return Clustering(labels, probabilities, found, str(checkpoint.path), "network")
