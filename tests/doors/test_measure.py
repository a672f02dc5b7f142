"""Finished runs against the truth: what keeps the numbers from being written is said before they are made."""

from pathlib import Path

import numpy as np
import pytest
from runs import make_checkable
from test_cli import small_run

from ruc.doors.measure import measure_runs
from ruc.errors import RunFolderError
from ruc.run_folder import write_run
from ruc.runtime import Runtime


def test_a_run_that_cannot_be_written_to_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def work(*_: object) -> None:
        raise AssertionError("the work was begun")

    write_run(tmp_path / "run", small_run("photos", ("a", "b", "c")), {})
    np.save(tmp_path / "truth.npy", np.array([0, 1, 0]))
    monkeypatch.setattr("tempfile.TemporaryFile", forbidden)
    monkeypatch.setattr("ruc.doors.measure.evaluate_run", work)
    with pytest.raises(RunFolderError, match=r"cannot write to .*run \(Permission denied\); expected"):
        measure_runs([tmp_path / "run"], tmp_path / "truth.npy", Runtime("cpu"))


def test_a_truth_of_other_images_is_told_by_its_agreement(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruc.doors.measure.evaluation_figures", lambda *_: {})
    run, _ = make_checkable(200)
    write_run(tmp_path / "run", run, {})
    for name, truth in (
        ("own", run.cluster),
        ("other", np.random.default_rng(0).permutation(run.cluster)),
        ("few", np.where(np.arange(200) < 1, run.cluster, -1)),
    ):
        caplog.clear()
        np.save(tmp_path / f"{name}.npy", truth)
        found = measure_runs([tmp_path / "run"], tmp_path / f"{name}.npy", Runtime("cpu"))
        said = any("no better than with the same labels shuffled" in line for line in caplog.messages)
        assert said == (name != "own")
    accuracy = found[str(tmp_path / "run")].evaluation.refined.numbers["accuracy"]
    assert accuracy.value == 1 and np.isnan([accuracy.low, accuracy.high]).all()


def test_a_run_is_measured_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> str:
        raise KeyboardInterrupt

    write_run(tmp_path / "run", small_run("photos", ("a", "b", "c")), {})
    np.save(tmp_path / "truth.npy", np.array([0, 1, 0]))
    before = {path.name for path in (tmp_path / "run").iterdir()}
    for last in ("figure_to_svg", "write_report"):
        with monkeypatch.context() as patched:
            patched.setattr(f"ruc.doors.measure.{last}", failing)
            with pytest.raises(KeyboardInterrupt):
                measure_runs([tmp_path / "run"], tmp_path / "truth.npy", Runtime("cpu"))
        assert {path.name for path in (tmp_path / "run").iterdir()} == before
