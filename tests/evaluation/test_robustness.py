import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ruc.edits import Merge, Split, apply_edits
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.pixels import fit_pixels
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.errors import InputError
from ruc.evaluation.robustness import _backbone, _differentiable, attack_run, corrupt_run, subjects_of
from ruc.images.views import GENTLE
from ruc.networks import NetworkSettings, ResNet
from ruc.refine.networks import Head
from ruc.refine.trained import Pair
from ruc.run_folder import Run, read_model, read_run, write_run
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu", seed=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on 60 striped images: upright stripes, level ones, none; heads trained on the labels."""
    folder = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    kinds = np.arange(60) % 3
    pixels = random.integers(60, size=(60, 1, 12, 12)).astype(np.uint8) + 60
    pixels[kinds == 0, :, ::4] += 120
    pixels[kinds == 1, :, :, ::4] += 120
    (folder / "images").mkdir()
    names = tuple(f"{number:02}.png" for number in range(60))
    for name, image in zip(names, pixels, strict=True):
        Image.fromarray(image[0]).save(folder / "images" / name)
    with (folder / "truth.csv").open("w", newline="") as file:
        rows = [
            (name, "" if kind == 2 and name > "50" else "abc"[kind])
            for name, kind in zip(names, kinds, strict=True)
        ]
        csv.writer(file).writerows([("file_name", "label"), *rows])

    embedder = fit_pixels(pixels, n_features=8)
    features = embedder.transform(pixels, RUNTIME)
    clusters = (kinds + 1) % 3
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pair = Pair(Head(8, 3, 16), Head(8, 3, 16))
    inputs, targets = torch.from_numpy(features), torch.from_numpy(clusters)
    for head in (pair.first, pair.second):
        optimizer = torch.optim.Adam(head.parameters(), 0.02)
        for _ in range(60):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(inputs), targets).backward()
            optimizer.step()
        head.eval()
    probabilities = pair.logits(inputs).softmax(dim=1).numpy()
    state = pair.state()
    about = {"space": "feature", "temperature": 1.0, "image_size": 12}
    run = Run(
        settings={"source": str(folder / "images"), "image_size": 12},
        file_names=names,
        cluster=probabilities.argmax(axis=1),
        confidence=probabilities.max(axis=1),
        initial_cluster=np.where(np.arange(60) < 5, -1, clusters),
        was_clean=np.arange(60) > 10,
        is_clean=np.ones(60, dtype=bool),
        probabilities=probabilities,
        features=features,
        cluster_names=("0", "1", "2"),
    )
    model = {"pair": replace(state, config={**state.config, **about}), "embedder": embedder.state()}
    write_run(folder / "run", run, model)
    return folder


def test_the_models_say_what_the_run_says(finished):
    subjects = subjects_of(finished / "run", finished / "truth.csv", RUNTIME, n_images=1000)
    assert subjects.pixels.shape == (56, 1, 12, 12)  # four of the sixty have no truth
    images = torch.from_numpy(subjects.pixels).float() / 255
    found = {name: model(images).argmax(dim=1).numpy() for name, model in subjects.models.items()}
    for name in ("base", "refined"):
        assert (found[name] == subjects.right[name]).mean() > 0.9


