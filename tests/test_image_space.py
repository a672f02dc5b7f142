"""Packaged networks retrained in image space: from the images to the run folder, and what it is used for after."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shapes import write_shapes

from ruc.doors.predict import predict
from ruc.embed.maps import load_blocks
from ruc.errors import InputError
from ruc.evaluation.robustness import LINEAR_HEAD, subjects_of
from ruc.image_space import maps_of_views, space_of_packaged, what_is_retrained
from ruc.images.source import find_images
from ruc.images.views import PAPER
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import Cut
from ruc.networks.last_blocks import last_size
from ruc.pipeline import run_to_folder
from ruc.refine.map_space import MapSpace
from ruc.refine.ruc import refine
from ruc.refine.select import select_clean
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.run_folder import Checkpoints, Run, read_model
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")
SIDE = 32


def run(images: Path, output: Path, embedder: str = "lite0", **refine: Any) -> Run:
    given = {"source": str(images), "output": str(output), "embedder": embedder.split("+"), "n_clusters": 3}
    given |= {"base": "kmeans", "space": "image", "image_size": SIDE, "device": "cpu"}
    settings = make_settings({**given, "refine": {"n_epochs": 2, "batch_size": 30, **refine}})
    return run_to_folder(settings, overwrite=False, verbose=False)


@pytest.fixture
def few(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder of 12 images in three shapes, and the shape of each."""
    folder = tmp_path / "shapes"
    return folder, write_shapes(folder, per_class=4)


