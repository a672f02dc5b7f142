"""Checkpoints: they outlast an interruption, and go when they no longer fit or the run can't be done."""

import contextlib
import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from ruc.errors import InputError, RunFolderError
from ruc.networks import State
from ruc.run_folder import Checkpoints, Run, checkpoints, read_model, write_run


def test_checkpoints_outlast_an_interruption_but_not_other_settings(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, {"base": "one"}) as kept:
        kept.save("base", State({"n": 2}, {"labels": torch.arange(4)}))
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, {"base": "one"}) as kept:
        state = kept.load("base")
        assert state is not None and state.config == {"n": 2}
        assert kept.load("refine") is None
        raise KeyboardInterrupt
    with checkpoints(folder, {"base": "two"}) as kept:
        assert kept.load("base") is None


@pytest.mark.parametrize("n_bytes", [0, 5, 90])
def test_a_checkpoint_that_was_cut_off_is_none(
    n_bytes: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Checkpoints(tmp_path)
    kept.save("base", State({"n": 2}, {"labels": torch.arange(4)}))
    path = tmp_path / "base.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert kept.load("base") is None
    assert "base.safetensors cannot be read" in caplog.text and "done again" in caplog.text
    kept.save("base", State({"n": 3}, {}))
    assert kept.load("base") == State({"n": 3}, {})


def test_what_was_paid_for_outlasts_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(InputError), checkpoints(folder, {"base": "one"}) as kept:
        kept.save("base", State({}, {"labels": torch.arange(4)}))
        raise InputError("no")
    with checkpoints(folder, {"base": "one"}) as kept:
        assert kept.load("base") is not None


def test_nothing_stays_where_nothing_was_paid_for(tmp_path: Path) -> None:
    with pytest.raises(InputError), checkpoints(tmp_path / "out", {}):
        raise InputError("no")
    assert not (tmp_path / "out").exists()


def test_a_stage_outlasts_settings_that_it_does_not_depend_on(tmp_path: Path) -> None:
    with pytest.raises(InputError), checkpoints(tmp_path, {"embedder": "a", "base": "k=2"}) as kept:
        for stage in ("embedder", "base"):
            kept.save(stage, State({}, {}))
        raise InputError("no")
    with checkpoints(tmp_path, {"embedder": "a", "base": "k=3"}) as kept:
        assert kept.load("embedder") is not None and kept.load("base") is None


def test_two_at_once_do_not_share_checkpoints(tmp_path: Path) -> None:
    with checkpoints(tmp_path, {}) as kept:
        kept.save("base", State({}, {}))
        with pytest.raises(RunFolderError, match="another ruc is at work in"), checkpoints(tmp_path, {}):
            pass
        assert kept.load("base") is not None


FULL = OSError(errno.ENOSPC, "No space left on device")
RUST_FULL = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
OLD_RUST_FULL = SafetensorError(
    'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "…" })'
)


@pytest.mark.parametrize(
    ("writer", "error", "message"),
    [
        ("numpy.lib.format.write_array_header_1_0", FULL, "no space left"),
        (
            "numpy.lib.format.write_array_header_1_0",
            OSError("192000 requested and 36832 written"),
            "no space left",
        ),
        ("safetensors.torch.save_file", RUST_FULL, "no space left"),
        ("safetensors.torch.save_file", OLD_RUST_FULL, "no space left"),
        (
            "numpy.lib.format.write_array_header_1_0",
            OSError(errno.EIO, "Input/output error"),
            r"cannot write to .* \(Input/output error\)",
        ),
    ],
)
@pytest.mark.parametrize("existed", [False, True])
def test_checkpoints_outlast_results_that_cannot_be_written(
    writer: str,
    error: Exception,
    message: str,
    existed: bool,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    folder = tmp_path / "out"
    if existed:
        folder.mkdir()
    model = {"pair": State({}, {"w": torch.arange(3.0)})}
    with pytest.raises(RunFolderError, match=message), checkpoints(folder, {"base": "one"}) as kept:
        kept.save("base", State({}, {"labels": torch.arange(4)}))
        with monkeypatch.context() as patched:
            patched.setattr(writer, full)
            write_run(folder, run, model, "<html>")
    with checkpoints(folder, {"base": "one"}) as kept:
        state = kept.load("base")
        assert state is not None
        torch.testing.assert_close(state.weights["labels"], torch.arange(4))


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Checkpoints(tmp_path)
    kept.save("refine", State({"epoch": 1}, {"x": torch.zeros(1)}))

    def full(_: object, path: Path, __: object) -> None:
        path.write_bytes(b"half")
        raise RUST_FULL

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(RunFolderError, match="no space left"):
        kept.save("refine", State({"epoch": 2}, {"x": torch.ones(1)}))
    state = kept.load("refine")
    assert state is not None and state.config == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["refine.safetensors"]  # half a file takes room


def test_an_error_of_reading_is_not_said_to_be_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), checkpoints(tmp_path / "out", {"base": "one"}):
        raise PermissionError(errno.EACCES, "Permission denied", "labels.csv")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(RunFolderError, match=r"cannot write to .*out .*expected.*give another"),
        checkpoints(tmp_path / "file" / "out", {"base": "one"}),
    ):
        pass


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="which files are mapped is seen on Linux")
def test_what_was_loaded_does_not_keep_its_file_mapped(tmp_path: Path, run: Run) -> None:
    """Windows replaces no file that is mapped, and what a run goes on from lives as long as the run."""
    kept = Checkpoints(tmp_path)
    kept.save("refine", State({}, {"x": torch.zeros(1000)}))
    write_run(tmp_path, run, {"pair": State({}, {"w": torch.zeros(1000)})}, "<html>")
    states = [kept.load("refine"), read_model(tmp_path)["pair"]]
    maps = Path("/proc/self/maps").read_text()
    assert all(state is not None for state in states) and str(tmp_path) not in maps


def test_checkpoints_outlast_a_failure_that_nobody_foresaw(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(MemoryError), checkpoints(folder, {"base": "one"}) as kept:
        kept.save("base", State({}, {"labels": torch.arange(4)}))
        raise MemoryError
    with checkpoints(folder, {"base": "one"}) as kept:
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
