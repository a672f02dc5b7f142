"""Small images in a folder, and one thread unless another number is asked for: two fight over tiny networks."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# What takes longest is begun first, so that all workers end together.
LONGEST_FIRST = (
    "scale/test_over_ray.py",
    "test_docs.py",
    "export/test_export_onnx.py",
    "report/test_report_browser.py",
    "reliability/test_reliability.py",
    "refine/test_processes.py",
    "test_cli.py",
    "test_image_space.py",
    "test_estimators.py",
)

MOST_WRITTEN = 2**30  # bytes that lie in folders of tests at a time; a fifth is


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--threads", type=int, default=1, help="threads of torch")
    parser.addoption(
        "--other-seed", type=int, default=0, help="draw everything that a run draws by another seed"
    )


def pytest_configure(config: pytest.Config) -> None:
    n_threads = config.getoption("--threads")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of the commands that tests start
        os.environ.setdefault(name, str(n_threads))
    memory = Path("/dev/shm")  # where nothing waits for a disk
    if memory.is_dir() and shutil.disk_usage(memory).free > MOST_WRITTEN:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))
    if not config.getoption("numprocesses", None):  # not in the process that only hands out the tests
        _limit_threads(n_threads)
        _draw_by(config.getoption("--other-seed"))


def _limit_threads(n_threads: int) -> None:
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)  # numpy's and scikit-learn's, which wait for each other by spinning


def _draw_by(other: int) -> None:
    """What a test of learning shows must not hang on one draw: of ten, nine or more have to pass."""
    from ruc.runtime import Runtime

    seed_of = Runtime.numpy_seed
    if other:
        Runtime.numpy_seed = lambda self, purpose: seed_of(self, f"{other}, {purpose}")  # type: ignore[method-assign]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A worker takes a file at a time (`--dist loadfile`), and makes what its tests share once."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def shapes(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of 60 images in three shapes, and the shape of each."""
    from shapes import write_shapes

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
