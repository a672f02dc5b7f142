"""Exports, opened by the tools they are for where those are installed."""

import errno
import json
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from ruc.cli import main
from ruc.edits import Junk, Merge, Move, Rename, apply_edits
from ruc.edits.answer_table import read_answers
from ruc.errors import InputError, RunFolderError
from ruc.export.coco import export_coco
from ruc.export.export import FORMATS, export_run, network_labels
from ruc.export.fiftyone import export_fiftyone
from ruc.export.folders import export_folders, folder_names
from ruc.export.imagefolder import export_imagefolder
from ruc.export.items import Items, items_of
from ruc.export.label_studio import export_label_studio
from ruc.export.parquet import export_parquet
from ruc.images.decode import decode
from ruc.images.source import find_images
from ruc.run_folder import Run, write_run

N_IMAGES = 12
NAMES = (
    "plain.png",
    "sub/plain.png",
    "höhe ☀.jpg",
    "<img src=x onerror=1>.png",
    *(f"{n}.png" for n in range(8)),
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images of different sizes; one JPEG lies on its side and says so."""
    folder = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (20 + number, 10), (number * 20, 0, 0))
        exif = Image.Exif()
        if name.endswith(".jpg"):
            exif[0x0112] = 6
        image.save(path, exif=exif)
    return folder


@pytest.fixture
def run(photos: Path) -> Run:
    """Cluster by turns of three; the last image of each is the doubtful one."""
    names = tuple(sorted(NAMES))
    rng = np.random.default_rng(0)
    cluster = np.arange(N_IMAGES) % 3
    features = rng.normal(0, 0.1, (N_IMAGES, 5)) + np.eye(5)[cluster]
    probabilities = np.full((N_IMAGES, 3), 0.1, dtype=np.float32)
    probabilities[np.arange(N_IMAGES), cluster] = 0.8
    return Run(
        settings={"source": str(photos)},
        file_names=names,
        cluster=cluster,
        confidence=np.linspace(0.5, 1, N_IMAGES).astype(np.float32),
        initial_cluster=np.zeros(N_IMAGES, dtype=np.int64),
        was_clean=np.ones(N_IMAGES, dtype=bool),
        is_clean=np.arange(N_IMAGES) < 9,
        probabilities=probabilities,
        features=(features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32),
        cluster_names=("cats/dogs", "1", "Sunsets"),
    )


@pytest.fixture
def items(run: Run, photos: Path) -> Items:
    return items_of(run, find_images(photos))


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("how", ["copy", "symlink", "hardlink"])
def test_folders(items: Items, photos: Path, tmp_path: Path, how: Any) -> None:
    before = {name: (photos / name).read_bytes() for name in NAMES}
    target = export_folders(items, tmp_path / "sorted", how)
    labels = ("cats_dogs", "1", "Sunsets")
    assert files_below(target) == {f"{labels[row % 3]}/{name}" for row, name in enumerate(sorted(NAMES))}
    for row, name in enumerate(sorted(NAMES)):
        path = target / labels[row % 3] / name
        assert path.read_bytes() == before[name]
        assert path.is_symlink() == (how == "symlink")
        assert path.samefile(photos / name) == (how != "copy")
        if how == "copy":
            assert path.stat().st_mtime == pytest.approx((photos / name).stat().st_mtime, abs=1)
    assert {name: (photos / name).read_bytes() for name in NAMES} == before


def test_links_hold_though_the_images_were_named_relative_to_the_current_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = export_folders(items_of(run, find_images("photos")), tmp_path / "sorted", "symlink")
    monkeypatch.chdir("/")
    assert (target / "cats_dogs" / sorted(NAMES)[0]).read_bytes()


def test_archives_are_unpacked(run: Run, photos: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for name in run.file_names:
            archive.add(photos / name, name)
    packed = items_of(run, find_images(tmp_path / "photos.tar"))
    exports = (
        export_folders(items_of(run, find_images(photos)), tmp_path / "a"),
        export_folders(packed, tmp_path / "b"),
    )
    assert files_below(exports[0]) == files_below(exports[1])
    for name in files_below(exports[0]):
        assert (exports[0] / name).read_bytes() == (exports[1] / name).read_bytes()
    with pytest.raises(InputError, match="cannot be linked as symlink; expected --how copy"):
        export_folders(packed, tmp_path / "c", "symlink")
    with pytest.raises(InputError, match="images are in archives; expected files for this export"):
        packed.files()
    (tmp_path / "photos.tar").unlink()
    with pytest.raises(InputError, match=r"photos\.tar cannot be read"):
        export_folders(packed, tmp_path / "d")


def test_nothing_is_overwritten(items: Items, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    for export in (export_folders, export_imagefolder, export_label_studio):
        with pytest.raises(RunFolderError, match="there exists already; expected a new folder"):
            export(items, folder)  # type: ignore[operator]
    for export in (export_coco, export_parquet):
        with pytest.raises(RunFolderError, match=r"mine.txt exists already"):
            export(items, folder / "mine.txt")  # type: ignore[operator]
    assert files_below(folder) == {"mine.txt"}
    assert (folder / "mine.txt").read_text() == "precious"
    empty = tmp_path / "empty"
    empty.mkdir()
    for export in (export_coco, export_parquet):  # a file would take the folder's place
        with pytest.raises(RunFolderError, match="empty is a folder"):
            export(items, empty)  # type: ignore[operator]
    export_folders(items, empty)


def test_nothing_is_left_behind_when_it_fails(items: Items, tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(InputError, match=r"cannot be linked as hardlink .*--how copy"):
        export_folders(items, tmp_path / "sorted", "hardlink")
    assert files_below(tmp_path / "sorted") == set()
    export_folders(items, tmp_path / "sorted")  # the advice works


@pytest.mark.parametrize("how", ["copy", "hardlink"])
def test_an_image_that_is_gone_is_named(items: Items, tmp_path: Path, how: Any) -> None:
    items.files()[3].unlink()
    with pytest.raises(InputError, match=r"image .*photos.* cannot be read \([Nn]o such file"):
        export_folders(items, tmp_path / "sorted", how)
    assert files_below(tmp_path / "sorted") == set()
    with pytest.raises(InputError, match=r"image .*photos.* cannot be read \([Nn]o such file"):
        export_coco(items, tmp_path / "coco.json")
    items.files()[3].write_text("no image")
    with pytest.raises(InputError, match=r"image .*photos.* cannot be read \(not an image"):
        export_coco(items, tmp_path / "coco.json")


def test_a_full_disk_is_not_an_image_that_cannot_be_read(
    items: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(
            errno.ENOSPC, "No space left on device", str(source), None, str(target)
        )  # as shutil does

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(RunFolderError, match="no space left"):
        export_folders(items, tmp_path / "sorted")


def test_folder_names_that_any_file_system_takes() -> None:
    labels = {0: "a/b", 1: "a:b", 2: "..", 3: "CON", 4: "nul.txt", 5: "x" * 300, 6: "tab\tbed", 7: "end. "}
    labels |= {
        8: "a_b (1)",
        9: "猫" * 100,
        10: "猫" * 99,
        11: "e\u0301",
        12: "É",
        13: "com¹ .x",
        14: "lone \udcff",
    }
    names = folder_names(labels)
    assert [names[0], names[1], names[8]] == ["a_b (0)", "a_b (1) (1)", "a_b (1)"]
    assert names[2] == "cluster 2"
    assert names[3] == "_CON"  # Windows looks at what is before the first dot: a number behind doesn't help
    assert names[4] == "_nul.txt"
    assert names[5] == "x" * 100
    assert names[6] == "tab_bed"
    assert names[7] == "end"
    assert [names[9], names[10]] == ["猫" * 33 + " (9)", "猫" * 33 + " (10)"]
    assert [names[11], names[12]] == ["é (11)", "É (12)"]
    assert names[13] == "_com¹ .x"
    assert names[14] == "lone"
    assert len({name.casefold() for name in names.values()}) == len(labels)


def test_labels_are_told_apart_and_junk_is_left_out(run: Run, photos: Path) -> None:
    images = find_images(photos)
    twice = replace(run, cluster_names=("sun", "1", "SUN"))
    assert items_of(twice, images).labels == {0: "sun (0)", 1: "1", 2: "SUN (2)"}
    given = replace(run, cluster_names=("a\x1bb", "a b", "c"))  # names may come with the labels
    assert items_of(given, images).labels == {0: "a b (0)", 1: "a b (1)", 2: "c"}
    met = replace(run, cluster_names=("cat", "Cat", "cat (0)"))
    assert items_of(met, images).labels == {0: "cat (0) (0)", 1: "Cat (1)", 2: "cat (0)"}
    junk = apply_edits(run, [Junk(1)])
    assert len(items_of(junk, images).file_names) == 8
    assert items_of(junk, images).labels == {0: "cats/dogs", 2: "Sunsets"}
    assert len(items_of(junk, images, include_junk=True).file_names) == 12
    merged = apply_edits(run, [Merge((0, 1))])
    assert items_of(merged, images).labels == {0: "cats/dogs", 2: "Sunsets"}
    with pytest.raises(InputError, match="every cluster of the run is marked as junk"):
        items_of(apply_edits(run, [Junk(0), Junk(1), Junk(2)]), images)


def test_missing_images_are_named(run: Run, photos: Path) -> None:
    (photos / "plain.png").unlink()
    with pytest.raises(InputError, match=r"1 images of the run cannot be found, the first is 'plain.png'"):
        items_of(run, find_images(photos))


def test_runs_on_features_have_no_files(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected image files for this export"):
        export_coco(items_of(run), tmp_path / "coco.json")
    table = pd.read_parquet(export_parquet(items_of(run), tmp_path / "run.parquet"))
    assert "image" not in table.columns


def test_imagefolder(items: Items, tmp_path: Path) -> None:
    target = export_imagefolder(items, tmp_path / "imagefolder", "symlink")
    rows = pq.read_table(target / "metadata.parquet").to_pylist()
    assert files_below(target) == {"metadata.parquet", *(row["file_name"] for row in rows)}
    assert [row["original_name"] for row in rows] == sorted(NAMES)
    for row, path in zip(rows, items.files(), strict=True):
        assert (target / row["file_name"]).readlink() == path
    assert rows[1] == {
        "file_name": "images/000001.png", "original_name": "1.png", "label": "1", "cluster": 1,
        "confidence": 0.5454546, "initial_cluster": 0, "is_clean": True,
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "names",
    [
        sorted(NAMES),
        [f"{part}/{n}.png" for part in ("train", "val", "test") for n in range(4)],
        ["test_1.png", *(f"photo {n}.png" for n in range(11))],
        [f"my-val 2/{n}.png" for n in range(12)],
        [f"a/train/test/{n}.JPG" for n in range(12)],
        ["no suffix", "odd.avif", "odd.test", "p[0].png", "task.toml.png", *(f"{n}.jpeg" for n in range(7))],
    ],
    ids=["plain", "splits", "one", "folder", "both", "odd"],
)
def test_imagefolder_in_datasets(
    names: list[str], items: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="Hugging Face datasets is not installed: pip install datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    paths = tuple(tmp_path / "layout" / name for name in names)
    for path, image in zip(paths, items.files(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(image, path)
    labels = {cluster: ("NA", "007", "null")[place] for place, cluster in enumerate(items.labels)}
    laid_out = replace(items, file_names=tuple(names), images=paths, labels=labels)
    target = export_imagefolder(laid_out, tmp_path / "val" / "test_1")
    data = load_dataset("imagefolder", data_dir=str(target), cache_dir=str(tmp_path / "cache"))
    assert set(data) == {"train"}
    found = {row["original_name"]: (row["image"].size, row["label"], row["cluster"]) for row in data["train"]}
    sizes = [ImageOps.exif_transpose(Image.open(path)).size for path in items.files()]
    expected = zip(sizes, laid_out.row_labels, items.cluster.tolist(), strict=True)
    assert found == dict(zip(names, expected, strict=True))


def test_label_studio(items: Items, tmp_path: Path) -> None:
    target = export_label_studio(items, tmp_path / "label_studio")
    tasks = json.loads((target / "tasks.json").read_text(encoding="utf-8"))
    assert [unquote(task["data"]["image"]) for task in tasks] == [
        f"/data/local-files/?d={name}" for name in sorted(NAMES)
    ]
    assert not any(" " in task["data"]["image"] or "<" in task["data"]["image"] for task in tasks)
    prediction = tasks[2]["predictions"][0]
    assert prediction["score"] == pytest.approx(float(items.confidence[2]))
    view = ElementTree.parse(target / "label_config.xml").getroot()
    choices = [choice.get("value") for choice in view.iter("Choice")]
    assert choices == ["cats/dogs", "1", "Sunsets"]
    region = prediction["result"][0]
    assert view.find(region["type"].capitalize()).get("name") == region["from_name"]  # type: ignore[union-attr]
    assert view.find("Image").get("name") == region["to_name"]  # type: ignore[union-attr]
    assert region["value"] == {"choices": ["Sunsets"]}


@pytest.mark.parametrize(
    ("root", "is_encoded"),
    [("s3://b/", False), ("gs://b/", False), ("azure-blob://b/", False), ("https://host/", True), ("/data/", True)],
)  # fmt: skip
def test_names_in_a_bucket_are_keys_as_they_are(
    items: Items, tmp_path: Path, root: str, is_encoded: bool
) -> None:
    named = replace(items, file_names=("Foto 1 ü.png", *items.file_names[1:]))
    target = export_label_studio(named, tmp_path / "tasks", image_root=root)
    tasks = json.loads((target / "tasks.json").read_text(encoding="utf-8"))
    assert tasks[0]["data"]["image"] == root + ("Foto%201%20%C3%BC.png" if is_encoded else "Foto 1 ü.png")


def test_sizes_in_coco_of_what_pillow_refuses(items: Items, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    deep, large = tmp_path / "deep.tif", tmp_path / "large.png"
    tifffile.imwrite(deep, np.zeros((20, 40), np.float64), extratags=[(274, "H", 1, 6, True)])
    Image.new("1", (24_000, 14_000)).save(large)  # more than a run reads without --max-megapixels
    two = replace(items, file_names=(deep.name, large.name), images=(deep, large), cluster=items.cluster[:2])
    found = json.loads(export_coco(two, tmp_path / "coco.json").read_text())["images"]
    assert [(each["width"], each["height"]) for each in found] == [(20, 40), (24_000, 14_000)]


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "webp", "avif"])
def test_sizes_in_coco_are_those_of_the_image_upright(items: Items, tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    path = tmp_path / f"turned.{suffix}"
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    one = replace(items, file_names=(path.name,), images=(path,), cluster=items.cluster[:1])
    content = json.loads(export_coco(one, tmp_path / "coco.json").read_text())
    assert (content["images"][0]["width"], content["images"][0]["height"]) == decode(path).size == (20, 40)


def test_label_studio_by_its_own_rules(items: Items, tmp_path: Path) -> None:
    sdk = pytest.importorskip(
        "label_studio_sdk.label_interface",
        reason="Label Studio's SDK is not installed: pip install label-studio-sdk",
    )
    hostile = replace(items, labels={**items.labels, 1: '"><Choice value="x"/>'})
    target = export_label_studio(hostile, tmp_path / "label_studio")
    interface = sdk.LabelInterface((target / "label_config.xml").read_text(encoding="utf-8"))
    interface.validate()
    assert list(interface.get_control("cluster").labels) == list(hostile.labels.values())
    for task in json.loads((target / "tasks.json").read_text(encoding="utf-8")):
        (prediction,) = task.pop(
            "predictions"
        )  # `validate_task` cannot look at them, `validate_prediction` can
        assert interface.validate_task(task)
        assert interface.validate_prediction(prediction, return_errors=True) == []


def test_what_people_chose_in_label_studio_comes_back(items: Items, run: Run, tmp_path: Path) -> None:
    """As docs/handing_over.md says, by Label Studio's own CSV export."""
    converter = pytest.importorskip(
        "label_studio_sdk.converter",
        reason="Label Studio's SDK is not installed: pip install label-studio-sdk",
    )
    target = export_label_studio(items, tmp_path / "label_studio")
    tasks = json.loads((target / "tasks.json").read_text(encoding="utf-8"))
    for number, task in enumerate(tasks):
        (prediction,) = task.pop("predictions")
        (choice,) = prediction["result"]
        choice["value"]["choices"] = ["Sunsets" if number == 0 else choice["value"]["choices"][0]]
        said = {"id": number, "completed_by": 1, "result": [choice], "lead_time": 1.0, "was_cancelled": False}
        task |= {
            "id": number,
            "annotations": [{**said, "created_at": "2026-01-01", "updated_at": "2026-01-01"}],
        }
    (tmp_path / "annotated.json").write_text(json.dumps(tasks), encoding="utf-8")
    by_config = converter.Converter((target / "label_config.xml").read_text(encoding="utf-8"), str(tmp_path))
    by_config.convert_to_csv(
        str(tmp_path / "annotated.json"), str(tmp_path / "back"), is_dir=False, sep=",", header=True
    )
    table = pd.read_csv(tmp_path / "back" / "result.csv", dtype=str).rename(columns={"cluster": "label"})
    table.to_csv(tmp_path / "export.csv", index=False)
    answers = read_answers(tmp_path / "export.csv", run)
    assert [(one.file_name, one.right) for one in answers] == [
        (name, 2 if row == 0 else cluster)
        for row, (name, cluster) in enumerate(zip(run.file_names, run.cluster.tolist(), strict=True))
    ]


def test_coco(items: Items, tmp_path: Path) -> None:
    content = json.loads(export_coco(items, tmp_path / "coco.json").read_text(encoding="utf-8"))
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in content["images"]}
    assert sizes["plain.png"] == (20, 10)
    assert sizes["höhe ☀.jpg"] == (10, 22)  # upright
    assert content["categories"][2] == {"id": 3, "name": "Sunsets", "supercategory": "cluster"}
    assert {one["category_id"] for one in content["annotations"]} == {1, 2, 3}
    assert [one["image_id"] for one in content["annotations"]] == [one["id"] for one in content["images"]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_coco_has_the_sizes_of_upright_images(
    orientation: int, items: Items, photos: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 10)).save(photos / "höhe ☀.jpg", exif=exif)
    content = json.loads(export_coco(items, tmp_path / "coco.json").read_text(encoding="utf-8"))
    (found,) = (image for image in content["images"] if image["file_name"] == "höhe ☀.jpg")
    with Image.open(photos / "höhe ☀.jpg") as image:
        assert (found["width"], found["height"]) == ImageOps.exif_transpose(image).size


