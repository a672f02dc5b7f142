"""Nothing from a stranger runs, and nothing of a stranger's leads out of its folder."""

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ruc.cli import main
from ruc.errors import RunFolderError
from ruc.networks import State
from ruc.readers import load_npy, load_npz, load_yaml
from ruc.run_folder import Run, read_model, read_run, write_run


class Bait:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def ruc(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it ran"


def stranger(folder: Path) -> Path:
    """A run that somebody sent."""
    probabilities = np.eye(2, dtype=np.float32)[[0, 1, 0]]
    sure = np.ones(3, bool)
    run = Run(
        settings={"source": None}, file_names=("0", "1", "2"), cluster=np.array([0, 1, 0]),
        confidence=np.ones(3, np.float32), initial_cluster=np.array([0, 1, 0]),
        was_clean=sure, is_clean=sure, probabilities=probabilities,
        features=probabilities, cluster_names=("<script>alert(1)</script>", "{{7*7}}"),
    )  # fmt: skip
    write_run(folder, run, {"pair": State({"kind": "pair"}, {"w": torch.zeros(1)})}, "")
    return folder


def images(folder: Path) -> None:
    folder.mkdir()
    for number in range(3):
        Image.new("L", (16, 16), number * 50).save(folder / f"{number}.png")


@pytest.mark.parametrize("option", ["--features", "--labels", "--probabilities"])
def test_arrays_of_objects(
    option: str, mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "good.npy", np.eye(6))
    np.save(tmp_path / "labels.npy", np.arange(6) % 2)
    np.save(tmp_path / "bad.npy", np.array([Bait(mark)] * 6, dtype=object), allow_pickle=True)
    given = {"--features": "good.npy", "--labels": "labels.npy"} | {option: "bad.npy"}
    arguments = [part for name, file in given.items() for part in (name, tmp_path / file)]
    assert ruc("refine", *arguments, "-o", tmp_path / "run", "-q") == 1
    assert "might run code" in capsys.readouterr().err and not mark.exists()


def test_pickles_by_other_names(mark: Path, tmp_path: Path) -> None:
    for name in ("a.npy", "a.npz", "a.pth", "a.csv", "a.parquet"):
        (tmp_path / name).write_bytes(pickle.dumps(Bait(mark), protocol=2))  # torch's own
    np.savez(tmp_path / "b.npz", np.array([Bait(mark)], dtype=object))
    torch.save({"model": Bait(mark)}, tmp_path / "b.pth")
    for read, name in ((load_npy, "a.npy"), (load_npz, "a.npz"), (load_npz, "b.npz")):
        with pytest.raises(ValueError, match="cannot be read as"):
            read(tmp_path / name)
    np.save(tmp_path / "f.npy", np.eye(6))
    images(tmp_path / "images")
    refine = ["refine", "--features", tmp_path / "f.npy", "-o", tmp_path / "run", "-q"]
    for name in ("a.csv", "a.parquet"):
        assert ruc(*refine, "--labels", tmp_path / name) == 1
    embed = ["embed", tmp_path / "images", "-o", tmp_path / "g.npy", "-q"]
    for name in ("a.pth", "b.pth"):
        assert ruc(*embed, "--embedder", tmp_path / name) == 1
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir ['{}']",
        "source: !!python/object/apply:os.mkdir ['{}']",
        "!!python/name:os.mkdir",
    ],
)
def test_yaml_tags(text: str, mark: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(text.format(mark))
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        load_yaml(tmp_path / "c.yaml")
    assert ruc("cluster", "--config", tmp_path / "c.yaml", "-q") == 1
    shutil.copy(tmp_path / "c.yaml", stranger(tmp_path / "run") / "config.yaml")
    assert ruc("rename", tmp_path / "run", "0", "a") == 1
    assert not mark.exists()


def test_yaml_that_would_grow_beyond_all_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    (tmp_path / "c.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="aliases"):
        load_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    "member", ["features.npy", "probabilities.npy", "model/pair.safetensors", "notes.json"]
)
def test_members_of_a_run(member: str, mark: Path, tmp_path: Path) -> None:
    run = stranger(tmp_path / "run")
    (run / member).write_bytes(pickle.dumps(Bait(mark)))
    with pytest.raises(RunFolderError):
        read_run(run)
        read_model(run)
    file = io.BytesIO()
    np.save(file, np.array([[Bait(mark)]] * 3, dtype=object), allow_pickle=True)
    (run / member).write_bytes(file.getvalue())
    with pytest.raises(RunFolderError):
        read_run(run)
        read_model(run)
    assert not mark.exists()


def test_code_beside_a_model(mark: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    config = {
        "model_type": "bait",
        "architectures": ["Bait"],
        "auto_map": {"AutoConfig": "bait.C", "AutoModel": "bait.M"},
    }
    (model / "config.json").write_text(json.dumps(config))
    (model / "bait.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    torch.save({}, model / "pytorch_model.bin")
    images(tmp_path / "images")
    assert ruc("embed", tmp_path / "images", "--embedder", model, "-o", tmp_path / "f.npy", "-q") == 1
    assert not mark.exists()


def test_names_with_markup_stay_text(tmp_path: Path) -> None:
    run = stranger(tmp_path / "run")
    assert ruc("rename", run, "1", "</script><img src=x onerror=alert(1)>") == 0
    page = (run / "report.html").read_text()
    assert "<img src=x" not in page and "</script><img" not in page and "<script>alert" not in page


def test_names_that_lead_out_of_a_folder(tmp_path: Path) -> None:
    run = stranger(tmp_path / "run")
    assert ruc("rename", run, "0", "../../outside") == 0
    assert ruc("rename", run, "1", "/outside") == 0
    (tmp_path / "photos").mkdir()
    for name in ("0", "1", "2"):
        (tmp_path / "photos" / f"{name}").write_bytes(b"x")
    ruc("export", run, "--to", "folders", "--images", tmp_path / "photos", "-o", tmp_path / "sorted")
    assert not (tmp_path / "outside").exists() and {path.name for path in tmp_path.iterdir()} <= {
        "run",
        "photos",
        "sorted",
    }


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_archives_are_not_unpacked(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside = tmp_path / "inside" / "deeper"
    images(tmp_path / "inside")
    inside.mkdir()
    archive = tmp_path / f"photos.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("../outside.png", "/outside.png", "0.png"):
                file.write(tmp_path / "inside" / "0.png", name)
    else:
        with tarfile.open(archive, "w:gz" if kind == "gztar" else "w") as file:
            for name in ("../outside.png", "0.png"):
                file.add(tmp_path / "inside" / "0.png", name)
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ["cluster", archive, "-k", "2", "-o", inside / "run", "-q"],
        ["embed", archive, "--embedder", "pixels", "-o", inside / "f.npy", "-q"],
        ["refine", tmp_path / "inside", "--labels", archive, "-o", inside / "run", "-q"],
        ["embed", tmp_path / "inside", "--embedder", archive, "-o", inside / "f.npy", "-q"],
        ["cluster", "--features", archive, "-k", "2", "-o", inside / "run", "-q"],
    ):
        assert ruc(*command) == 1
        shown = capsys.readouterr().err
        assert shown.startswith("ruc: ") and len(shown.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    archive.rename(tmp_path / "inside" / archive.name)  # beside images it is no image
    assert ruc("copies", tmp_path / "inside", "-o", tmp_path / "copies.csv", "-q") == 0
    assert not list(tmp_path.rglob("outside.png"))


@pytest.mark.parametrize(
    "place", ["../weights.bin", "{}/weights.bin", "folder/../../weights.bin", "link.bin"]
)
def test_weights_outside_of_a_model_s_folder(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    (tmp_path / "model" / "folder").mkdir(parents=True)
    (tmp_path / "weights.bin").write_bytes(np.ones((192, 2), np.float32).tobytes())
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "weights.bin")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[192, 2], data_location=1)
    weights.external_data.add(key="location", value=place.format(tmp_path))
    shape = helper.make_tensor_value_info("x", 1, ["n", 3, 8, 8])
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "g", [shape], [helper.make_tensor_value_info("y", 1, ["n", 2])], [weights],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model" / "m.onnx").write_bytes(model.SerializeToString())
    preparation = {"size": 8, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    (tmp_path / "model" / "m.json").write_text(json.dumps(preparation))
    images(tmp_path / "images")
    embed = ["embed", tmp_path / "images", "--embedder", tmp_path / "model" / "m.onnx", "-q"]
    assert ruc(*embed, "-o", tmp_path / "f.npy") == 1
    assert "cannot be read as ONNX" in capsys.readouterr().err and not (tmp_path / "f.npy").exists()
