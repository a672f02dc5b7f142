"""What the page is made of: the packed columns, the thumbnails that fit, the map, the document."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colours import BREAKOUT, HOSTILE, make_data
from PIL import Image
from sklearn.decomposition import PCA

from ruc.edits import Merge, Move, apply_edits
from ruc.errors import UnreadableImageError
from ruc.images.source import find_images
from ruc.neighbors.search import nearest_neighbors
from ruc.report import positions as module
from ruc.report import report as report_module
from ruc.report.data import report_data
from ruc.report.found import find, typicality
from ruc.report.payload import as_script_json, packed, payload
from ruc.report.positions import map_positions, principal_components
from ruc.report.report import write_report
from ruc.report.thumbnails import choose_shown, encode, make_thumbnails
from ruc.run_folder import Run
from ruc.runtime import Runtime


def unpacked(text: str, dtype: str) -> list[int]:
    return np.frombuffer(base64.b64decode(text), dtype).tolist()  # type: ignore[no-any-return]


def test_packed_rounds_and_clips() -> None:
    assert unpacked(packed(np.array([0.4, 0.6, -3, 70_000, np.nan]), "<u2"), "<u2") == [0, 1, 0, 65_535, 0]
    assert unpacked(packed(np.array([-1, 5]), "<i4"), "<i4") == [-1, 5]


def test_typicality_by_hand() -> None:
    """The centre is the mean of the trusted images alone."""
    features = np.array([[1, 0], [0.6, 0.8], [0, 1], [0.8, 0.6]])
    data = make_data(
        4,
        features=features,
        cluster=np.array([0, 0, 1, 1]),
        is_clean=np.array([True, False, True, False]),
        cluster_names=["0", "1", "2"],
    )
    typical, nearest = typicality(data)
    np.testing.assert_allclose(typical, [1, 0.6, 1, 0.6], atol=1e-6)
    assert nearest.tolist() == [0, 1, 1, 0]


def test_second_best_is_never_the_own_cluster() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    data = make_data(
        2,
        probabilities=probabilities,
        cluster=np.array([0, 1]),
        cluster_names=["0", "1", "2"],
        features=None,
        positions=None,
    )
    columns = payload(data, find(data), np.zeros(0, dtype=np.int64))["columns"]
    assert unpacked(columns["others"], "<i4") == [1, 2, 0, 2]
    assert unpacked(columns["otherShares"], "<u2") == [3000, 2000, 5000, 2000]
    assert "x" not in columns


def test_json_cannot_leave_its_element() -> None:
    content = {
        "a": "</script><!-- <script> & \u2028",
        "b": [float("nan"), np.float32(0.5), np.int64(3)],
        "c": "\udcff",
    }
    text = as_script_json(content)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": content["a"], "b": [None, 0.5, 3], "c": "\udcff"}
    text.encode("ascii")


def test_all_are_shown_where_they_fit() -> None:
    n = 10
    assert choose_shown(
        np.zeros(n, int), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, bool), 10
    ).tolist() == list(range(n))


def test_a_sample_is_fair_to_each_cluster() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat([0, 1, 2], [900, 90, 10])
    typical, confidence, doubt = rng.random((3, 1000))
    changed = rng.random(1000) < 0.1
    rows = choose_shown(cluster, typical, confidence, doubt, changed, 120)
    assert len(rows) == 120
    assert len(set(rows.tolist())) == 120
    shown = np.bincount(cluster[rows])
    assert shown[2] == 10  # a small cluster is shown whole
    assert shown[1] >= 20
    big = np.flatnonzero(cluster == 0)
    assert set(big[np.argsort(-typical[big])][:10]) <= set(rows)
    assert set(big[np.argsort(-doubt[big])][:10]) <= set(rows)
    joined = big[changed[big]]
    assert set(joined[np.argsort(-confidence[joined])][:10]) <= set(rows)


def test_the_most_doubtful_have_thumbnails() -> None:
    """By the doubt that the galleries are sorted by, which isn't the confidence."""
    doubt = 1 - np.abs(np.arange(40) - 20) / 40
    data = make_data(40, confidence=np.linspace(0.5, 1, 40), doubt=doubt, initial_cluster=np.arange(40) % 4)
    columns = page_data(write_report(data, n_thumbnails=16))["columns"]
    shown = np.array(unpacked(columns["thumbnail"], "<i4")) >= 0
    for cluster in range(4):
        members = np.flatnonzero(np.arange(40) % 4 == cluster)
        assert shown[members[doubt[members].argmax()]]


def page_data(text: str) -> dict[str, Any]:
    """What the page's script reads."""
    return json.loads(text.split('id="data">')[1].split("</script>")[0])  # type: ignore[no-any-return]


