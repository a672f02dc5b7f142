"""The documentation is true: its commands and its Python run, and the command-line reference is the commands' own."""

import csv
import importlib.util
import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from shapes import write_shapes

import ruc.embed.scratch
from ruc.cli import main
from ruc.edits import run_id
from ruc.embed.contrastive import ContrastiveSettings
from ruc.run_folder import read_run
from ruc.scale.over_ray import ray_cluster

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("own_folder", "repairing_labels", "reading_report", "confidence", "handing_over")
# Commands that the pages name and that aren't ours to run.
OTHERS = {"pip", "embedding-atlas"}
SERVES = {"open"}  # until Ctrl-C; tests/test_live.py opens a run
NEEDS = {"handing_over": ("datasets", "onnx", "onnxruntime", "onnxscript", "pycocotools")}


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, source) of each fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages' commands as they stand, but the network from scratch learns for one epoch only."""
    monkeypatch.setattr(
        ruc.embed.scratch, "ContrastiveSettings", lambda: replace(ContrastiveSettings(), epochs=1)
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the pages assume it: photos, labels of which a tenth is wrong, the truth, and a finished run."""
    folder = tmp_path_factory.mktemp("docs")
    truth = write_shapes(folder / "photos", per_class=8)
    write_shapes(folder / "new_photos", per_class=2, seed=1)
    names = sorted(set(truth.values()))
    given = {
        name: names[(names.index(shape) + (number % 10 == 0)) % 3]
        for number, (name, shape) in enumerate(truth.items())
    }
    for file_name, labels in (("truth.csv", truth), ("labels.csv", {**given, "007.png": ""})):
        with (folder / file_name).open("w", newline="") as file:
            csv.writer(file).writerows([("file_name", "label"), *labels.items()])
    command(f"ruc cluster {folder / 'photos'} -k 3 --embedder pixels --epochs 3 -o {folder / 'run'} -q")
    run = read_run(folder / "run")
    edits = {
        "format": "ruc-edits", "version": 1, "run": run_id(run.file_names, run.cluster, run.cluster_names, frozenset()),
        "edits": [
            {"op": "rename", "cluster": 0, "name": "bars"},
            {"op": "answer", "file_name": run.file_names[0], "asked": int(run.cluster[0]),
             "right": int(run.cluster[0] + 1) % 3},
        ],
    }  # fmt: skip
    (folder / "edits.json").write_text(json.dumps(edits))
    return folder


def command(line: str) -> None:
    """Run one line of a shell block; it has to end well."""
    first, *arguments = shlex.split(line, comments=True)
    if first in OTHERS or arguments[0] in SERVES:
        return
    assert first == "ruc", f"{first!r} is neither ours nor among {sorted(OTHERS)}"
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert not stop.value.code, line


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_says_runs(
    page: str, finished: Path, short_training: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in NEEDS.get(page, ()):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'ruc[dev,onnx]'")
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    source = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    if "ruc cluster" in source:
        shutil.rmtree(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    found = [(language, text) for language, text in blocks(source) if language in ("sh", "python")]
    assert found
    for language, text in found:
        if language == "sh":
            for line in text.strip().splitlines():
                command(line)
        else:
            exec(compile(text, f"{page}.md", "exec"), names)
    _check(page, tmp_path, names)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_what_the_page_about_ray_says_runs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray isn't installed: pip install 'ruc[ray]'")
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    lines = [
        text for language, text in blocks((DOCS / "scale.md").read_text(encoding="utf-8")) if language == "sh"
    ]
    with ray_cluster("local"):  # started once: all commands join it
        for line in "".join(lines).strip().splitlines():
            command(line)
    assert len(parquet.read_table(tmp_path / "all")) == 24
    assert len(read_run(tmp_path / "run").file_names) == 24


def _check(page: str, folder: Path, names: dict[str, Any]) -> None:
    """What the page promised is there."""
    if page == "own_folder":
        assert (folder / "run_from_python" / "report.html").exists()
        assert len(read_run(folder / "run").cluster_names) == 4  # split once
        with (folder / "new.csv").open() as file:
            assert len(list(csv.DictReader(file))) == 6
    elif page == "repairing_labels":
        model, labels, right = names["model"], names["labels"], names["right"]
        assert (model.classes_[model.labels_] != right).sum() < (labels != right).sum() / 2
    elif page == "reading_report":
        assert read_run(folder / "run").cluster_names[0] == "bars"
    elif page == "confidence":
        assert (folder / "run" / "metrics.json").exists()
        assert names["surest"]["confidence"].min() >= names["table"]["confidence"].median()
    else:
        assert names["probabilities"].shape == (2, 3)
        assert {path.name for path in (folder / "sorted").iterdir()} == {"0", "1", "2"}


def test_every_page_is_either_run_or_has_nothing_to_run() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")}
    assert pages == {*PAGES, "scale", "index", "command_line", "python", "image_files"}


def test_the_command_line_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate_cli", DOCS / "generate_cli.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "command_line.md").read_text(encoding="utf-8") == module.page(), "run `make docs`"
    commands = re.findall(r"^  (\w+)  ", module.help_text(), flags=re.MULTILINE)
    assert sorted(commands) == sorted(module.COMMANDS)


def test_links_between_pages_lead_somewhere() -> None:
    for path in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (DOCS / target).exists(), f"{path.name} links to {target}"


def test_the_docstrings_examples_run() -> None:
    import doctest

    import ruc.estimators

    finder = doctest.DocTestFinder()
    examples = [test for test in finder.find(ruc.estimators.RobustClusterer) if test.examples]
    assert examples
    for example in examples:
        assert doctest.DocTestRunner().run(example).failed == 0
