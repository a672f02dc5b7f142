"""A run that was interrupted in any stage goes on where it was, and ends as if it hadn't been."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shapes import write_shapes

from ruc.errors import NothingToClusterError, RunFolderError
from ruc.fingerprint import fingerprint
from ruc.images.source import find_images
from ruc.neighbors.companions import find_companions
from ruc.networks import State
from ruc.pipeline import check_enough, run_to_folder
from ruc.report.data import report_data
from ruc.run_folder import Checkpoints, Run, read_run
from ruc.settings import Settings, make_settings


def quick(folder: Path, output: Path, embedder: str = "contrastive", space: str = "image") -> Settings:
    return make_settings(
        {"source": str(folder), "n_clusters": 3, "output": str(output), "embedder": embedder, "space": space,
         "base": "kmeans", "device": "cpu", "refine": {"n_epochs": 3, "batch_size": 12}}
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def short_training() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ruc.embed.contrastive._enough_epochs", lambda n_images, n_batches: 3)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline") / "shapes"
    write_shapes(folder, per_class=8)
    return folder


@pytest.fixture(scope="module")
def whole(images: Path, short_training: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / "run"
    return run_to_folder(quick(images, output), overwrite=False, verbose=False)


def failing(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("stage", ["initial_clustering", "retrain", "as_run", "write_run"])
def test_an_interrupted_run_ends_as_one_that_was_not(
    stage: str, images: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(images, tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(f"ruc.pipeline.{stage}", failing)
        with pytest.raises(KeyboardInterrupt):
            run_to_folder(settings, overwrite=False, verbose=False)
    with monkeypatch.context() as patched:
        patched.setattr("ruc.embed.known.fit_contrastive", failing)  # the embedder is there already
        run_to_folder(settings, overwrite=False, verbose=False)
    np.testing.assert_array_equal(read_run(tmp_path / "run").probabilities, whole.probabilities)
    assert not (tmp_path / "run" / ".checkpoints").exists()


@pytest.mark.parametrize("stage", ["learning to embed", "refine"])
def test_an_interruption_between_two_epochs_changes_nothing(
    stage: str, images: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, save, saved = quick(images, tmp_path / "run"), Checkpoints.save, []

    def save_then_fail(self: Checkpoints, what: str, state: State) -> None:
        save(self, what, state)
        saved.append(what)
        if saved.count(stage) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ruc.run_folder.unfinished.SECONDS_BETWEEN", 0.0)
        patched.setattr(Checkpoints, "save", save_then_fail)
        with pytest.raises(KeyboardInterrupt):
            run_to_folder(settings, overwrite=False, verbose=False)
    epochs = []
    with monkeypatch.context() as patched:
        patched.setattr(
            "ruc.embed.contrastive.find_companions",
            lambda *given: epochs.append(1) or find_companions(*given),
        )
        resumed = run_to_folder(settings, overwrite=False, verbose=False)
    assert len(epochs) == (1 if stage == "learning to embed" else 0)  # the third of three, the first has none
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    assert [epoch["epoch"] for epoch in resumed.history] == [0, 1, 2]


def test_other_settings_do_not_take_what_an_interrupted_run_left(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick(shapes[0], tmp_path / "run", "pixels", "feature")
    with monkeypatch.context() as patched:
        patched.setattr("ruc.pipeline.retrain", failing)
        with pytest.raises(KeyboardInterrupt):
            run_to_folder(settings, overwrite=False, verbose=False)
    other = run_to_folder(settings.model_copy(update={"n_clusters": 4}), overwrite=False, verbose=False)
    assert other.n_clusters == 4


@pytest.mark.skipif(sys.platform != "linux", reason="the file system takes Unicode alone")
@pytest.mark.parametrize("of_folder", [False, True])
def test_names_that_are_not_unicode_go_to_the_end(
    of_folder: bool, shapes: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder = shapes[0]
    if of_folder:
        folder = folder.rename(tmp_path / os.fsdecode(b"shapes\xff"))
    (folder / "000.png").rename(folder / os.fsdecode(b"bad\xff.png"))
    settings = quick(folder, tmp_path / "run", "pixels", "feature")
    for _ in range(2):  # the second time the settings are compared with those that were written
        run_to_folder(settings, overwrite=False, verbose=False)
    run = read_run(tmp_path / "run")
    assert run.file_names[-1] == r"bad\udcff.png" and run.settings["source"] == str(folder)


def test_images_are_told_by_where_they_are(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    shutil.copytree(shapes[0], tmp_path / "other" / "shapes")
    monkeypatch.chdir(tmp_path)
    settings = quick(Path("shapes"), tmp_path / "run", "pixels", "feature")
    run_to_folder(settings, overwrite=False, verbose=False)
    same = settings.model_copy(update={"source": "other/../shapes/"})
    run_to_folder(same, overwrite=False, verbose=False)
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(RunFolderError, match=r"other settings \(source\)"):
        run_to_folder(settings, overwrite=False, verbose=False)


def test_the_names_beside_features_count_among_what_a_checkpoint_fits(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    np.save(tmp_path / "f.npy", np.eye(60))
    settings = make_settings({"source": str(shapes[0]), "features": str(tmp_path / "f.npy")})
    prints = []
    for names in ("", "file_name\n000.png\n", "file_name\n000.png\n001.png\n"):
        (tmp_path / "f.csv").write_text(names)
        prints.append(fingerprint(settings, find_images(shapes[0])))
    assert len(set(prints)) == 3


@pytest.mark.parametrize(("given", "what"), [({"source": "x"}, "images"), ({"features": "x.npy"}, "samples")])
def test_too_few_are_called_what_they_are(given: dict[str, str], what: str) -> None:
    with pytest.raises(
        NothingToClusterError, match=f"3 {what} given for 3 .* more {what} than .* add {what}$"
    ):
        check_enough(3, make_settings({**given, "n_clusters": 3}))


@pytest.mark.parametrize("with_labels", [False, True])
def test_a_run_says_whether_its_confidence_estimates_or_ranks(with_labels: bool, tmp_path: Path) -> None:
    """Labels from elsewhere are judged by the features; a clustering of these isn't, and has a stability."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "f.npy", rng.normal(0, 0.1, (200, 8)) + np.eye(8)[np.arange(200) % 3])
    np.save(tmp_path / "labels.npy", np.arange(200) % 3)
    about = {"labels": str(tmp_path / "labels.npy")} if with_labels else {"n_clusters": 3, "base": "kmeans"}
    settings = make_settings(
        {"features": str(tmp_path / "f.npy"), "output": str(tmp_path / "run"), "device": "cpu",
         "refine": {"n_epochs": 1}, **about}
    )  # fmt: skip
    run_to_folder(settings, overwrite=False, verbose=False)
    run = read_run(tmp_path / "run")
    assert run.notes["is_calibrated"] == with_labels
    assert report_data(run).is_calibrated == with_labels
    assert ("stability" in run.marks) != with_labels
    np.testing.assert_allclose(run.confidence, run.probabilities.max(axis=1), atol=1e-6)
