"""Checkpoints: they outlast an interruption, and go when they no longer fit or the run can't be done."""

from pathlib import Path

import pytest
import torch

from ruc.errors import RunFolderError
from ruc.networks import State
from ruc.run_folder import checkpoints


def test_checkpoints_outlast_an_interruption_but_not_other_settings(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, "one") as kept:
        kept.save("base", State({"n": 2}, {"labels": torch.arange(4)}))
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, "one") as kept:
        state = kept.load("base")
        assert state is not None and state.config == {"n": 2}
        assert kept.load("refine") is None
        raise KeyboardInterrupt
    with checkpoints(folder, "two") as kept:
        assert kept.load("base") is None


def test_checkpoints_go_when_it_cannot_be_done(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(RunFolderError), checkpoints(folder, "one") as kept:
        kept.save("base", State({}, {"labels": torch.arange(4)}))
        raise RunFolderError("no")
    assert not folder.exists()


def test_checkpoints_outlast_a_failure_that_nobody_foresaw(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(MemoryError), checkpoints(folder, "one") as kept:
        kept.save("base", State({}, {"labels": torch.arange(4)}))
        raise MemoryError
    with checkpoints(folder, "one") as kept:
        assert kept.load("base") is not None
