"""What is said of a run whose parts don't fit together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ruc.errors import RunFolderError
from ruc.run_folder import Run
from ruc.run_folder.schema import check_run

NAN = np.float32("nan")
SHARES = np.array([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]], np.float32)


def test_a_whole_run_passes(run: Run) -> None:
    check_run(run, Path("run"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"file_names": ("a", "a", "b")}, "clusters.parquet names an image twice"),
        ({"cluster": np.array([1, 0, 2])}, "row 2 of clusters.parquet has cluster 2, but notes.json names 2"),
        ({"initial_cluster": np.array([1, -2, 0])}, "initial_cluster -2"),
        ({"probabilities": SHARES[:2]}, "clusters.parquet has 3 rows and probabilities.npy 2"),
        ({"probabilities": SHARES[:, :1]}, "probabilities.npy has 1 columns for 2 clusters"),
        (
            {"probabilities": SHARES * 2},
            "row 0 of probabilities.npy doesn't hold probabilities that sum to 1",
        ),
        ({"probabilities": np.where(SHARES == 0.5, NAN, SHARES)}, "row 1 of probabilities.npy"),
        ({"probabilities": SHARES.astype(np.int64)}, "probabilities.npy holds int64"),
        ({"features": np.full((3, 4), NAN)}, "features.npy"),
        ({"features": np.eye(3, 4, dtype=np.float32) * 3}, "features.npy holds 3"),
        ({"cluster_names": ("0", 7)}, "a cluster's name in notes.json is no text"),
        ({"notes": {"edits": [1]}}, "notes.json tells of edits in part only"),
        ({"settings": {"seed": 1.5}}, "seed in config.yaml is no whole number"),
        ({"settings": {"seed": -1}}, "seed in config.yaml is no whole number from 0"),
        ({"settings": {"review": float("nan")}}, "review in config.yaml is no share"),
        ({"settings": {"max_megapixels": [300]}}, "max_megapixels in config.yaml is no number above 0"),
        ({"settings": {"max_skipped": []}}, "max_skipped in config.yaml is no share"),
        ({"settings": {"page": "last"}}, "page in config.yaml is none of first, middle, max"),
        ({"settings": {"value_range": {"uint16": [0]}}}, "value_range in config.yaml has not two numbers"),
        ({"settings": {"base": 3}}, "base in config.yaml is no text"),
        ({"settings": {"refine": "paper"}}, "refine in config.yaml is no mapping"),
        ({"settings": {"made_with": ["ruc"]}}, "made_with in config.yaml is no mapping"),
    ],
)
def test_what_does_not_fit_is_named(run: Run, damage: dict[str, Any], said: str) -> None:
    with pytest.raises(RunFolderError) as error:
        check_run(replace(run, **damage), Path("run"))
    assert said in str(error.value)
    assert str(error.value).startswith("run is no whole run: ")
