"""Embeddings that are made once: what is there isn't made again, whatever changed around it."""

import logging
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from data import photographs

import ruc.embedding
from ruc.cache import Cache, cache_for
from ruc.cli import main
from ruc.embed.frozen import FrozenEmbedder
from ruc.embedding import EmbedTask, embed_images
from ruc.images.source import find_images
from ruc.networks import NetworkSettings
from ruc.runtime import Runtime

CPU = Runtime("cpu")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(photographs(6)):
        image.resize((40, 40)).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return folder


@pytest.fixture
def computed(monkeypatch):
    """How many images the network was given, each time."""
    numbers = []
    embed = FrozenEmbedder.embed

    def counting(self, source, *args, known=(), **kwargs):
        numbers.append(len(source) - len(known))
        return embed(self, source, *args, known=dict(known), **kwargs)

    monkeypatch.setattr(FrozenEmbedder, "embed", counting)
    return numbers


def embedded(folder, cache):
    return embed_images(EmbedTask(find_images(folder), CPU, None, 0.5, cache=cache), ["lite0"])


def test_only_new_and_changed_images_are_embedded(photos, tmp_path, computed):
    cache = Cache(tmp_path / "cache")
    first = embedded(photos, cache)
    again = embedded(photos, cache)
    np.testing.assert_array_equal(again.features, first.features)
    assert again.file_names == first.file_names and again.skipped == first.skipped
    (photos / "0.png").rename(photos / "renamed.png")  # the same content
    photographs(8)[7].save(photos / "1.png")
    photographs(8)[6].save(photos / "new.png")
    third = embedded(photos, cache)
    assert computed == [7, 1, 3]  # what can't be read is tried again
    fresh = embed_images(EmbedTask(find_images(photos), CPU, None, 0.5), ["lite0"])
    np.testing.assert_allclose(third.features, fresh.features, atol=1e-5)
    assert third.file_names == fresh.file_names


def test_nothing_is_said_to_be_embedded_where_all_is_there(photos, tmp_path, caplog):
    cache = Cache(tmp_path / "cache")
    (photos / "broken.png").unlink()
    shown = replace(CPU, verbose=True)
    embed_images(EmbedTask(find_images(photos), shown, None, 0.5, cache=cache), ["lite0"])
    with caplog.at_level(logging.INFO):
        embed_images(EmbedTask(find_images(photos), shown, None, 0.5, cache=cache), ["lite0"])
    assert "6 of 6 images are in" in caplog.text
    assert "embedding: 0 images" not in caplog.text


def test_a_kill_keeps_what_was_done(photos, tmp_path, monkeypatch, computed):
    monkeypatch.setattr("ruc.embed.frozen.BATCHES_KEPT_TOGETHER", 1)
    monkeypatch.setattr("ruc.embed.frozen.CPU_BATCH_SIZE", 2)
    cache = Cache(tmp_path / "cache")
    keep = Cache.keep
    calls = []

    def killed(self, *args):
        keep(self, *args)
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            embedded(photos, cache)
    embedded(photos, cache)
    assert computed == [7, 3]


def test_other_embedders_and_settings_are_kept_apart(tmp_path):
    cache = Cache(tmp_path)
    images, rows = ["00" * 20, "11" * 20, ""], np.arange(6, dtype=np.float32).reshape(3, 2)
    cache.keep("one", {"side": 224}, images, rows)
    assert cache.known("one", {"side": 240}, images) == {}
    assert cache.known("other", {"side": 224}, images) == {}
    found = cache.known("one", {"side": 224}, [images[1], images[2], images[0], images[1]])
    assert sorted(found) == [0, 2, 3]  # a file that can't be opened has no content to be known by
    np.testing.assert_array_equal(found[3], rows[1])
    assert [(kept.name, kept.n_images, kept.n_bytes) for kept in cache.contents()] == [("one", 2, 16)]


def test_what_was_learned_is_for_just_these_images(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("ruc.embed.contrastive._enough_epochs", lambda n_images, n_batches: 1)
    monkeypatch.setattr(
        "ruc.embed.contrastive.NetworkSettings", lambda **_: NetworkSettings(width=4, blocks=(1, 1))
    )
    cache, source = Cache(tmp_path / "cache"), find_images(shapes[0])
    first = embed_images(EmbedTask(source, CPU, None, 0.1, cache=cache), ["contrastive"])
    with monkeypatch.context() as patched:
        patched.setattr(ruc.embedding, "_fit", lambda *_: pytest.fail("learned again"))
        again = embed_images(EmbedTask(source, CPU, None, 0.1, cache=cache), ["contrastive"])
    np.testing.assert_array_equal(again.features, first.features)
    learned = []
    fit = ruc.embedding._fit
    monkeypatch.setattr(ruc.embedding, "_fit", lambda *args: learned.append(args) or fit(*args))
    embed_images(EmbedTask(source.take(range(50)), CPU, None, 0.1, cache=cache), ["contrastive"])
    embed_images(EmbedTask(source, Runtime("cpu", 1), None, 0.1, cache=cache), ["contrastive"])
    assert len(learned) == 2


def test_a_damaged_cache_is_done_without(photos, tmp_path, caplog):
    cache = Cache(tmp_path)
    (tmp_path / "features.sqlite").write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.WARNING):
        assert len(embedded(photos, cache).features) == 6
    assert "done without it" in caplog.text


def test_it_is_beside_the_run_unless_it_is_said_where(tmp_path):
    assert cache_for(tmp_path / "run", None) == Cache(tmp_path / ".ruc_cache")
    assert cache_for(tmp_path / "run", "elsewhere").folder.name == "elsewhere"
    assert cache_for(tmp_path / "run", "none") is None


def test_the_command_finds_shows_and_clears_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main_ends(["cache"])
    assert capsys.readouterr().out.startswith("no cache in or beside .")
    place = tmp_path / "out" / ".ruc_cache"
    Cache(place).keep("lite0", {}, ["00" * 20], np.zeros((1, 250_000), np.float32))
    (tmp_path / "out" / "run").mkdir()
    for where in (place, tmp_path / "out", tmp_path / "out" / "run"):
        main_ends(["cache", str(where)])
        assert capsys.readouterr().out == f"{place}:\n  lite0: 1 images, 1.0 MB\n"
    monkeypatch.chdir(tmp_path / "out")
    main_ends(["cache", "--clear"])
    assert not place.exists()


def main_ends(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code


def test_a_cache_of_somebody_elses_is_said_to_be(tmp_path, capsys):
    with sqlite3.connect(tmp_path / "features.sqlite") as connection:
        connection.execute("CREATE TABLE features (x)")
    connection.close()
    with pytest.raises(SystemExit) as ended:
        main(["cache", str(tmp_path)])
    assert ended.value.code == 1
    assert "--clear" in capsys.readouterr().err


def test_weights_says_what_there_is(capsys):
    main_ends(["weights"])
    out = capsys.readouterr().out
    assert "efficientnet-lite0-57934424.pth" in out and "Hugging Face hub" in out
