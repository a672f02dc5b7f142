"""The command line as a user meets it: doors, exit status, one-line errors, nothing left behind."""

import csv
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ruc.belief.predictor import Predictor
from ruc.cli import WAITING, main
from ruc.edits import run_id
from ruc.embed.scaling import fit_scaling
from ruc.errors import InputError
from ruc.export.export import DEFAULT_TARGETS
from ruc.run_folder import Run, read_model, read_run, write_run

QUICK = ["--embedder", "pixels", "--base", "kmeans", "--epochs", "3", "--device", "cpu", "-q"]


def ruc(*arguments: object) -> int:
    """Run the command line and return its exit status."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def write_truth(path: Path, truth: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "label"), *truth.items()])
    return path


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ruc.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'torch', 'numpy', 'sklearn', 'transformers', 'matplotlib', 'pyarrow'} & set(sys.modules)\n"
        # They read it when they are loaded.
        "import os\nassert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE' and os.environ['OPENBLAS_NUM_THREADS'] == '1'"
    )
    unset = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=unset
    )
    assert done.returncode == 0, done.stderr
    for door in ("cluster", "refine", "predict", "evaluate", "embed", "demo"):
        assert f"\n  {door} " in done.stdout


def test_cluster_evaluate_predict(shapes: tuple[Path, dict[str, str]], tmp_path: Path, capsys) -> None:
    folder, truth = shapes
    run = tmp_path / "run"
    assert ruc("cluster", folder, "-k", 3, "-o", run, *QUICK) == 0
    shown = capsys.readouterr().out
    assert (
        "60 images in 3 clusters" in shown and "most doubtful:" in shown and str(run / "report.html") in shown
    )

    assert ruc("evaluate", run, "--truth", write_truth(tmp_path / "truth.csv", truth), "-q") == 0
    assert "accuracy" in capsys.readouterr().out
    assert (run / "metrics.json").exists() and (run / "figures" / "confusion_refined.svg").exists()

    predictions = tmp_path / "new.csv"
    assert ruc("predict", run, folder, "-o", predictions, "-q") == 0
    with predictions.open(newline="") as file:
        predicted = {row["file_name"]: int(row["cluster"]) for row in csv.DictReader(file)}
    result = read_run(run)
    assert predicted == dict(zip(result.file_names, result.cluster.tolist(), strict=True))


def test_predict_raw_is_the_networks_own_confidence(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = np.eye(3, 12)[np.arange(90) % 3] + 0.3 * random.standard_normal((90, 12))
    np.save(tmp_path / "f.npy", rows.astype(np.float32))
    run = tmp_path / "run"
    assert ruc("cluster", "--features", tmp_path / "f.npy", "-k", 3, "-o", run, "-q", "--epochs", 2) == 0
    confidence = []
    for flags in ([], ["--raw"]):
        output = tmp_path / "new.csv"
        assert (
            ruc("predict", run, "--features", tmp_path / "f.npy", "-o", output, "-q", *flags, "--overwrite")
            == 0
        )
        with output.open(newline="") as file:
            confidence.append([float(row["confidence"]) for row in csv.DictReader(file)])
    np.testing.assert_allclose(confidence[0], read_run(run).confidence, atol=1e-4)
    predictor = Predictor.from_state(read_model(run)["pair"], torch.device("cpu"))
    logits = predictor.logits(torch.from_numpy(read_run(run).features))
    np.testing.assert_allclose(confidence[1], logits.softmax(dim=1).amax(dim=1).numpy(), atol=1e-4)
    assert not np.allclose(confidence[0], confidence[1], atol=1e-3)


def test_what_may_need_a_hand_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.arange(90) % 3
    rows = np.eye(3, 12)[labels] + 0.3 * np.random.default_rng(0).standard_normal((90, 12))
    sure, unsure = np.eye(3)[labels] * 0.997 + 0.001, np.array([0.3, 0.3, 0.4])
    for name, array in {
        "f": rows.astype(np.float32), "l": labels, "p": np.where(labels[:, None] == 2, unsure, sure),
    }.items():  # fmt: skip
        np.save(tmp_path / f"{name}.npy", array)
    given = ["--features", tmp_path / "f.npy", "--labels", tmp_path / "l.npy"]
    constants = ["--epochs", 1, "--set", "weigh_given=false", "--set", "propagation=0", "--device", "cpu"]
    probabilities = ["--probabilities", tmp_path / "p.npy", "--selection", "confidence"]
    assert ruc("refine", *given, *probabilities, *constants, "-o", tmp_path / "run") == 0
    assert "".join(capsys.readouterr()).count("no clean sample") == 1
    assert ruc("refine", *given, "--selection", "hybrid", *constants, "-o", tmp_path / "other") == 0
    assert "".join(capsys.readouterr()).count("gives no probabilities") == 1


def test_config_of_a_run_repeats_it(shapes: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    assert ruc("cluster", shapes[0], "-k", 3, "-o", run, *QUICK, "--seed", 7) == 0
    assert ruc("cluster", "--config", run / "config.yaml", "-o", again, "-q") == 0
    assert (run / "clusters.csv").read_text() == (again / "clusters.csv").read_text()
    np.testing.assert_array_equal(np.load(run / "probabilities.npy"), np.load(again / "probabilities.npy"))
    settings = yaml.safe_load((again / "config.yaml").read_text())
    assert settings["seed"] == 7 and settings["n_clusters"] == 3 and settings["made_with"]["torch"]
    assert ruc("cluster", "--config", run / "config.yaml", "-q") == 0  # into the same folder


def test_refine_keeps_text_labels_and_places_the_unknown(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, truth = shapes
    noisy = dict(truth)
    for name in ("000.png", "001.png", "002.png"):
        noisy[name] = ""
    run = tmp_path / "run"
    labels = write_truth(tmp_path / "labels.csv", noisy)
    assert ruc("refine", folder, "--labels", labels, "-o", run, *QUICK[:2], *QUICK[4:]) == 0
    result = read_run(run)
    assert result.cluster_names == ("across", "down", "square")
    assert result.initial_cluster[:3].tolist() == [-1, -1, -1]
    assert set(result.cluster.tolist()) <= {0, 1, 2}
    with (run / "clusters.csv").open(newline="", encoding="utf-8") as file:
        assert {row["cluster_name"] for row in csv.DictReader(file)} <= set(result.cluster_names)


def test_features_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 8))
    labels = np.repeat(np.arange(3), 40)
    np.save(tmp_path / "f.npy", centres[labels] + 0.1 * rng.normal(size=(120, 8)))
    np.save(tmp_path / "l.npy", labels)
    run = tmp_path / "run"
    arguments = ("refine", "--features", tmp_path / "f.npy", "--labels", tmp_path / "l.npy", "-o", run)
    assert ruc(*arguments, "--epochs", 3, "-q") == 0
    result = read_run(run)
    assert result.file_names[:3] == ("0", "1", "2") and result.file_names[-1] == "119"
    assert (result.cluster == labels).mean() > 0.9
    assert ruc("predict", run, "--features", tmp_path / "f.npy", "-o", tmp_path / "p.csv", "-q") == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 121


def test_edits_are_applied_and_taken_back_by_the_command(tmp_path: Path, capsys) -> None:
    rows = np.eye(3, 8)[np.arange(60) % 3] + 0.1 * np.random.default_rng(0).standard_normal((60, 8))
    np.save(tmp_path / "f.npy", rows)
    run = tmp_path / "run"
    assert ruc("cluster", "--features", tmp_path / "f.npy", "-k", 3, "-o", run, "--epochs", 2, "-q") == 0
    before = (run / "clusters.csv").read_text()
    finished = read_run(run)
    edits = [{"op": "rename", "cluster": 0, "name": "cats"}, {"op": "merge", "clusters": [0, 1]}]
    content = {
        "format": "ruc-edits", "version": 1, "edits": edits,
        "run": run_id(finished.file_names, finished.cluster, finished.cluster_names, frozenset()),
    }  # fmt: skip
    (tmp_path / "edits.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert ruc("apply", run, tmp_path / "edits.json") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("cats: 40, 2: 20\n") and f"(ruc undo {run} takes it back)" in shown
    assert ruc("undo", run) == 0
    shown = capsys.readouterr().out
    undone = "taken back: 1 went into cluster 0\ntaken back: cluster 0 was called 'cats'\n"
    assert shown.startswith(f"{undone}0: 20, 1: 20, 2: 20\n") and "ruc undo" not in shown
    assert (run / "clusters.csv").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["cluster", "shapes", "-k", "60"], 1),
        (["cluster", "shapes", "-k", "3", "--device", "abacus"], 2),
        (["refine", "shapes", "--labels", "none.csv"], 1),
        (["refine", "shapes", "--labels", "stranger.csv"], 1),
    ],
)
def test_what_cannot_be_done_is_said_before_images_are_read(
    arguments: list[str], status: int, shapes: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("images were read first")

    monkeypatch.setattr("ruc.embedding.load_pixels", read)
    monkeypatch.chdir(tmp_path)
    write_truth(tmp_path / "stranger.csv", {"stranger.png": "0", "other.png": "1"})
    assert ruc(*arguments, "--embedder", "pixels", "-q") == status


def test_embed(shapes: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    assert ruc("embed", shapes[0], "--embedder", "pixels", "-o", tmp_path / "out" / "f.npy", "-q") == 0
    features = np.load(tmp_path / "out" / "f.npy")
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    names = (tmp_path / "out" / "f.csv").read_text().split()
    assert names[0] == "file_name" and names[1:] == sorted(shapes[1])


def test_features_of_the_images_that_could_be_read(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, truth = shapes
    (folder / "000a.jpg").write_bytes(b"no image")  # not the last one
    features = tmp_path / "out" / "f.npy"
    assert ruc("embed", folder, "--embedder", "pixels", "-o", features, "-q") == 0
    assert f"1 skipped ({tmp_path / 'out' / 'f_skipped.csv'} says why)" in capsys.readouterr().out
    assert (tmp_path / "out" / "f_skipped.csv").read_text().startswith("file_name,reason\n000a.jpg,")
    run = tmp_path / "run"
    given = ["cluster", folder, "--features", features, "-k", 3, "-o", run, "--epochs", 2, "-q"]
    assert ruc(*given) == 0
    result = read_run(run)
    assert result.file_names == tuple(sorted(truth)) and [name for name, _ in result.skipped] == ["000a.jpg"]
    embedded = np.load(features)
    np.testing.assert_allclose(result.features, fit_scaling(embedded)(embedded), rtol=1e-5, atol=1e-6)
    (tmp_path / "out" / "f.csv").unlink()
    assert ruc(*given, "--overwrite") == 1
    assert "61 image files found, 60 rows of features given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "run", "shapes", "-o", "shapes"], "shapes is a folder"),
        (["predict", "run", "shapes", "-o", "file/new.csv"], "cannot write to file"),
        (["predict", "run", "table.csv", "-o", "table.csv"], "table.csv would be replaced"),
        (["embed", "shapes", "--embedder", "pixels", "-o", "file/f.npy"], "cannot write to file"),
        (["embed", "shapes", "--embedder", "pixels", "-o", "."], ". exists already"),
        (["embed", "table.csv", "--embedder", "pixels", "-o", "table.npy"], "table.csv would be replaced"),
        (["export", "run", "--to", "parquet", "-o", "file/x.parquet"], "cannot write to file"),
        (["export", "run", "--to", "folders", "-o", "file/sorted"], "cannot write to file"),
        (["export", "run", "--to", "coco", "-o", "pipe"], "pipe is a folder, a link or a device"),
        (["demo", "-o", "file"], "cannot write to file"),
    ],
)
def test_an_output_that_cannot_be_written_is_said_before_the_work(
    arguments: list[str],
    message: str,
    shapes: tuple[Path, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.chdir(tmp_path)
    write_run(Path("run"), small_run("shapes", tuple(sorted(shapes[1]))), {})
    Path("file").write_text("mine")
    os.mkfifo("pipe")
    Path("table.csv").write_text("\n".join(["file_name", *(f"shapes/{name}" for name in shapes[1])]))
    for place in ("ruc.doors.predict.predict", "ruc.embedding.embed_images", "ruc.export.parquet.table_of"):
        monkeypatch.setattr(place, work)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert ruc(*arguments) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("ruc: ") and message in shown and len(shown.strip().splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def small_run(source: str, names: tuple[str, ...]) -> Run:
    """A finished run of two clusters, without a model."""
    cluster = np.arange(len(names)) % 2
    probabilities = np.eye(2, dtype=np.float32)[cluster]
    sure = np.ones(len(names), bool)
    return Run(
        settings={"source": source},
        file_names=names,
        cluster=cluster,
        confidence=probabilities.max(axis=1),
        initial_cluster=cluster,
        was_clean=sure,
        is_clean=sure,
        probabilities=probabilities,
        features=probabilities,
        cluster_names=("0", "1"),
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["cluster", "-k", "3"], 2, "neither images nor features given"),
        (["cluster", "nowhere", "-k", "3"], 1, "nowhere"),
        (["cluster", "empty", "-k", "3"], 1, "no image"),
        (["cluster", "shapes", "-k", "61"], 1, "60"),
        (["cluster", "shapes", "-k", "1"], 2, "at least 2"),
        (["cluster", "shapes", "-k", "three"], 2, "'three' given"),
        (["cluster", "shapes", "-k", "3", "--base", "magic"], 2, "'magic'"),
        (["cluster", "shapes", "-k", "3", "--space", "image"], 2, "--embedder lite0 or contrastive"),
        (["cluster", "shapes", "-k", "3", "--set", "epsilon=7"], 2, "epsilon=7"),
        (["cluster", "shapes", "-k", "3", "--config", "none.yaml"], 1, "none.yaml"),
        (["cluster", "broken", "-k", "2"], 1, "cannot be read"),
        (["refine", "shapes", "--labels", "none.csv"], 1, "none.csv"),
        (["refine", "shapes", "--labels", "stranger.csv"], 1, "stranger.png"),
        (["refine", "shapes"], 2, "--labels"),
        (["predict", "empty", "shapes"], 1, "empty is not a finished run"),
        (["evaluate", "empty", "--truth", "stranger.csv"], 1, "empty is not a finished run"),
        (
            ["evaluate", "empty", "--truth", "stranger.csv", "--attack", "fgsm,cw"],
            2,
            "attack 'cw' given; expected fgsm or bim",
        ),
    ],
)
def test_what_cannot_be_done_says_so_in_one_line_and_leaves_nothing(
    arguments: list[str],
    status: int,
    message: str,
    shapes: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    for number in range(4):
        (tmp_path / "broken" / f"{number}.jpg").write_bytes(b"no image")
    write_truth(tmp_path / "stranger.csv", {"stranger.png": "0", "other.png": "1"})
    before = sorted(tmp_path.rglob("*"))
    extra = ["-o", "out"] if arguments[0] in ("cluster", "refine") else []
    embedder = ["--embedder", "pixels"] if arguments[0] in ("cluster", "refine") else []
    assert ruc(*arguments, *extra, *embedder, "-q") == status
    shown = capsys.readouterr()
    assert shown.err.startswith("ruc: ") and message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["cluster", "--no-such-option"],
        ["nonsense"],
        ["evaluate", "run"],
        ["cluster", "x", "--review", "half"],
        ["cluster", "x", "--set", "epsilon"],
        ["cluster", "x", "--set", "epsilon=["],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    assert ruc(*arguments) == 2


def test_what_waits_for_ever_holds_no_command_that_is_done(tmp_path: Path) -> None:
    script = (
        "import atexit, sys, threading\n"
        "from ruc.cli import main\n"
        "atexit.register(print, 'the last function')\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "main()\n"
    )
    for arguments, status in ((["--version"], 0), (["info", str(tmp_path)], 1), (["nonsense"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status
        assert done.stdout.endswith("the last function\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize(
    "arguments",
    [
        ("refine", "--features", "f.npy", "--labels", "pipe", "-o", "new"),
        ("refine", "--features", "f.npy", "--labels", "l.npy", "--probabilities", "pipe.npy", "-o", "new"),
        ("cluster", "--features", "pipe.npy", "-k", "2", "-o", "new"),
        ("cluster", "--config", "pipe", "-o", "new"),
        ("embed", "images.npy", "--embedder", "pipe.pth", "-o", "new.npy"),
    ],
)
def test_a_pipe_is_never_waited_for(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", np.eye(4))
    np.save("l.npy", np.arange(4) % 2)
    np.save("images.npy", np.zeros((4, 8, 8), np.uint8))
    for name in ("pipe", "pipe.npy", "pipe.pth"):
        os.mkfifo(name)
    assert ruc(*arguments) == 1
    assert "a pipe, not a file" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "n_lines"), [("0", 1), ("1", 0)])
def test_of_several_processes_the_first_does_what_is_not_divided(
    rank: str, n_lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": rank, "TORCHELASTIC_RUN_ID": "a"}.items():
        monkeypatch.setenv(name, value)
    assert ruc("info", str(tmp_path / "none")) == n_lines
    assert len(capsys.readouterr().err.splitlines()) == n_lines


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ruc("--version") == 0
    assert capsys.readouterr().out == f"ruc {version('ruc')}\n"


def test_the_usual_names_of_exports_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert ruc("export", "--help") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in DEFAULT_TARGETS.values())


def test_an_interrupted_demo_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ruc.pipeline.run_to_folder", interrupt)
    assert ruc("demo", "-o", tmp_path / "demo") == 130
    shown = capsys.readouterr()
    assert "ruc cluster" in shown.out and "ruc evaluate" not in shown.out and "interrupted" in shown.err


def test_debug_leaves_the_error_to_python(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        main(["cluster", str(tmp_path / "no"), "-k", "2", "--debug"])


def test_unreadable_images_are_listed_with_a_reason(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = shapes
    (folder / "bad.jpg").write_bytes(b"")
    assert ruc("cluster", folder, "-k", 3, "-o", tmp_path / "run", *QUICK) == 0
    (skipped,) = read_run(tmp_path / "run").skipped
    assert skipped[0] == "bad.jpg" and skipped[1]
    predict = ["predict", tmp_path / "run", folder, "-o", tmp_path / "new.csv", "-q"]
    capsys.readouterr()
    assert ruc(*predict) == 0
    assert f"60 predicted, 1 skipped ({tmp_path / 'new_skipped.csv'} says why): " in capsys.readouterr().out
    with (tmp_path / "new_skipped.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"file_name": skipped[0], "reason": skipped[1]}]
    assert ruc("cluster", folder, "-k", 3, "-o", tmp_path / "run2", *QUICK, "--max-skipped", "0%") == 1
    (folder / "bad.jpg").unlink()
    assert ruc(*predict) == 1
    assert "new.csv exists already; expected a new file" in capsys.readouterr().err
    assert ruc(*predict, "--overwrite") == 0
    assert not (tmp_path / "new_skipped.csv").exists()
