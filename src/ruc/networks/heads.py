"""Heads: what stands on a backbone's features."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def linear_head(n_features: int, n_clusters: int) -> nn.Linear:
    """One linear layer, features to logits."""
    return nn.Linear(n_features, n_clusters)


def mlp_head(n_features: int, n_hidden: int, n_clusters: int, dropout: float = 0.0) -> nn.Module:
    """One hidden layer with batch normalisation, features to logits."""
    return nn.Sequential(
        nn.Linear(n_features, n_hidden, bias=False),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(n_hidden, n_clusters),
    )


def projection_head(n_features: int, n_hidden: int, n_out: int) -> nn.Module:
    """SimCLR's projection: features to the space in which views are compared."""
    return nn.Sequential(
        nn.Linear(n_features, n_hidden, bias=False),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Linear(n_hidden, n_out),
    )


def relu_layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them; of a single width, nothing."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