def test_what_a_person_has_placed_is_in_no_doubt() -> None:
    by_hand = np.array([True, False, False, False])
    data = make_data(4, moved_by_hand=by_hand, doubt=np.full(4, 0.5))
    assert data.how_doubtful.tolist() == [0, 0.5, 0.5, 0.5]


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_thumbnails_keep_their_shape_and_are_never_enlarged() -> None:
    assert opened(encode(Image.new("RGB", (400, 300)), 60)).size == (80, 60)
    assert opened(encode(Image.new("L", (28, 28)), 60)).size == (28, 28)
    assert opened(encode(Image.new("RGB", (1000, 100)), 50)).size == (80, 50)  # a panorama's middle
    assert opened(encode(Image.new("RGB", (1, 1)), 50)).size == (1, 1)


def test_thumbnails_fit_the_budget() -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)) for _ in range(4)]
    sides = []
    for budget in (1_600_000, 48_000, 13_000):
        made = make_thumbnails(lambda row, size: noise[row % 4], range(8), budget)
        assert sum(map(len, made.images)) <= budget
        assert made.rows.tolist() == list(range(8))
        sides.append(made.side)
    assert sides[0] > sides[1] > sides[2]


def test_a_lost_image_has_no_thumbnail() -> None:
    def open_one(row: int, size: int) -> Image.Image:
        if row == 1:
            raise UnreadableImageError("gone")
        if row == 2:
            raise FileNotFoundError("gone")
        return Image.new("RGB", (8, 8))

    made = make_thumbnails(open_one, [0, 1, 2, 3])
    assert made.rows.tolist() == [0, 3]
    assert len(made.images) == 2


@pytest.mark.parametrize("n_samples", [50, 6])
def test_principal_components_against_scikit_learn(n_samples: int) -> None:
    features = np.random.default_rng(0).normal(size=(n_samples, 8)) @ np.diag([5, 4, 3, 1, 1, 1, 1, 1])
    expected = PCA(2).fit_transform(features)
    found = principal_components(features, 2)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-3)
    assert principal_components(features[:, :1], 2).shape == (n_samples, 2)
    assert principal_components(features[:1], 2).tolist() == [[0, 0]]


@pytest.mark.parametrize(("n_samples", "expected"), [(20, "PCA"), (300, "the graph of nearest neighbours")])
def test_the_map_keeps_groups_apart(n_samples: int, expected: str) -> None:
    rng = np.random.default_rng(0)
    group = np.arange(n_samples) % 3
    features = np.eye(10)[group] + rng.normal(0, 0.05, (n_samples, 10))
    positions, name = map_positions(features)
    assert name.startswith(expected)
    np.testing.assert_array_equal(positions, map_positions(features)[0])
    centres = np.stack([positions[group == one].mean(axis=0) for one in range(3)])
    nearest = np.linalg.norm(positions[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == group).all()


def test_a_large_map_is_laid_out_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each other sample lies at the mean of its three nearest landmarks, worked out here by a loop."""
    monkeypatch.setattr("ruc.report.positions.MOST_FOR_GRAPH", 100)
    rng = np.random.default_rng(0)
    group = np.arange(400) % 3
    features = np.eye(10)[group] + rng.normal(0, 0.05, (400, 10))
    positions, name = map_positions(features)
    assert "of 100 samples" in name
    unit = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    chosen = np.sort(np.random.default_rng(0).choice(400, 100, replace=False))
    for row in np.setdiff1d(np.arange(400), chosen)[:20]:
        nearest = chosen[np.argsort(-(unit[chosen] @ unit[row]))[:3]]
        np.testing.assert_allclose(positions[row], positions[nearest].mean(axis=0), rtol=1e-5)
    centres = np.stack([positions[group == one].mean(axis=0) for one in range(3)])
    assert (np.linalg.norm(positions[:, None] - centres, axis=2).argmin(axis=1) == group).all()


# What eyes that lack one kind of cone see of a screen: Machado, Oliveira and Fernandes 2009, on linear RGB.
EYES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip


def as_lab(colour: str, eye: np.ndarray) -> np.ndarray:
    """CIELAB of "#rrggbb" as seen by an eye; 2 apart is just noticeable side by side."""
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = eye @ np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(linear, 0, 1) / (0.95047, 1, 1.08883)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_twelve_clusters_can_be_told_apart_by_any_eye(eye: str) -> None:
    style = (Path(module.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    colours = re.findall(r"--c\d+: (#\w{6})", style)
    palettes = [colours[:12], colours[12:24], colours[24:]]
    assert len(colours) == 36
    assert palettes[1] == palettes[2]  # dark by choice, and dark by the system's
    for palette in palettes[:2]:
        seen = np.array([as_lab(colour, np.array(EYES[eye])) for colour in palette])
        apart = np.linalg.norm(seen[:, None] - seen, axis=2) + np.diag(np.full(12, np.inf))
        assert apart.min() > 10


class Tags(HTMLParser):
    """Elements in order, attributes that could fetch or run something, and the text of each script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, text: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1] += text
        elif self.tags and self.tags[-1] == "style":
            self.style += text


