"""Whatever can be checked is checked before the first image is opened, for every command; and nothing is lost by it."""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shapes import write_shapes

from ruc.cli import main

BEGIN = ("--embedder", "pixels", "--epochs", "1", "-k", "3", "-q")
NO_IMAGE_IS_OPENED = [
    *(
        (["cluster", "images", *wrong, "-q"], status)
        for *wrong, status in (
            ("-k", "ten", 2), ("-k", "1", 2), ("-k", "5:2", 2), ("-k", "61", 1), ("--base", "kmean", 2),
            ("--space", "foo", 2), ("--space", "image", "--embedder", "pixels", 2), ("--set", "epsilon=7", 2),
            ("--set", "foo=1", 2), ("--set", "foo", 2), ("--device", "abacus", 2), ("--image-size", "2", 2),
            ("--image-size", "big", 2), ("--review", "200%", 2), ("--max-skipped", "-1", 2), ("--page", "last", 2),
            ("--max-megapixels", "0", 2), ("--seed", "-1", 2), ("--preset", "best", 2), ("--epochs", "0", 2),
            ("--selection", "luck", 2), ("--embedder", "lite0+none.onnx", 1), ("--embedder", "none.pth", 1),
            ("--embedder", "lite0+auto", 2), ("--base", "none.pth", 1), ("--config", "none.yaml", 1),
            ("--features", "none.npy", 1), ("-o", "truth.csv", 1), ("-o", "others", 1),
            ("-k", "4", "-o", "run", 1), ("-o", "truth.csv/run", 1),
        )
    ),
    *(
        (["refine", "images", *wrong, "-q"], status)
        for *wrong, status in (
            (2,), ("--labels", "none.csv", 1), ("--labels", "columns.csv", 1), ("--labels", "strangers.csv", 1),
            ("--labels", "truth.csv", "--probabilities", "none.npy", 1),
            ("--labels", "truth.csv", "--probabilities", "features.npy", 1),
        )
    ),
    (["predict", "run", "images", "-o", "truth.csv"], 1),
    (["predict", "run", "images", "-o", "others"], 1),
    (["predict", "others", "images"], 1),
    (["predict", "run", "images", "--features", "features.npy"], 2),
    (["predict", "run"], 2),
    (["predict", "run", "images", "--most-novel", "3"], 2),
    (["predict", "run", "images", "--device", "abacus"], 2),
    (["predict", "run", "nowhere"], 1),
    (["evaluate", "run", "--truth", "none.csv"], 1),
    (["evaluate", "run", "--truth", "columns.csv"], 1),
    (["evaluate", "run", "--truth", "strangers.csv"], 1),
    (["evaluate", "run", "--truth", "truth.csv", "--attack", "foo"], 2),
    (["evaluate", "run", "run", "--truth", "truth.csv"], 2),
    (["evaluate", "run", "others", "--truth", "truth.csv"], 1),
    (["evaluate", "run", "of_features", "--truth", "truth.csv", "--attack", "fgsm"], 1),
    (["evaluate", "run", "--truth", "truth.csv", "--device", "abacus"], 2),
    (["embed", "images", "-o", "new.txt"], 2),
    (["embed", "images", "-o", "features.npy"], 1),
    (["embed", "images", "-o", "new.npy", "--embedder", "lite0+none.onnx"], 1),
    (["embed", "images", "-o", "new.npy", "--device", "abacus"], 2),
    (["copies", "images", "-o", "truth.csv"], 1),
    (["copies", "of_features"], 1),
    (["leaks", "images", "nowhere"], 1),
    (["leaks", "images", "images", "-o", "truth.csv"], 1),
    (["pick", "run", "--by", "luck"], 2),
    (["pick", "run", "-n", "0"], 2),
    (["pick", "run", "-o", "others"], 1),
    (["nearest", "run", "images/000.png", "-n", "0"], 2),
    (["nearest", "run", "images/none.png"], 1),
    (["compare", "run", "others"], 1),
    (["compare", "run", "run", "-o", "truth.csv"], 1),
    (["export", "run", "--to", "foo"], 2),
    (["export", "run", "--to", "folders", "--how", "move"], 2),
    (["export", "run", "--to", "folders", "-o", "others"], 1),
    (["export", "run", "--to", "coco", "-o", "truth.csv"], 1),
    (["export", "of_features", "--to", "folders"], 1),
    (["merge", "run", "0"], 2),
    (["merge", "run", "0", "9"], 1),
    (["split", "run", "0", "--parts", "1"], 2),
    (["rename", "run", "9", "a"], 1),
    (["name", "run", "--words", "none.txt", "--model", "images"], 1),
    (["name", "run", "--words", "truth.csv", "--model", "images"], 1),
    (["name", "of_features", "--words", "truth.csv", "--model", "images"], 1),
    (["name", "run", "--words", "truth.csv", "--model", "images", "--prompt", "photo"], 2),
    (["undo", "run"], 1),
    (["undo", "run", "--edits", "0"], 2),
    (["apply", "run", "none.json"], 1),
    (["apply", "run", "columns.csv"], 1),
    (["check", "run", "--n", "0"], 2),
    (["cut", "run", "-k", "1", "-o", "new"], 2),
    (["cut", "run", "-k", "4", "-o", "others"], 1),
    (["update", "run", "nowhere"], 1),
    (["update", "run", "images", "--new-clusters", "0"], 2),
    (["cluster", "images", "--nonsense"], 2),
    (["clusters", "images"], 2),
]  # fmt: skip
OPENED: list[str] = []
IS_WATCHED = [False]


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if IS_WATCHED[0] and event == "open" and str(arguments[0]).endswith(".png"):
        OPENED.append(str(arguments[0]))


def ruc(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of images, runs on images and on features, and tables that don't fit; what is opened is watched."""
    sys.addaudithook(_watch)  # for good, so not before it is needed
    place = tmp_path_factory.mktemp("place")
    before = Path.cwd()
    os.chdir(place)
    kinds = write_shapes(place / "images")
    rows = "".join(f"{name},{kind}\n" for name, kind in kinds.items())
    Path("truth.csv").write_text(f"file_name,label\n{rows}")
    Path("columns.csv").write_text(f"file_name,kind\n{rows}")
    Path("strangers.csv").write_text("file_name,label\nstranger.png,0\nother.png,1\n")
    Path("others").mkdir()
    Path("others", "mine.txt").write_text("mine")
    np.save("features.npy", np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32))
    assert ruc("cluster", "images", "-o", "run", *BEGIN) == 0
    assert ruc("cluster", "--features", "features.npy", "-o", "of_features", *BEGIN[2:]) == 0
    yield place
    os.chdir(before)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("arguments", "status"), NO_IMAGE_IS_OPENED, ids=[" ".join(each) for each, _ in NO_IMAGE_IS_OPENED]
)
def test_what_can_be_checked_is_before_an_image_is_opened(
    arguments: list[str], status: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(place)
    OPENED.clear()
    IS_WATCHED[0] = True
    ended = ruc(*arguments)
    IS_WATCHED[0] = False
    shown = capsys.readouterr().err
    assert ended == status, shown
    assert not OPENED
    assert shown.strip() and "Traceback" not in shown
    assert contents(place) == before
