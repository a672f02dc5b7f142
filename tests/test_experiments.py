"""The long experiment in pieces: what a piece keeps is what the next one goes on from."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import make_blobs
from PIL import Image

from ruc.neighbors.search import nearest_neighbors
from ruc.networks import State
from ruc.runtime import Runtime
from ruc.side_by_side import join

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
import matrix
import paper
import paper_data
import rivals

ROOT = Path(__file__).parents[1]
SCRIPTS = [path for folder in ("experiments", "benchmarks") for path in sorted((ROOT / folder).glob("*.py"))]


def counting(seen: list[int], n_epochs: int = 4):
    """Work that adds 1 to a weight in each epoch."""

    def work(on_epoch, resume):
        weight = torch.zeros(3) if resume is None else resume.weights["weight"]
        first = 0 if resume is None else resume.config["epoch"] + 1
        for epoch in range(first, n_epochs):
            seen.append(epoch)
            weight = weight + 1
            on_epoch(
                epoch, 0.5, lambda epoch=epoch, weight=weight: State({"epoch": epoch}, {"weight": weight})
            )
        return State({"kind": "done"}, {"weight": weight})

    return work


def test_a_stage_stops_when_the_time_is_up_and_goes_on(tmp_path) -> None:
    seen: list[int] = []
    for _ in range(4):
        with pytest.raises(paper.TimeIsUpError):
            paper.Pieces(tmp_path, minutes=0).stage("SCAN", counting(seen))
    outcome = paper.Pieces(tmp_path, minutes=1).stage("SCAN", counting(seen))
    assert seen == [0, 1, 2, 3]
    assert outcome.weights["weight"].tolist() == [4.0] * 3
    assert not list(tmp_path.glob("*begun*"))
    again = paper.Pieces(tmp_path, minutes=0).stage("SCAN", counting(seen))
    assert again.weights["weight"].tolist() == [4.0] * 3 and seen == [0, 1, 2, 3]


def test_weights_are_halved_and_files_stay_small(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(paper, "FILE_BYTES", 1000)
    tensors = {
        "network.a": torch.full((300,), 1.0009765625),  # the last digit of half precision
        "optimizer.0.exp_avg_sq": torch.full((300,), 1e-20),  # beyond its range
        "optimizer.0.step": torch.tensor(3.0),
        "labels": torch.arange(300),
    }
    pieces = paper.Pieces(tmp_path, 1)
    pieces.save("SCAN", State({}, tensors), 2.0)
    assert max(path.stat().st_size for path in tmp_path.glob("*.safetensors")) < 3000
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    again = pieces.load("SCAN").weights
    assert torch.equal(again["network.a"], tensors["network.a"])
    torch.testing.assert_close(
        again["optimizer.0.exp_avg_sq"], tensors["optimizer.0.exp_avg_sq"], rtol=0.01, atol=0
    )
    assert torch.equal(again["labels"], tensors["labels"]) and again["optimizer.0.step"] == 3


def test_rows_go_below_those_of_their_table(tmp_path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n")
    paper.append_rows(path, ["| first |"])
    path.write_text(path.read_text() + "\n## Another\n\ntext\n")
    paper.append_rows(path, ["| second |"])
    lines = path.read_text().splitlines()
    assert lines[lines.index("| first |") + 1] == "| second |"
    assert lines[-1] == "text" and lines.count(paper.COLUMNS) == 1


@pytest.mark.parametrize("kind", ["classes", "table"])
def test_images_come_back_as_they_were(tmp_path, kind, monkeypatch) -> None:
    monkeypatch.setattr(paper_data, "PART_BYTES", 500)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)
    source, rows = tmp_path / "source", ["file_name,label"]
    for number, image in enumerate(images):
        label = "dog" if number % 2 else "cat"
        folder = (
            source / ("test" if number >= 8 else "train") / label if kind == "classes" else source / "images"
        )
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{label}")
    if kind == "table":
        (source / "truth.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr(sys, "argv", ["paper_data.py", "set", str(source), "-o", str(tmp_path / "data")])
    paper_data.main()
    folder = tmp_path / "data" / "set"
    assert json.loads((folder / "about.json").read_text()) == {"train": [8, 3, 8, 8], "test": [2, 3, 8, 8]}
    assert max(path.stat().st_size for path in folder.glob("*.bin")) <= 500
    both = paper_data.read_split(folder, "train") + paper_data.read_split(folder, "test")
    label_of = {image.tobytes(): number % 2 for number, image in enumerate(images)}
    assert [label_of[pixels.transpose(1, 2, 0).tobytes()] for pixels in both.pixels] == both.labels.tolist()


def test_the_matrix_counts_what_gained_and_what_was_harmed() -> None:
    values = [
        ("one", "kmeans", 60.0, 64.0, 4.0),
        ("one", "kmeans", 62.0, 64.0, 6.0),
        ("two", "kmeans", 96.0, 90.0, 50.0),  # nothing to gain: in the levels alone
        ("one", "graph", 70.0, 69.0, 15.0),  # harmed
        ("one", "wrong 20%", 80.0, 100.0, 0.0),  # given labels have a column, and no part in the mean
    ]
    rows = [
        {"set": name, "tuned": "True", "K": "3", "eyes": "lite0", "base": base, "before": str(before),
         "after": str(after), "ece": str(ece), "k_auto": "3", "seconds": "1"}
        for name, base, before, after, ece in values
    ]  # fmt: skip
    table = matrix.table_of(rows)
    assert "| **mean, tuned** | | | 78.5 → 77.0 | 70.0 → 69.0 | 80.0 → 100.0 | |" in table
    last = "+1.00, worst -1.0, 1 of 2 below -0.5, ECE 10.0"
    assert f"| **gain, tuned** | | | +3.0 | -1.0 | +20.0 | {last} |" in table


@pytest.mark.learns
@pytest.mark.parametrize("name", rivals.RIVALS)
def test_rivals_find_what_two_spaces_agree_on(name, monkeypatch) -> None:
    monkeypatch.setattr(rivals, "N_OUTER", 300)
    runtime = Runtime("cpu", 0)
    parts = [make_blobs(noise=0.15, seed=seed)[0] for seed in (0, 1)]
    truth = np.arange(240) % 4
    found = rivals.RIVALS[name](parts, 4, nearest_neighbors(join(parts), 30, runtime), runtime)
    pure = sum(np.bincount(truth[found.labels == cluster], minlength=4).max() for cluster in range(4))
    assert pure >= 0.95 * 240 and found.probabilities.shape == (240, 4)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)


def test_information_of_a_pair_is_that_of_the_paper() -> None:
    student, teacher = torch.rand(2, 3, 4).softmax(dim=2), torch.rand(2, 3, 4).softmax(dim=2)
    marginal = torch.rand(2, 1, 4).softmax(dim=2)
    expected = [
        [
            np.log(
                sum(
                    (float(student[h, i, c]) * float(teacher[h, i, c])) ** 0.6 / float(marginal[h, 0, c])
                    for c in range(4)
                )
            )
            for i in range(3)
        ]
        for h in range(2)
    ]
    np.testing.assert_allclose(rivals._information(student, teacher, marginal), expected, rtol=1e-5)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_script_can_still_import_what_it_uses(script, monkeypatch):
    monkeypatch.syspath_prepend(str(script.parent))
    try:
        runpy.run_path(str(script), run_name="imported")
    except ModuleNotFoundError as error:
        if error.name != "cleanlab":
            raise
        pytest.skip("cleanlab is not installed: pip install cleanlab")
