"""The folder of a run: what is written is read back, and nothing is lost or left behind when it fails."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

from ruc.errors import RunFolderError
from ruc.networks import State
from ruc.run_folder import (
    Run,
    check_output,
    checkpoints,
    read_model,
    read_run,
    write_evaluation,
    write_run,
)

MODEL = {"pair": State({"kind": "pair"}, {"w": torch.arange(3.0)})}


def test_written_run_is_read_back(tmp_path: Path, run: Run) -> None:
    write_run(tmp_path / "run", run, MODEL, "<html>")
    again = read_run(tmp_path / "run")
    assert again.settings == run.settings
    assert again.file_names == run.file_names
    assert again.skipped == run.skipped
    assert again.history == run.history
    assert again.cluster_names == run.cluster_names
    assert again.notes == run.notes
    assert again.metrics is None and again.initial_probabilities is None
    for name in (
        "cluster",
        "confidence",
        "initial_cluster",
        "was_clean",
        "is_clean",
        "probabilities",
        "features",
    ):
        np.testing.assert_array_equal(getattr(again, name), getattr(run, name))
    np.testing.assert_array_equal(again.changed, run.changed)
    assert list(again.marks["copy_of"]) == ["", "", "a.png"]
    torch.testing.assert_close(read_model(tmp_path / "run")["pair"].weights["w"], torch.arange(3.0))


def test_folder_holds_what_the_contract_names(tmp_path: Path, run: Run) -> None:
    write_run(tmp_path, run, MODEL, "<html>")
    expected = {
        "config.yaml", "clusters.csv", "clusters.parquet", "probabilities.npy", "features.npy", "skipped.csv",
        "history.csv", "review.csv", "model", "report.html", "notes.json",
    }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == expected
    lines = (tmp_path / "clusters.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("file_name,cluster,confidence,initial_cluster,was_clean,is_clean,changed")
    assert lines[1].startswith('"c,d.png",1,0.75,1,True,True,False')  # in the order of the run
    assert lines[2].startswith("a.png,0,0.5,1,False,True,True")
    assert parquet.read_table(tmp_path / "clusters.parquet").column("file_name").to_pylist() == [
        "c,d.png", "a.png", "b é.png",
    ]  # fmt: skip
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".json", ".safetensors"}


def test_who_may_read_the_table_may_read_the_model(tmp_path: Path, run: Run) -> None:
    write_run(tmp_path, run, MODEL)
    files = [tmp_path / "clusters.csv", *(tmp_path / "model").iterdir()]
    assert len({path.stat().st_mode for path in files}) == 1 and len(files) == 3


def test_stale_files_go_when_a_run_is_replaced(tmp_path: Path, run: Run) -> None:
    write_run(tmp_path, replace(run, initial_probabilities=run.probabilities), MODEL, "<html>")
    write_evaluation(tmp_path, read_run(tmp_path), {"accuracy": 1.0}, {"reliability": "<svg/>"}, "<html>")
    assert read_run(tmp_path).metrics == {"accuracy": 1.0}
    write_run(tmp_path, read_run(tmp_path))
    assert (tmp_path / "figures" / "reliability.svg").exists()
    write_run(tmp_path, run, MODEL, "<html>")
    assert read_run(tmp_path).metrics is None
    assert not (tmp_path / "figures").exists()
    assert read_run(tmp_path).initial_probabilities is None


def test_full_disk_keeps_the_old_run(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, run, MODEL, "<html>")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(RunFolderError, match="no space left"):
        write_run(tmp_path, replace(run, cluster=np.array([0, 0, 0])), MODEL, "<html>")
    monkeypatch.undo()
    np.testing.assert_array_equal(read_run(tmp_path).cluster, run.cluster)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("content", ["file", "other", "run"])
def test_output_that_is_something_else_is_refused_and_kept(tmp_path: Path, run: Run, content: str) -> None:
    folder = tmp_path / "out"
    if content == "file":
        folder.write_text("mine")
    elif content == "other":
        folder.mkdir()
        (folder / "thesis.tex").write_text("mine")
    else:
        write_run(folder, run, MODEL, "<html>")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RunFolderError, match=r"out .*expected.*: give another -o"):
        check_output(folder, {"source": "elsewhere"}, overwrite=False)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_the_same_settings_may_run_again(tmp_path: Path, run: Run) -> None:
    given = {"source": "photos", "seed": 3, "embedder": "auto", "output": "x"}
    write_run(tmp_path, replace(run, notes={"given_settings": given}), MODEL, "<html>")
    check_output(tmp_path, {**given, "output": "y"}, overwrite=False)  # as given
    check_output(tmp_path, run.settings, overwrite=False)  # as resolved
    with pytest.raises(RunFolderError, match="other settings \\(seed\\)"):
        check_output(tmp_path, {**given, "seed": 4}, overwrite=False)
    check_output(tmp_path, {**given, "seed": 4}, overwrite=True)


def test_a_repeat_that_was_interrupted_leaves_the_finished_run_its_checks(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, {}):
        raise KeyboardInterrupt
    check_output(folder, {"seed": 4}, overwrite=False)  # nothing was finished, and nothing is lost
    write_run(folder, run, MODEL, "<html>")
    with pytest.raises(KeyboardInterrupt), checkpoints(folder, {}):
        raise KeyboardInterrupt
    with pytest.raises(RunFolderError, match="other settings \\(seed\\)"):
        check_output(folder, {**run.settings, "seed": 4}, overwrite=False)
    check_output(folder, run.settings, overwrite=False)
    check_output(folder, {**run.settings, "seed": 4}, overwrite=True)


def test_a_repeat_loses_no_edits(tmp_path: Path, run: Run) -> None:
    write_run(tmp_path, replace(run, notes={"edits": [{"rename": 0}]}), MODEL, "<html>")
    with pytest.raises(RunFolderError, match=r"a repeat would lose the edits; .*--overwrite"):
        check_output(tmp_path, run.settings, overwrite=False)
    check_output(tmp_path, run.settings, overwrite=True)


def test_reading_what_is_no_run(tmp_path: Path, run: Run) -> None:
    with pytest.raises(RunFolderError, match="not a finished run"):
        read_run(tmp_path / "nowhere")
    write_run(tmp_path, run, MODEL, "<html>")
    np.save(tmp_path / "probabilities.npy", run.probabilities[:2])
    with pytest.raises(RunFolderError, match=r"3 rows and probabilities\.npy 2"):
        read_run(tmp_path)
    (tmp_path / "notes.json").write_text(json.dumps({"no": "names"}))
    with pytest.raises(RunFolderError, match=r"notes\.json cannot be read \(cluster_names is missing\)"):
        read_run(tmp_path)
    (tmp_path / "model" / "pair.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_model(tmp_path)
    (tmp_path / "model" / "pair.json").unlink()
    with pytest.raises(RunFolderError, match=r"cannot be read \(model/pair\.json is missing\)"):
        read_model(tmp_path)
