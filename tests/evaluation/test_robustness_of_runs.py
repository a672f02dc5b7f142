"""Attacks and corruptions of runs as the pipeline leaves them: SCAN's own network, heads on backbones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ruc.cluster import scan_images
from ruc.cluster.auto import METHODS
from ruc.evaluation.robustness import LINEAR_HEAD, OWN_NETWORK, attack_run, corrupt_run, subjects_of
from ruc.networks import ImageNetwork
from ruc.pipeline import run_to_folder
from ruc.refine.trained import Pair
from ruc.run_folder import Run, read_model, read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")
PREPROCESSING = {
    "do_center_crop": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "crop_size": {"height": 28, "width": 28}, "size": {"shortest_edge": 32}, "resample": 3, "rescale_factor": 1 / 255,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    "image_processor_type": "BitImageProcessor",
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("short_training")


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruc.embed.contrastive._enough_epochs", lambda n_images, n_batches: 3)
    short = scan_images.ScanSettings(n_epochs=1, n_label_epochs=1)
    monkeypatch.setattr(scan_images, "ScanSettings", lambda: short)


@pytest.fixture
def tables(shapes: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, Path]:
    """The images, and their truth."""
    truth = tmp_path / "truth.csv"
    truth.write_text("file_name,label\n" + "".join(f"{n},{c}\n" for n, c in shapes[1].items()))
    return shapes[0], truth


def finished(images: Path, output: Path, n_epochs: int, **given: object) -> Run:
    settings = {"source": str(images), "n_clusters": 3, "output": str(output), "device": "cpu", **given}
    settings |= {"refine": {"n_epochs": n_epochs, "batch_size": 30}}
    return run_to_folder(make_settings(settings), overwrite=False, verbose=False)


def test_the_base_is_scans_own_network_where_it_made_the_clusters(
    tables: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, truth = tables
    given = {"n_epochs": 2, "embedder": "contrastive", "base": "scan", "space": "image"}
    run = finished(images, tmp_path / "run", **given)
    subjects = subjects_of(tmp_path / "run", truth, CPU, n_images=1000)
    assert subjects.base == OWN_NETWORK
    seen = torch.from_numpy(subjects.pixels).float() / 255
    with torch.no_grad():
        probabilities = subjects.models["base"](seen).softmax(dim=1)
    np.testing.assert_array_equal(probabilities.argmax(dim=1), read_run(tmp_path / "run").initial_cluster)
    np.testing.assert_allclose(probabilities, run.initial_probabilities, atol=1e-4)

    table = attack_run(tmp_path / "run", truth, CPU, ("bim",), n_images=20)
    assert table.base == OWN_NETWORK == table.to_dict()["base"]

    # interrupted after the base, it ends with the same network
    def failing(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ruc.pipeline.retrain", failing)
        with pytest.raises(KeyboardInterrupt):
            finished(images, tmp_path / "again", **given)
    with monkeypatch.context() as patched:
        patched.setitem(METHODS, "scan", replace(METHODS["scan"], on_images=failing))
        finished(images, tmp_path / "again", **given)
    before, after = (
        ImageNetwork.from_state(read_model(tmp_path / name)["base"]) for name in ("run", "again")
    )
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value, msg=name)


def test_grey_images_of_a_run_on_colour_are_seen_in_colour(tables: tuple[Path, Path], tmp_path: Path) -> None:
    images, truth = tables
    Image.new("RGB", (16, 16), (90, 80, 70)).save(images / "colour.png")
    finished(images, tmp_path / "run", n_epochs=1, embedder="pixels", base="kmeans")
    subjects = subjects_of(tmp_path / "run", truth, CPU, n_images=5)  # of the others alone is the truth known
    assert subjects.pixels.shape == (5, 3, 16, 16)
    seen = torch.from_numpy(subjects.pixels).float() / 255
    assert subjects.models["base"](seen).shape == subjects.models["refined"](seen).shape == (5, 3)


@pytest.mark.parametrize("embedder", ["contrastive", "pretrained"])
def test_corruptions_of_heads_on_a_backbone(embedder: str, tables: tuple[Path, Path], tmp_path: Path) -> None:
    images, truth = tables
    if embedder == "pretrained":
        from transformers import Dinov2Config, Dinov2Model

        tiny = Dinov2Config(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
        )
        embedder = str(tmp_path / "tiny")
        torch.manual_seed(0)
        Dinov2Model(tiny).save_pretrained(embedder)
        (tmp_path / "tiny" / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING))
    finished(images, tmp_path / "run", n_epochs=40, embedder=embedder, base="kmeans", space="feature")
    subjects = subjects_of(tmp_path / "run", truth, CPU, n_images=1000)
    assert subjects.base == LINEAR_HEAD
    seen = torch.from_numpy(subjects.pixels).float() / 255
    with torch.no_grad():
        found = {name: model(seen).argmax(dim=1).numpy() for name, model in subjects.models.items()}
    run = read_run(tmp_path / "run")
    pair = Pair.from_state(read_model(tmp_path / "run")["pair"], torch.device("cpu"))
    with torch.no_grad():  # the networks alone, without what is remembered
        features = torch.from_numpy(run.features)
        alone = (pair.first(features) + pair.second(features)).argmax(dim=1)
    assert len(set(alone.tolist())) > 1
    assert (found["refined"] == alone.numpy()).mean() > 0.98
    assert (found["base"] == run.initial_cluster).mean() > 0.9

    table = corrupt_run(tmp_path / "run", truth, CPU)
    assert table.n_images == 60
    assert {one.corruption for one in table.results} == {"noise", "blur", "contrast", "jpeg"}
    for name, accuracy in table.clean_accuracy.items():
        assert accuracy == (found[name] == subjects.right[name]).mean()
    strongest = [one.accuracy for one in table.results if one.strength == 5]
    assert strongest != [table.clean_accuracy] * 4