@pytest.mark.parametrize("embedder", ["lite0+pixels", "lite0+lite2"])
def test_prediction_agrees_with_the_run(
    embedder: str, few: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    images = few[0]
    finished = run(images, tmp_path / "run", embedder)
    assert finished.settings["space"] == "image"
    model = read_model(tmp_path / "run")
    names = [model["pair"].config[network]["cut"]["name"] for network in ("network", "peer")]
    assert names == (["lite0", "lite2"] if embedder == "lite0+lite2" else ["lite0"] * 2)
    assert "retrained: the last 4 blocks of lite0" in finished.notes["remarks"][0]
    (images / "000.png").write_bytes(b"no image")
    (images / "002.png").rename(images / "moved.png")
    found = predict(model, find_images(str(images)), CPU, with_features=True)
    assert [name for name, _ in found.skipped] == ["000.png"]
    assert found.file_names[-1] == "moved.png"
    rows = [1, *range(3, len(finished.cluster)), 2]
    np.testing.assert_array_equal(found.cluster, finished.cluster[rows])
    assert found.features is not None
    np.testing.assert_allclose(found.features, finished.features[rows], atol=1e-4)


def interrupt_after(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the run after so many epochs of RUC."""

    def stop(kept: Checkpoints, stage: str, state: Any) -> None:
        kept.save(stage, state())
        if stage == "refine" and len(state().config["history"]) == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save_now_and_then", stop)


def test_an_interrupted_run_goes_on_to_the_same_result_that_can_be_attacked(
    few: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(few[0], tmp_path / "whole")
    with monkeypatch.context() as patched:
        interrupt_after(1, patched)
        with pytest.raises(KeyboardInterrupt):
            run(few[0], tmp_path / "again")
    with monkeypatch.context() as patched:  # the views aren't made again
        patched.setattr("ruc.image_space.map_views", lambda *_: pytest.fail("made a second time"))
        again = run(few[0], tmp_path / "again")
    np.testing.assert_array_equal(again.probabilities, whole.probabilities)
    assert not (tmp_path / "again" / ".checkpoints").exists()

    truth = tmp_path / "truth.csv"
    truth.write_text("file_name,label\n" + "".join(f"{n},{c}\n" for n, c in few[1].items()))
    subjects = subjects_of(tmp_path / "again", truth, CPU, n_images=3)
    assert subjects.base == LINEAR_HEAD
    seen = (torch.from_numpy(subjects.pixels).float() / 255).requires_grad_(True)
    subjects.models["refined"](seen).logsumexp(dim=1).sum().backward()  # through the frozen blocks
    assert seen.grad is not None
    assert (seen.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_chunks_of_maps_are_kept_and_made_once(
    few: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cut = find_images(str(few[0])), Cut("lite0", SIDE, last_size("lite0"))
    monkeypatch.setattr("ruc.image_space.CHUNK", 5)
    first, _ = load_blocks([cut], CPU)
    kept = Checkpoints(tmp_path / "kept", {"embedding": "as now"})
    arguments = (source, first, PAPER, (2, 1), CPU)
    made = maps_of_views(*arguments, kept)
    assert made.shape == (4, 12, cut.stop)
    with monkeypatch.context() as patched:
        patched.setattr("ruc.image_space.map_views", lambda *_: pytest.fail("made a second time"))
        np.testing.assert_array_equal(maps_of_views(*arguments, kept), made)
        with pytest.raises(pytest.fail.Exception, match="made a second time"):
            maps_of_views(*arguments, replace(kept, fits={"embedding": "other settings"}))
    (tmp_path / "kept" / "views" / "5.safetensors").unlink()  # as where a run was interrupted
    np.testing.assert_array_equal(maps_of_views(*arguments, kept), made)


def test_whole_networks_learn_from_images_where_there_is_an_accelerator(
    few: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_images(str(few[0]))
    monkeypatch.setattr("ruc.image_space._learns_whole", lambda *_: True)
    space = space_of_packaged(("lite0", "lite2"), source, SIDE, Runtime("cpu"), Checkpoints())
    assert isinstance(space, ImageSpace)
    assert what_is_retrained(space) == ("retrained: whole networks (lite0 and lite2), at 32 pixels",)
    settings = RefineSettings().filled(space.defaults)
    assert settings.learning_rate is not None
    rows = torch.arange(3)
    for network in space.networks(2, CPU):
        with torch.no_grad():
            assert network(space.weak(rows, CPU.generator("test"))).shape == (3, 2)
        assert sum(each.numel() for each in network.parameters()) > 3_000_000


def test_more_images_than_memory_has_room_for_are_refused(
    few: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ruc.embed.maps.MEMORY", 1000)
    with pytest.raises(InputError, match="12 images; expected at most"):
        space_of_packaged(("lite0",), find_images(str(few[0])), SIDE, CPU, Checkpoints())


@pytest.mark.learns
def test_wrong_labels_are_mended_by_retrained_blocks(tmp_path: Path) -> None:
    shapes = write_shapes(tmp_path / "shapes", per_class=16)
    truth = np.unique(list(shapes.values()), return_inverse=True)[1]
    labels, random = truth.copy(), np.random.default_rng(0)
    wrong = random.choice(len(truth), 10, replace=False)
    labels[wrong] = (labels[wrong] + random.integers(1, 3, 10)) % 3
    space = space_of_packaged(("lite0",), find_images(str(tmp_path / "shapes")), SIDE, CPU, Checkpoints())
    rows = torch.arange(len(truth))
    neighbors = nearest_neighbors(space.plain(rows).numpy(), 10, CPU)
    settings = RefineSettings(n_epochs=4, batch_size=24).filled(space.defaults)
    start = select_clean(Clustering(labels, None, 3, "by hand"), neighbors, settings)
    trained = refine(space, start, settings, CPU)
    found = trained.pair.logits(space.plain(rows)).argmax(dim=1).numpy()
    assert (found == truth).mean() > 0.9 > (labels == truth).mean() + 0.1


def test_views_are_drawn_among_those_that_were_kept() -> None:
    maps = np.arange(6, dtype=np.float16)[:, None, None] * np.ones((1, 5, 2), np.float16)
    space = MapSpace(maps, 2, ())  # type: ignore[arg-type]
    rows, generator = torch.arange(5).repeat(40), CPU.generator("test")
    assert space.n_samples == 5
    assert space.plain(rows).unique().tolist() == [0]
    assert space.weak(rows, generator).unique().tolist() == [1, 2]
    assert space.strong(rows, generator).unique().tolist() == [3, 4, 5]
