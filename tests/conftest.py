"""Small images in a folder, and one thread unless another number is asked for: two fight over tiny networks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from shapes import write_shapes
from threadpoolctl import threadpool_limits

from ruc.runtime import Runtime


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads of torch")
    parser.addoption(
        "--other-seed", type=int, default=0, help="draw everything that a run draws by another seed"
    )


def pytest_configure(config: pytest.Config) -> None:
    n_threads = config.getoption("--threads")
    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)  # numpy's and scikit-learn's, which wait for each other by spinning
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of the commands that tests start
        os.environ.setdefault(name, str(n_threads))
    other = config.getoption("--other-seed")
    if other:  # what a test of learning shows must not hang on one draw: of ten, nine or more have to pass
        seed_of = Runtime.numpy_seed
        Runtime.numpy_seed = lambda self, purpose: seed_of(self, f"{other}, {purpose}")  # type: ignore[method-assign]


@pytest.fixture
def shapes(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of 60 images in three shapes, and the shape of each."""
    folder = tmp_path / "shapes"
    return folder, write_shapes(folder)


@pytest.fixture
def backward_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory lists what is in it in backward order."""
    walk = os.walk

    def backward(root: Path, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, folders, files in walk(root, **options):
            folders.sort(reverse=True)
            yield parent, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backward)