def test_coco_in_pycocotools(items: Items, tmp_path: Path) -> None:
    coco = pytest.importorskip(
        "pycocotools.coco", reason="pycocotools is not installed: pip install pycocotools"
    )
    data = coco.COCO(str(export_coco(items, tmp_path / "coco.json")))
    (category,) = data.getCatIds(catNms=["Sunsets"])
    names = {image["file_name"] for image in data.loadImgs(data.getImgIds(catIds=[category]))}
    assert names == set(sorted(NAMES)[2::3])
    assert len(data.getAnnIds(areaRng=[0, 10_000])) == N_IMAGES


def test_parquet(items: Items, photos: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(export_parquet(items, tmp_path / "run.parquet"))
    assert list(table.columns) == [
        "id", "file_name", "image", "cluster", "label", "confidence", "initial_cluster", "is_clean", "x", "y",
        "neighbors", "vector",
    ]  # fmt: skip
    assert table["label"].tolist()[:3] == ["cats/dogs", "1", "Sunsets"]
    assert table["image"][0] == str(photos / sorted(NAMES)[0])
    np.testing.assert_allclose(np.stack(table["vector"].tolist()), items.features)
    # neighbours by the definition: all others, nearest in cosine first
    similarity = items.features @ items.features.T
    for row, neighbors in enumerate(table["neighbors"]):
        ids = [int(one) for one in neighbors["ids"]]
        assert sorted(ids) == [one for one in range(N_IMAGES) if one != row]
        np.testing.assert_allclose(neighbors["distances"], 1 - similarity[row, ids], atol=1e-5)
        assert np.all(np.diff(neighbors["distances"]) >= 0)


def test_marks_go_with_every_format_that_has_room_for_them(run: Run, photos: Path, tmp_path: Path) -> None:
    doubt = np.linspace(0, 0.9, N_IMAGES).astype(np.float32)
    is_outlier = np.arange(N_IMAGES) == 4
    copy_of = np.array(["", run.file_names[0], *[""] * (N_IMAGES - 2)])
    marked = replace(run, marks={"doubt": doubt, "is_outlier": is_outlier, "copy_of": copy_of})
    items = items_of(apply_edits(marked, [Junk(2)]), find_images(photos))
    kept = [row for row in range(N_IMAGES) if row % 3 != 2]
    table = pq.read_table(export_parquet(items, tmp_path / "run.parquet")).to_pydict()
    images = pq.read_table(export_imagefolder(items, tmp_path / "folder") / "metadata.parquet").to_pydict()
    for columns in (table, images):
        assert columns["is_outlier"] == is_outlier[kept].tolist()
        assert columns["copy_of"] == copy_of[kept].tolist()
        np.testing.assert_allclose(columns["doubt"], doubt[kept], atol=1e-6)
    coco = json.loads(export_coco(items, tmp_path / "coco.json").read_text(encoding="utf-8"))
    tasks = json.loads(
        (export_label_studio(items, tmp_path / "ls") / "tasks.json").read_text(encoding="utf-8")
    )
    target = export_fiftyone(items, tmp_path / "fiftyone")
    fiftyone = json.loads((target / "labels.json").read_text(encoding="utf-8"))
    where = json.loads((target / "data.json").read_text(encoding="utf-8"))
    assert list(where) == list(fiftyone["labels"])
    for place, row in enumerate(kept):
        attributes = coco["annotations"][place]["attributes"]
        assert attributes.pop("doubt") == pytest.approx(doubt[row], abs=1e-6)
        expected = {"is_outlier": True} if row == 4 else {"copy_of": run.file_names[0]} if row == 1 else {}
        assert attributes == expected
        assert tasks[place]["data"].get("is_outlier", False) == (row == 4)
        label = fiftyone["labels"][f"{place:08}"]
        assert fiftyone["classes"][label["label"]] == items.row_labels[place]
        assert label["attributes"]["file_name"] == run.file_names[row]
        assert label["attributes"].get("copy_of", "") == copy_of[row]
        assert Path(where[f"{place:08}"]).samefile(photos / run.file_names[row])


@pytest.mark.filterwarnings("ignore")
def test_parquet_in_embedding_atlas(items: Items, tmp_path: Path) -> None:
    metrics = pytest.importorskip(
        "embedding_atlas.graph_metrics",
        reason="Embedding Atlas is not installed: pip install embedding-atlas",
    )
    table = pd.read_parquet(export_parquet(items, tmp_path / "run.parquet"))
    ranks = metrics.compute_pagerank_column(table, neighbors="neighbors")
    assert len(ranks) == N_IMAGES


def test_the_door(run: Run, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder, run)
    for to in FORMATS:
        if to != "onnx":
            written = export_run(folder, to, tmp_path / f"out_{to}")
            assert written == tmp_path / f"out_{to}"
            assert written.exists()
    with pytest.raises(SystemExit) as done:
        main(
            [
                "export",
                str(folder),
                "--to",
                "label-studio",
                "-o",
                str(tmp_path / "s3"),
                "--image-root",
                "s3://photos/",
            ]
        )
    assert done.value.code == 0
    (first, *_) = json.loads((tmp_path / "s3" / "tasks.json").read_text(encoding="utf-8"))
    assert first["data"]["image"].startswith("s3://photos/")
    with pytest.raises(InputError, match="format 'zip' given; expected one of folders, imagefolder"):
        export_run(folder, "zip", tmp_path / "zip")
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="does not exist"):
        export_run(folder, "coco", tmp_path / "coco.json")
    export_run(folder, "coco", tmp_path / "coco.json", images=moved)
    export_run(folder, "parquet", tmp_path / "again.parquet")  # works without the images
    assert "image" not in pd.read_parquet(tmp_path / "again.parquet").columns


def test_the_networks_outputs_carry_the_names_of_today(run: Run) -> None:
    edited = apply_edits(run, [Rename(1, "dogs"), Merge((1, 0)), Move((run.file_names[0],), 3)])
    assert network_labels(run) == ["cats/dogs", "1", "Sunsets"]
    assert network_labels(edited) == ["dogs", "dogs", "Sunsets"]
