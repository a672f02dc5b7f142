"""What a notebook shows: estimators before and after `fit`, galleries, and nothing that could run."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colours import BREAKOUT, HOSTILE, make_data
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError

import ruc
from ruc import ImageClusterer, RobustClusterer
from ruc.edits.nearest import nearest_images
from ruc.errors import InputError
from ruc.refine.settings import RefineSettings
from ruc.report import notebook_map
from ruc.report.found import typicality
from ruc.report.notebook import cluster_html, gallery_html, review_html, summary_html
from ruc.report.notebook_map import map_html
from ruc.run_folder import read_run

QUICK = RefineSettings(n_epochs=2)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs source as a notebook's cell and returns the HTML of what it displayed."""
    pytest.importorskip("IPython", reason="IPython is not installed: pip install 'ruc[dev]'")
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # IPython warns where another one is active than ours
    config = Config(HistoryManager={"enabled": False})
    config.InteractiveShell.cache_size = (
        0  # a cache is emptied at the beginning, with all of Python's garbage
    )
    shell = InteractiveShell.instance(config=config)

    def run(source: str, **names: Any) -> list[str]:
        shell.user_ns.update(names)
        with capture_output() as captured:
            result = shell.run_cell(source)
        result.raise_error()
        shown = [output.data.get("text/html", "") for output in captured.outputs]
        if result.result is not None:
            bundle, _ = shell.display_formatter.format(result.result)
            shown.append(bundle["text/html"])
        return shown

    yield run
    InteractiveShell.clear_instance()