def test_the_document() -> None:
    text = write_report(make_data(title="a <b>bold</b> \udcff name"))
    text.encode("utf-8")
    document = Tags()
    document.feed(text)
    assert "&lt;b&gt;bold&lt;/b&gt; ? name" in text
    assert not any(name.startswith("on") or name in ("src", "style") for _, name, _ in document.attributes)
    assert {value for _, name, value in document.attributes if name == "href"} == {"data:,", "#outcome"}
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", text.replace("https", "http"))
    assert HOSTILE not in text
    assert BREAKOUT not in text
    (policy,) = [
        value for tag, name, value in document.attributes if tag == "meta" and "default-src" in value
    ]
    for content in (document.scripts[-1], document.style):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    data, sheet = (json.loads(script) for script in document.scripts[:2])
    assert data["fileNames"][0] == HOSTILE
    assert len(sheet) == 240
    assert write_report(make_data()) == write_report(make_data())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (30, 20), (number * 40, 0, 0)).save(folder / f"{number}.png")
    cluster = np.array([0, 0, 1, 1, 2])
    return Run(
        settings={"source": str(folder), "seed": 0},
        file_names=("0.png", "1.png", "3.png", "4.png", "5.png"),  # 2.png was skipped
        cluster=cluster,
        confidence=np.full(5, 0.9, dtype=np.float32),
        initial_cluster=np.array([0, 1, 1, 1, 2]),
        was_clean=np.ones(5, dtype=bool),
        is_clean=np.ones(5, dtype=bool),
        probabilities=np.eye(3, dtype=np.float32)[cluster] * 0.7 + 0.1,
        features=np.eye(3, dtype=np.float32)[cluster],
        cluster_names=("sky", "1", "2"),
        skipped=(("2.png", "truncated"),),
        marks={"doubt": np.full(5, 0.1, dtype=np.float32), "is_outlier": np.zeros(5, dtype=bool)},
        notes={"warnings": ["few images"]},
    )


def test_a_run_as_a_report(run: Run) -> None:
    data = report_data(run)
    assert data.title == "photos" or data.title.endswith("/photos")
    assert data.warnings == ["few images"]
    assert list(data.marks) == ["is_outlier"]
    assert data.open_thumbnail is not None
    assert [data.open_thumbnail(row, 30).getpixel((0, 0))[0] for row in range(5)] == [0, 40, 120, 160, 200]  # type: ignore[index]
    write_report(data)


def test_an_edited_run_as_a_report(run: Run) -> None:
    data = report_data(apply_edits(run, [Merge((0, 1)), Move(("5.png",), 3)]))
    assert data.merged_into == {1: 0}
    assert data.moved_by_hand is not None
    assert data.moved_by_hand.tolist() == [False, False, False, False, True]
    np.testing.assert_allclose(data.probabilities[0], [0.9, 0, 0.1, 0], atol=1e-6)  # type: ignore[index]
    write_report(data)


def test_images_that_are_gone(run: Run, tmp_path: Path) -> None:
    source = find_images(run.settings["source"])
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    data = report_data(run)
    assert data.open_thumbnail is None
    assert "cannot be found any more" in data.warnings[-1]
    write_report(data)
    write_report(report_data(run, source))  # found once, lost since
    assert report_data(run, find_images(tmp_path / "elsewhere")).open_thumbnail is not None
    assert report_data(replace(run, settings={})).title == "Clusters"


def test_metrics_with_holes(run: Run) -> None:
    metrics: dict[str, Any] = {
        "refined": {"numbers": {"accuracy": {"value": float("nan"), "low": 0.1, "high": 0.2}}}
    }
    data = (
        write_report(replace(report_data(run), metrics=metrics)).split('id="data"')[1].split("</script>")[0]
    )
    assert '"value":null' in data
    assert "NaN" not in data


def test_neighbours_that_were_found_already_make_the_same_report(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    data = make_data(80, features=features, open_thumbnail=None)
    found = nearest_neighbors(features, 40, Runtime("cpu"))
    monkeypatch.setattr(report_module, "nearest_neighbors", lambda *given: pytest.fail("searched again"))
    again = write_report(data, near=found)
    monkeypatch.undo()
    assert again == write_report(data)


def test_neighbours_of_very_many_are_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    data = make_data(80, features=features, open_thumbnail=None)
    monkeypatch.setattr(report_module, "MOST_IN_FULL", 50)
    monkeypatch.setattr("ruc.report.found.nearest_images", lambda *given: pytest.fail("searched again"))
    write_report(data, near=nearest_neighbors(features, 40, Runtime("cpu")))
