"""Checkpoints: they outlast an interruption, and go when they no longer fit or the run can't be done."""

import contextlib
from pathlib import Path

import pytest
import torch

from ruc.errors import RunFolderError
from ruc.networks import State
from ruc.run_folder import Checkpoints, checkpoints


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


def test_configuration_and_tensors_are_of_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at any rename, what is loaded was saved together."""
    kept = Checkpoints(tmp_path)
    kept.save("base", State({"epoch": 0}, {"epoch": torch.tensor(0)}))
    rename = Path.replace
    for n_done in range(3):
        done = []

        def interrupted(self: Path, target: Path, done=done, most=n_done) -> Path:
            if len(done) == most:
                raise KeyboardInterrupt
            done.append(1)
            return rename(self, target)

        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(Path, "replace", interrupted)
            kept.save("base", State({"epoch": n_done + 1}, {"epoch": torch.tensor(n_done + 1)}))
        state = kept.load("base")
        assert state is not None and state.config["epoch"] == int(state.weights["epoch"])


def test_now_and_then_is_not_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, made = Checkpoints(tmp_path), []

    def make() -> State:
        made.append(1)
        return State({}, {"x": torch.zeros(1)})

    Checkpoints().save_now_and_then("stage", make)  # nowhere
    kept.save_now_and_then("stage", make)
    kept.save_now_and_then("stage", make)
    assert len(made) == 1
    monkeypatch.setattr("ruc.run_folder.unfinished.SECONDS_BETWEEN", 0.0)
    kept.save_now_and_then("stage", make)
    assert len(made) == 2
