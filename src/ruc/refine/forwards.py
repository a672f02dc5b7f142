"""What passes through a network: what it's asked about a batch, and what it learns from."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ruc.refine.batches import Batch
from ruc.refine.exercise import Exercise
from ruc.refine.settings import RefineSettings

Asked = tuple[Tensor, Tensor]  # views of a batch, and the rows of it whose logits are wanted


class BatchLogits(NamedTuple):
    """What a network says of a batch before it learns from it."""

    plain: Tensor  # (n_rows, n_clusters) logits of the plain views
    weak: tuple[Tensor, Tensor]  # (n_unclean, n_clusters) logits of the two weak views of the unclean


@torch.no_grad()
def batch_logits(batch: Batch, settings: RefineSettings, network: nn.Module) -> BatchLogits:
    """Ask a network about a batch."""
    everyone = torch.arange(len(batch.rows), device=batch.rows.device)
    doubtful = [(view, batch.unclean) for view in (batch.weak_a, batch.weak_b)]
    plain, weak_a, weak_b = predict(network, [(batch.plain, everyone), *doubtful], settings)
    return BatchLogits(plain, (weak_a, weak_b))


def predict(network: nn.Module, asked: Sequence[Asked], settings: RefineSettings) -> list[Tensor]:
    """Logits of the wanted rows of each of several views, by `settings.forwards`."""
    if settings.forwards == "all":
        return [forward(network, views, settings)[wanted] for views, wanted in asked]
    learning = network.training
    network.eval()
    logits = forward(network, torch.cat([views[wanted] for views, wanted in asked]), settings)
    network.train(learning)
    return list(torch.split(logits, [len(wanted) for _, wanted in asked]))


def forward(network: nn.Module, views: Tensor, settings: RefineSettings) -> Tensor:
    """Logits as float32, computed in the precision that the settings name."""
    with torch.autocast(views.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        logits: Tensor = network(views)
    return logits.float()


def learnable_logits(
    network: nn.Module, exercise: Exercise, clean: Tensor, settings: RefineSettings
) -> tuple[Tensor, Tensor]:
    """Logits of the mixed inputs, and of strong views of the clean rows where smoothed labels are learned."""
    inputs, strong = exercise.inputs, exercise.strong
    if strong is None:
        logits = forward(network, inputs, settings)
        return logits, logits.new_zeros((len(clean), logits.shape[1]))
    if settings.forwards == "all":  # the strong views are of all rows of the batch
        return forward(network, inputs, settings), forward(network, strong, settings)[clean]
    logits = forward(network, torch.cat([inputs, strong]), settings)
    return logits[: len(inputs)], logits[len(inputs) :]