class Elements(HTMLParser):
    """Tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    return make_blobs(60, 5, centers=3, random_state=0)[0]


def test_an_estimator_before_and_after_fit(cell: Any, features: np.ndarray) -> None:
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=QUICK, device="cpu", random_state=0)
    (before,) = cell("model", model=model)
    assert "RobustClusterer" in before and 'class="ruc"' not in before
    (after,) = cell("model.fit(X)", X=features)
    assert "<b>60</b> samples in <b>3</b> clusters" in after
    assert after.count('class="cluster"') == 3
    assert "RobustClusterer" in after  # scikit-learn's diagram still follows
    assert "n_clusters" in after
    assert model._repr_html_().count('class="cluster"') == 3


def test_show_of_features(cell: Any, features: np.ndarray) -> None:
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=QUICK, device="cpu", random_state=0)
    with pytest.raises(NotFittedError):
        model.show()
    model.fit(features)
    (names,) = cell("model.show()", model=model)
    rows = {int(text.split(":")[0]) for text in titles(names, "code")}
    assert rows <= set(range(60)) and len(rows) == 36
    # an image's grey says which row it is: the pictures stand with the right names
    grey = np.repeat(np.arange(60, dtype=np.uint8) * 4, 64).reshape(60, 8, 8)
    (pictured,) = cell("model.show(grey, n_images=4)", grey=grey)
    assert len(titles(pictured, "img")) == 12
    for image in Elements(pictured).of("img"):
        row = int(str(image["title"]).split(":")[0])
        assert abs(mean_grey(str(image["src"])) - 4 * row) <= 3
    with pytest.raises(InputError, match="59 images given for 60 samples; expected one for each"):
        model.show(grey[:59])
    with pytest.raises(InputError, match="n_images=0 given; expected at least 1"):
        model.show(n_images=0)


def test_show_of_images_and_of_a_run(cell: Any, shapes: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, names = shapes
    model = ImageClusterer(3, embedder="pixels", base="kmeans", settings=QUICK, device="cpu").fit(folder)
    (shown,) = cell("model.show(n_images=5)", model=model)
    assert len(titles(shown, "img")) == 15
    assert {text.split(":")[0] for text in titles(shown, "img")} <= set(names)
    model.save(tmp_path / "run")
    (again,) = cell("ruc.show(run, n_images=5)", ruc=ruc, run=tmp_path / "run")
    (read,) = cell("ruc.show(run, n_images=5)", ruc=ruc, run=read_run(tmp_path / "run"))
    assert again == read
    assert titles(again, "img") == titles(shown, "img")
    assert "data:image/webp" in again


def test_arrays_are_shown_and_saved_with_their_pictures(cell: Any, tmp_path: Path) -> None:
    """An array has no place to be found again: the estimator keeps it."""
    rng = np.random.default_rng(0)
    images = (
        rng.integers(0, 60, (40, 8, 8), dtype=np.uint8)
        + np.repeat([0, 180], 20).astype(np.uint8)[:, None, None]
    )
    model = ImageClusterer(2, embedder="pixels", base="kmeans", settings=QUICK, device="cpu").fit(images)
    (shown,) = cell("model.show()", model=model)
    assert len(titles(shown, "img")) == 24
    model.save(tmp_path / "run")
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "cannot be found any more" not in report
    assert str(tmp_path / "run") in report and "ruc_run" not in report
    assert read_run(tmp_path / "run").settings["output"] == str(tmp_path / "run")
    assert 'id="sheet-0"' in report


def test_numbers_by_hand() -> None:
    data = make_data(40, confidence=np.where(np.arange(40) < 10, 0.5, 0.95), positions=None)
    text = " ".join(gallery_html(data).split())
    assert "<b>40</b> images in <b>4</b> clusters" in text
    assert 'RUC moved <b class="changed">4</b> to another cluster and is in doubt about <b>10</b>' in text
    ranked = " ".join(gallery_html(replace(data, is_calibrated=False, review_share=0.05)).split())
    assert "; the <b>10</b> it is least sure of, a share that was set and no finding" in ranked
    assert "in doubt" not in ranked
    assert "how many are right isn't known" in text.replace("&#39;", "'")
    checked = {"accuracy": {"value": 0.8, "low": 0.66, "high": 0.89, "n_answers": 50}}
    assert "by 50 answers, 66% to 89% are right" in gallery_html(replace(data, checked=checked))
    # rows 0, 4, 8 of the ten doubtful ones are in cluster 0
    assert "10 images, 3 doubtful" in text
    doubtful = [one["title"] for one in Elements(text).of("img") if one["class"] == "doubtful"]
    assert sum(str(title).startswith("folder/image_00004") for title in doubtful) == 1
    assert len(doubtful) == 10
    assert "<img" not in summary_html(data)
    unknown = replace(data, initial_cluster=np.where(np.arange(40) < 2, -1, data.initial_cluster))
    assert (
        'moved <b class="changed">3</b> to another cluster, placed <b>2</b> that had no label,'
        in " ".join(summary_html(unknown).split())
    )
    of_both = np.isin(np.arange(40), [1, 10])  # what a person has moved isn't RUC's work
    assert (
        'moved <b class="changed">2</b> to another cluster, placed <b>1</b> that had no label,'
        in " ".join(summary_html(replace(unknown, moved_by_hand=of_both)).split())
    )


def test_hostile_names_stay_text() -> None:
    data = make_data(24, cluster_names=[HOSTILE, BREAKOUT, "2", "\udcff"], warnings=["<script>1</script>"])
    for text in (
        gallery_html(data, 6),
        gallery_html(make_data(24, open_thumbnail=None), 6),
        summary_html(data),
    ):
        elements = Elements(text)
        assert {tag for tag, _ in elements.found} <= {"style", "div", "p", "b", "span", "img", "code"}
        assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
        assert all(str(one["src"]).startswith("data:image/webp;base64,") for one in elements.of("img"))
        text.encode("utf-8")


def test_without_ipython(features: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=QUICK, device="cpu").fit(features)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"IPython is not installed; .*pip install ipython"):
        model.show()


def titles(text: str, tag: str) -> list[str]:
    return [str(one["title"]) for one in Elements(text).of(tag)]


def mean_grey(source: str) -> float:
    import base64
    import io

    from PIL import Image

    data = base64.b64decode(source.split(",")[1])
    return float(np.asarray(Image.open(io.BytesIO(data)).convert("L")).mean())


def test_one_cluster_by_number_or_name(cell: Any) -> None:
    data = make_data(cluster_names=["0", "1", "cats", "3"])
    html = cluster_html(data, 2, n_images=6)
    assert html == cluster_html(data, "cats", n_images=6)
    shown = titles(html, "img")
    members = {data.file_names[row] for row in np.flatnonzero(data.cluster == 2)}
    assert {text.rsplit(":", 1)[0] for text in shown} <= members
    assert len(shown) == 18  # typical, doubtful, farthest
    assert "<b>cats</b>: 60 images" in html
    closeness, _ = typicality(data)
    farthest = min(np.flatnonzero(data.cluster == 2), key=lambda row: closeness[row])
    assert shown[12].startswith(data.file_names[farthest])
    assert "<script" not in html
    with pytest.raises(
        InputError, match=r"cluster='dogs' given; expected .* Cluster 0, Cluster 1, cats, Cluster 3"
    ):
        cluster_html(data, "dogs")
    with pytest.raises(InputError, match="cluster=9 given"):
        cluster_html(data, 9)


def test_review_shows_the_doubtful_beside_their_nearest() -> None:
    data = make_data(moved_by_hand=np.arange(240) == int(make_data().confidence.argmin()))
    html = review_html(data, n_images=5)
    shown = titles(html, "img")
    expected = [row for row in np.argsort(data.confidence, kind="stable") if not data.by_hand[row]][:5]
    assert [text.rsplit(":", 1)[0] for text in shown[::9]] == [data.file_names[row] for row in expected]
    nearest = nearest_images(data.features)[expected[0], :8]
    assert [text.rsplit(":", 1)[0] for text in shown[1:9]] == [data.file_names[row] for row in nearest]
    assert f"second best: Cluster {(data.cluster[expected[0]] + 1) % 4}" in html
    bare = review_html(replace(data, features=None, open_thumbnail=None, probabilities=None), n_images=5)
    assert len(titles(bare, "code")) == 5


def test_the_map_is_a_picture_without_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data()
    html = map_html(data)
    assert len(Elements(html).of("path")) == 240
    assert html.count("<text") == 4
    assert BREAKOUT not in html and HOSTILE not in html
    monkeypatch.setattr(notebook_map, "MOST_POINTS", 100)
    few = map_html(data)
    assert len(Elements(few).of("path")) == 100
    assert "100 of 240 are drawn" in few
    with pytest.raises(InputError, match="part='map' given and no features are kept here"):
        map_html(replace(data, features=None))


def test_parts_of_what_came_out(cell: Any, features: np.ndarray) -> None:
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=QUICK, device="cpu", random_state=0)
    model.fit(features)
    (one,) = cell("model.show(cluster=1)", model=model)
    assert "<b>Cluster 1</b>" in one
    assert "<style>" in one
    with pytest.raises(InputError, match="no features are kept here"):
        model.show(part="map")
    (review,) = cell("model.show(part='review', n_images=3)")
    assert review.count('class="doubted"') == 3
    with pytest.raises(InputError, match="part='table' given; expected one of clusters, map, review"):
        model.show(part="table")  # type: ignore[arg-type]
