"""One loop for all networks that learn in epochs: it descends, says how far it is, stops, and goes on."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ruc.errors import InputError
from ruc.networks.optimizers import load_optimizer, optimizer_tensors
from ruc.networks.state import State
from ruc.progress import progress
from ruc.runtime import Runtime

# Called after each epoch with its number, its mean loss, and a function that returns the state to resume from.
OnEpoch = Callable[[int, float, Callable[[], State]], None]


def train_epochs(
    what: str,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[int], Iterator[tuple[int, Tensor]]],
    n_epochs: int,
    n_samples: int,
    runtime: Runtime,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
    generator: torch.Generator | None = None,
) -> None:
    """Descend along the losses of one epoch after the other; the network is left in evaluation mode.

    Parameters
    ----------
    what
        Name of the work, for the progress bar, and so that a state isn't taken for another's.
    network
        All that the epochs depend on, in its parameters and buffers.
    optimizer
        Of its parameters, or of some.
    losses
        Yields, for the number of an epoch, each batch's size and loss. What stands behind the `yield` is done after
        the optimiser's step.
    n_epochs, n_samples
        Epochs, and samples in each.
    on_epoch
        Called after each epoch with its number, its mean loss, and a function that returns the state to resume from.
    resume
        Such a state: training goes on where it was taken and ends as if it hadn't been interrupted.
    generator
        Where the losses draw from one generator in all epochs, this one.

    Raises
    ------
    InputError
        The state to resume from is another's.
    """

    def state(epoch: int) -> State:
        tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
        tensors |= {f"optimizer.{key}": value for key, value in optimizer_tensors(optimizer).items()}
        if generator is not None:
            tensors["generator"] = generator.get_state()
        copies = {key: value.detach().cpu().clone() for key, value in tensors.items()}
        return State({"kind": what, "epoch": epoch, "n_samples": n_samples}, copies)

    def restore(state: State) -> int:
        kind, n_theirs = state.config.get("kind"), state.config.get("n_samples", 0)
        if kind != what or n_theirs != n_samples:
            raise InputError(
                f"a state of kind {kind!r} with {n_theirs} samples was given to resume from; expected {what!r} with "
                f"{n_samples} samples; resume with the same data, or start anew"
            )
        network.load_state_dict(state.under("network"))
        load_optimizer(optimizer, state.under("optimizer"))
        if generator is not None:
            generator.set_state(state.weights["generator"])
        return int(state.config["epoch"]) + 1

    first = 0 if resume is None else restore(resume)
    with progress(what, (n_epochs - first) * n_samples, "images", runtime.verbose) as advance:
        for epoch in range(first, n_epochs):
            network.train()
            seen, n_seen = [], 0
            for size, loss in losses(epoch):
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                seen.append(loss.detach())
                n_seen += size
                advance(size)
            advance(n_samples - n_seen)  # where an epoch left some out
            if on_epoch is not None:
                mean = float(torch.stack(seen).mean()) if seen else float("nan")
                on_epoch(epoch, mean, lambda: state(epoch))  # noqa: B023 - called before the next epoch
    network.eval()


def shuffled_batches(
    n_samples: int, batch_size: int, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, ...]:
    """All rows in random order, in batches of nearly equal size: `batch_size`, or a little more."""
    order = torch.randperm(n_samples, generator=generator).to(device)
    return order.tensor_split(max(1, n_samples // batch_size))
