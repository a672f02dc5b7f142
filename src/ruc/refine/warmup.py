"""New heads fitted before a backbone is touched: a random head would first undo what the backbone knows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ruc.networks import ImageNetwork, LastBlocksNetwork
from ruc.refine.spaces import Space
from ruc.refine.trust import Trust
from ruc.runtime import Runtime

BLOCK_ROWS = 500  # at a time, for the memory
N_STEPS = 50  # of a convex fit: until it stands still
SMOOTHING = 0.1  # of its labels, so that heads don't begin over-confident; no experiment behind it
PENALTY = 1e-3  # so that the fit has an end; no experiment behind it


def warm_up_heads(networks: Sequence[nn.Module], space: Space, trust: Trust, runtime: Runtime) -> None:
    """Fit the linear head of each network to a random half of the clean samples; the halves differ, so the heads do.

    Multinomial logistic regression on the backbone's features of the plain views. Networks that are heads alone are
    left as they are.

    Parameters
    ----------
    networks
        Changed in place.
    space
        Supplies the plain views.
    trust
        The labels, and which are clean.
    """
    generator = runtime.generator("refine/warm-up")
    clean = trust.is_clean.nonzero().squeeze(1)
    for network in networks:
        if isinstance(network, ImageNetwork | LastBlocksNetwork):
            drawn = torch.randperm(len(clean), generator=generator)[: max(1, len(clean) // 2)]
            half = clean[drawn.to(clean.device)]
            _fit_head(network.head, _features(network, space, half), trust.pseudo_labels[half])


@torch.no_grad()
def _features(network: ImageNetwork | LastBlocksNetwork, space: Space, rows: Tensor) -> Tensor:
    network.eval()
    return torch.cat([network.backbone(space.plain(part)) for part in torch.split(rows, BLOCK_ROWS)])


def _fit_head(head: nn.Module, features: Tensor, labels: Tensor) -> None:
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=N_STEPS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        penalty = sum(parameter.square().sum() for parameter in head.parameters())
        loss = functional.cross_entropy(head(features), labels, label_smoothing=SMOOTHING) + PENALTY * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
