"""A run of three images."""

import numpy as np
import pytest

from ruc.run_folder import Run


@pytest.fixture
def run() -> Run:
    return Run(
        settings={"source": "photos", "seed": 3, "refine": {"epsilon": 0.5}},
        file_names=("c,d.png", "a.png", "b é.png"),
        cluster=np.array([1, 0, 1]),
        confidence=np.array([0.75, 0.5, 0.875], np.float32),
        initial_cluster=np.array([1, 1, -1]),
        was_clean=np.array([True, False, False]),
        is_clean=np.array([True, True, False]),
        probabilities=np.array([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]], np.float32),
        features=np.eye(3, 4, dtype=np.float32),
        cluster_names=("0", "sea"),
        skipped=(("bad.jpg", "truncated"),),
        history=({"epoch": 0, "clean_loss": 0.5},),
        marks={"copy_of": np.array(["", "", "a.png"]), "is_outlier": np.array([False, True, False])},
        notes={"warnings": ["one"]},
    )
