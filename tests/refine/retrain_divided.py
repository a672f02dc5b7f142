"""Retrains a small network by as many processes as there are, and writes down what each of them ends with.

As a program it is two such processes, as `torchrun` starts them but with one import for both; a test calls `main`.
The argument is where they write to.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from ruc.images.views import PAPER
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine import processes
from ruc.refine.ruc import refine
from ruc.refine.select import CleanSelection
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=1)
SETTINGS = RefineSettings(
    n_epochs=3, batch_size=24, learning_rate=0.01, optimizer="sgd", head_warmup=True, promotion_threshold=0.9,
    clean_views=2, precision="float32",
)  # fmt: skip


def problem():
    """Bright and dark squares on noise, three fifths of the labels clean, and a batch that no number divides."""
    generator = np.random.default_rng(0)
    labels = np.arange(61) % 2
    pixels = generator.integers(0, 100, (61, 3, 16, 16), dtype=np.uint8)
    pixels[labels == 1, :, 4:12, 4:12] += 120
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=3, width=4, blocks=(1, 1)))
    is_clean = generator.random(61) < 0.6
    start = CleanSelection(labels.astype(np.int64), 2, is_clean, "neighbors", ())
    return ImageSpace(pixels, backbone, PAPER, CPU), start


def write(folder, trained):
    """The losses, the clean set, what is said of each sample, and the weights of both networks."""
    space, _ = problem()
    losses = [(epoch.clean_loss, epoch.unclean_loss, epoch.smoothing_loss) for epoch in trained.history]
    weights = [tensor.double().sum().item() for network in (trained.pair.first, trained.pair.second)
               for tensor in network.state_dict().values()]  # fmt: skip
    with torch.no_grad():
        said = trained.pair.first.eval()(space.plain(torch.arange(61))).tolist()
    n_processes = dist.get_world_size() if dist.is_initialized() else 1
    found = {
        "n_processes": n_processes, "losses": losses, "clean_since": trained.clean_since.tolist(),
        "weights": weights, "said": said,
    }  # fmt: skip
    (folder / f"{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(found))


def main(folder):
    """The first process retrains, and the others beside it; each writes what it has then."""

    def refine_and_write(*arguments, **keywords):
        trained = refine(*arguments, **keywords)
        write(folder, trained)
        return trained

    processes.refine = refine_and_write
    with processes.processes() as is_first:
        if is_first:
            space, start = problem()
            processes.refine_together(space, start, SETTINGS.filled(space.defaults), CPU)


if __name__ == "__main__":
    other = os.fork()
    rank = "0" if other else "1"
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
    main(Path(sys.argv[1]))
    status = os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]) if other else 0
    os._exit(
        status
    )  # all is written; one in twenty was aborted by gloo's threads while Python ended (torch 2.13.0)
