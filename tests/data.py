"""Real images that some tests read; experiments/DATA.md says what they are."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("RUC_DATA", Path(__file__).parents[1] / "../shared/data"))


def data_set(name: str) -> Path:
    """A folder with `images/` and `truth.csv`; the test is skipped where there is none."""
    if not (FOLDER / name).is_dir():
        pytest.skip(f"{FOLDER / name} is not here; the environment variable RUC_DATA says where it is")
    return FOLDER / name
