"""The examples of CONTRIBUTING.md: a new base and a new embedder are one file and one line."""

import re
import types
from pathlib import Path

import numpy as np
import pytest

from ruc.cluster.auto import METHODS, Method
from ruc.doors.predict import predict
from ruc.embed.known import EMBEDDERS, Known
from ruc.estimators import RobustClusterer
from ruc.images.source import find_images
from ruc.pipeline import run_to_folder
from ruc.run_folder import read_model, read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(name: str) -> tuple[types.ModuleType, str]:
    """The module of an example, and the line of the table that makes it known."""
    _, _, rest = TEXT.partition(f"say `{name}.py`")
    code, line = re.search(r"```python\n(.*?)```.*?`(\".*?),`", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    module = types.ModuleType(name)
    exec(compile(code, f"{name}.py", "exec"), module.__dict__)
    return module, line


def test_a_new_base_is_one_file_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module, line = example("ward")
    entry = eval(f"{{{line}}}", {**module.__dict__, "Method": Method})
    monkeypatch.setitem(METHODS, "ward", entry["ward"])
    truth = np.arange(90) % 3
    features = np.eye(3, 8)[truth] + 0.1 * np.random.default_rng(0).standard_normal((90, 8))
    model = RobustClusterer(n_clusters=3, base="ward", device="cpu", random_state=0).fit(features)
    assert len({*zip(truth, model.labels_, strict=True)}) == 3
    assert len({*zip(truth, model.initial_labels_, strict=True)}) == 3


def test_a_new_embedder_is_one_file_and_one_line(
    shapes: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, line = example("histogram")
    entry = eval(f"{{{line}}}", {"histogram": module, "Known": Known})
    monkeypatch.setitem(EMBEDDERS, "histogram", entry["histogram"])
    given = {"source": str(shapes[0]), "embedder": "histogram", "n_clusters": 3, "base": "kmeans"}
    constants = {"n_epochs": 1}
    run_to_folder(
        make_settings({**given, "output": str(tmp_path / "run"), "device": "cpu", "refine": constants}),
        overwrite=False,
        verbose=False,
    )
    run = read_run(tmp_path / "run")
    found = predict(read_model(tmp_path / "run"), find_images(shapes[0]), Runtime("cpu"))
    assert run.features.shape[1] == 16
    by_name = dict(zip(found.file_names, found.cluster.tolist(), strict=True))
    assert [by_name[name] for name in run.file_names] == run.cluster.tolist()
