"""`ruc name`: a run on shapes, and a tiny model that was taught three words."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from image_text_models import make_clip, pixels_of, save_image_text, teach, tokens_of
from shapes import write_shapes

from ruc.cli import main
from ruc.doors.name_clusters import read_words
from ruc.errors import InputError
from ruc.run_folder import read_run

WORD_OF = {"across": "bar", "down": "column", "square": "square"}


def ruc(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder with images, labels, words and model, and the shape of each image."""
    folder = tmp_path_factory.mktemp("naming")
    shapes = write_shapes(folder / "images")
    rows = (f"{name},{list(WORD_OF).index(shape)}\n" for name, shape in shapes.items())
    (folder / "labels.csv").write_text("file_name,label\n" + "".join(rows))
    (folder / "words.txt").write_text("\ufeffsquare\n\nbar\n  column \nBar\n", encoding="utf-8")
    model = make_clip(scale=3000.0)
    teach(
        model,
        {
            word: [folder / "images" / name for name, its in shapes.items() if its == shape]
            for shape, word in WORD_OF.items()
        },
    )
    save_image_text(model, folder / "clip")
    return folder, shapes


@pytest.fixture
def run(place: tuple[Path, dict[str, str]], tmp_path: Path) -> Path:
    folder, _ = place
    made = ["--labels", folder / "labels.csv", "--embedder", "pixels", "--epochs", "1", "-q"]
    assert ruc("refine", folder / "images", "-o", tmp_path / "run", *made) == 0
    return tmp_path / "run"


def test_clusters_are_called_by_what_they_show(place, run: Path, capsys) -> None:
    folder, shapes = place
    capsys.readouterr()
    how = ("--words", folder / "words.txt", "--model", folder / "clip")
    assert ruc("name", run, *how, "-q") == 0
    shown = capsys.readouterr().out
    named = read_run(run)
    assert named.cluster_names == ("bar", "column", "square"), shown
    assert "called column" in shown and f"ruc undo {run} takes it back" in shown
    right = [
        named.cluster_names[cluster] == WORD_OF[shapes[name]]
        for name, cluster in zip(named.file_names, named.cluster, strict=True)
    ]
    assert np.mean(right) > 0.9
    assert '"bar"' in (run / "report.html").read_text(encoding="utf-8")

    assert ruc("name", run, *how, "-q") == 1
    assert "all clusters of the run have names" in capsys.readouterr().err
    assert ruc("undo", run) == 0
    assert "taken back: cluster 0 was called 'bar'" in capsys.readouterr().out
    assert read_run(run).cluster_names == ("0", "1", "2")


def test_leads_are_those_of_the_models_own_logits(place, run: Path, capsys) -> None:
    folder, _ = place
    capsys.readouterr()
    how = ("--words", folder / "words.txt", "--model", folder / "clip")
    assert ruc("name", run, *how, "--json", "--prompt", "a {} photo") == 0
    found = json.loads(capsys.readouterr().out)
    from transformers import CLIPModel

    model, done = CLIPModel.from_pretrained(folder / "clip").eval(), read_run(run)
    words = ["square", "bar", "column"]
    with torch.no_grad():
        pixels = pixels_of([folder / "images" / name for name in done.file_names])
        texts = tokens_of([f"a {word} photo" for word in words])
        logits = model(pixel_values=pixels, **texts).logits_per_image.double().numpy()
    assert len(found) == 3
    for one in found:
        mean = logits[done.cluster == one["cluster"]].mean(axis=0)
        second, first = np.argsort(mean)[-2:]
        assert (one["word"], one["next_word"]) == (words[first], words[second])
        np.testing.assert_allclose(np.log(one["lead"]), mean[first] - mean[second], atol=0.002 * 3000)


def test_bad_input_changes_nothing(place, run: Path, tmp_path: Path, capfd) -> None:
    folder, _ = place
    before = (run / "clusters.csv").read_bytes()
    words, clip = folder / "words.txt", folder / "clip"
    (tmp_path / "one.txt").write_text("cat\nCat\n")
    (tmp_path / "number.txt").write_text("cat\n1\n")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    damaged = shutil.copytree(clip, tmp_path / "damaged")
    tokens = (damaged / "tokenizer.json").read_text().replace('"lstrip"', '"lstriq"', 1)
    (damaged / "tokenizer.json").write_text(tokens)
    for given, status, said in (
        ((tmp_path / "pipe.txt", clip), 1, "a pipe, not a file"),
        ((words, damaged), 1, "an added token with 'lstriq'"),
        ((words, run), 1, "holds no model"),
        ((words, "laion/clip"), 1, "is no folder; expected"),
        ((tmp_path / "none.txt", clip), 1, "cannot be read as a list of words"),
        ((tmp_path / "one.txt", clip), 1, "1 different words"),
        ((tmp_path / "number.txt", clip), 1, "the word '1' is the number of a cluster"),
        ((words, clip, "--prompt", "a photo"), 2, "with {} once"),
        ((words, clip, "--images", tmp_path / "empty"), 1, "image"),
        ((words, clip, "--images", folder / "elsewhere"), 1, "elsewhere"),
    ):
        capfd.readouterr()
        assert ruc("name", run, "--words", given[0], "--model", given[1], *given[2:], "-q") == status
        printed = capfd.readouterr()
        assert said in printed.err and not printed.out
    assert (run / "clusters.csv").read_bytes() == before


def test_other_peoples_images_are_refused(place, run: Path, tmp_path: Path, capsys) -> None:
    folder, _ = place
    write_shapes(tmp_path / "others" / "deeper", 2)
    how = ("--words", folder / "words.txt", "--model", folder / "clip", "--images", tmp_path / "others")
    assert ruc("name", run, *how, "-q") == 1
    assert "none of the run's images is in" in capsys.readouterr().err


def test_words_are_read_once_each(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"sky\r\nSKY\r\n hot dog \r\n")
    assert read_words(tmp_path / "words.txt") == ("sky", "hot dog")
    (tmp_path / "words.txt").write_bytes(b"sky\nhot\x00dog\n")
    with pytest.raises(InputError, match="expected a text file of words"):
        read_words(tmp_path / "words.txt")