def test_networks_are_asked_for_their_own_clusters_though_these_were_merged(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    before = subjects_of(tmp_path / "run", finished / "truth.csv", RUNTIME, n_images=1000)
    write_run(tmp_path / "run", apply_edits(read_run(tmp_path / "run"), [Merge((0, 2))]))
    after = subjects_of(tmp_path / "run", finished / "truth.csv", RUNTIME, n_images=1000)
    for name in ("base", "refined"):
        np.testing.assert_array_equal(before.right[name], after.right[name])


def test_attack(finished):
    table = attack_run(finished / "run", finished / "truth.csv", RUNTIME, ("fgsm",), n_images=40)
    assert table.n_images == 40
    assert set(table.clean_accuracy) == {"base", "refined"}
    assert [one.epsilon for one in table.results] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert table.results[-1].drop["refined"] > 0.2


def test_corruptions(finished):
    table = corrupt_run(finished / "run", finished / "truth.csv", RUNTIME)
    assert table.n_images == 56
    assert len(table.results) == 20
    assert min(table.clean_accuracy.values()) > 0.9
    again = corrupt_run(finished / "run", finished / "truth.csv", RUNTIME)
    assert again == table


@pytest.mark.parametrize("side", [12, 8])
def test_embedders_as_functions_with_gradient_agree_with_themselves(side):
    pixels = np.random.default_rng(0).integers(256, size=(20, 3, 12, 12)).astype(np.uint8)
    images = (torch.from_numpy(pixels).float() / 255).requires_grad_(True)
    network = ResNet(NetworkSettings(width=8, blocks=(1, 1), stem="half", channels=3)).eval()
    parts = (fit_pixels(pixels, 6, side), SelfSupervisedEmbedder(network, GENTLE, "contrastive"))
    for embedder in (*parts, CombinedEmbedder(parts, (0.3, 1.0))):
        features = _differentiable(embedder, RUNTIME)(images)
        assert features.detach().numpy() == pytest.approx(embedder.transform(pixels, RUNTIME), abs=1e-5)
        (gradient,) = torch.autograd.grad(features.sum(), images)
        assert gradient.abs().sum() > 0


def test_the_base_stands_on_the_part_that_is_a_network():
    pixels = np.random.default_rng(0).integers(256, size=(20, 3, 12, 12)).astype(np.uint8)
    images = torch.from_numpy(pixels).float() / 255
    network = ResNet(NetworkSettings(width=8, blocks=(1, 1), stem="half", channels=3)).eval()
    parts = (fit_pixels(pixels, 6), SelfSupervisedEmbedder(network, GENTLE, "contrastive"))
    combined = CombinedEmbedder(parts, (0.3, 1.0))
    part = _backbone(combined, pixels[:1], RUNTIME)
    columns = torch.from_numpy(combined.transform(pixels, RUNTIME)[:, part.columns])
    with torch.no_grad():
        seen = part.embed(images)
    torch.testing.assert_close(nn.functional.normalize(columns, dim=1), seen, rtol=1e-4, atol=1e-5)
    assert _backbone(parts[1], pixels[:1], RUNTIME).columns == slice(None)


def test_a_run_on_features_and_a_moved_folder_say_so(finished, tmp_path):

    run, model = read_run(finished / "run"), read_model(finished / "run")
    write_run(tmp_path / "features", replace(run, settings={"source": None}), {"pair": model["pair"]})
    with pytest.raises(InputError, match="is a run on features"):
        attack_run(tmp_path / "features", finished / "truth.csv", RUNTIME)
    write_run(tmp_path / "arrays", replace(run, settings={"source": None}), model)
    with pytest.raises(InputError, match="is a run on images given in Python, which it does not keep"):
        attack_run(tmp_path / "arrays", finished / "truth.csv", RUNTIME)
    (tmp_path / "images").mkdir()
    Image.new("L", (12, 12)).save(tmp_path / "images" / "other.png")
    write_run(
        tmp_path / "moved", replace(run, settings={**run.settings, "source": str(tmp_path / "images")}), model
    )
    with pytest.raises(InputError, match=r"has no '\d\d.png' any more"):
        attack_run(tmp_path / "moved", finished / "truth.csv", RUNTIME)


def test_the_base_of_an_edited_run_is_measured_on_its_clusters(finished):
    from ruc.evaluation.runs import evaluate_run

    run = read_run(finished / "run")
    initial = np.where(run.initial_cluster < 0, 0, run.initial_cluster)
    base = np.full((60, 3), 0.2, np.float32)
    base[np.arange(60), initial] = 0.6
    run = replace(run, initial_cluster=initial, initial_probabilities=base)
    merged = apply_edits(run, [Merge((0, 2))])
    names = tuple(name for name, cluster in zip(run.file_names, run.cluster, strict=True) if cluster == 0)
    split = apply_edits(run, [Split(0, (names[:5],))])
    for edited, sure in ((merged, np.where(initial == 1, 0.6, 0.8)), (split, np.full(60, 0.6))):
        found = evaluate_run(edited, finished / "truth.csv", RUNTIME, n_resamples=0)
        known = ~((np.arange(60) % 3 == 2) & (np.arange(60) > 49))
        assert found.base.numbers["mean_confidence"].value == pytest.approx(sure[known].mean(), rel=1e-5)
        assert "by confidence" in found.clean_sets


def test_evaluate_run(finished):
    from ruc.evaluation.runs import evaluate_run

    run = read_run(finished / "run")
    found = evaluate_run(run, finished / "truth.csv", RUNTIME, n_resamples=20)
    assert (found.n_images, found.n_with_truth) == (60, 56)
    assert found.refined.numbers["accuracy"].value == 1.0
    assert found.base.numbers["accuracy"].value == pytest.approx(51 / 56)
    assert set(found.clean_sets) == {"start", "end", "by neighbors"}  # the base has no probabilities
    assert found.clean_sets["start"].precision == 1.0
    assert "ece" in found.refined.numbers
    assert "ece" not in found.base.numbers
    assert set(evaluate_run(run, finished / "truth.csv", n_resamples=0).clean_sets) == {"start", "end"}
    since = np.where(run.was_clean, 0, 3)
    by_epoch = evaluate_run(
        replace(run, marks={"clean_since": since}, history=({"epoch": 0.0},) * 5),
        finished / "truth.csv",
        n_resamples=0,
    ).clean_by_epoch
    assert [scores.recall for scores in by_epoch] == pytest.approx([45 / 56] * 3 + [1.0] * 3)
    sure = replace(run, initial_probabilities=run.probabilities)
    assert set(evaluate_run(sure, finished / "truth.csv", RUNTIME, n_resamples=0).clean_sets) == {
        "start", "end", "by confidence", "by neighbors", "by hybrid",
    }  # fmt: skip


def test_a_run_without_a_base(finished):
    from ruc.evaluation.runs import evaluate_run

    run = replace(read_run(finished / "run"), initial_cluster=np.full(60, -1))
    found = evaluate_run(run, finished / "truth.csv", RUNTIME, n_resamples=0)
    assert found.base is None
    assert found.clean_sets == {}
