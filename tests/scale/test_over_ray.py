"""Shards by workers on several nodes: what one machine makes, bit for bit, whatever happens to the nodes."""

import tarfile
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest
import torch
from data import photographs
from pyarrow import parquet
from sklearn.datasets import make_blobs
from slow_worker import Refusing, Slow

from ruc.doors.embed_to_files import embed_to_files
from ruc.doors.predict import FinishedRun, Request
from ruc.errors import InputError, NothingToClusterError
from ruc.images.source import find_images
from ruc.pipeline import run_to_folder
from ruc.runtime import Runtime
from ruc.scale import embedding, filling, images, predicting
from ruc.scale.embedding import embed_to_shards
from ruc.scale.over_ray import over_shards
from ruc.scale.predicting import predict_to_shards
from ruc.scale.shard_folder import ShardFolder
from ruc.settings import make_settings
from ruc.tables.embeddings import read_embeddings

CPU = Runtime("cpu")


def planned(n_shards, seconds=0.0):
    return [{"number": number, "n_rows": 1, "seconds": seconds} for number in range(n_shards)]


@pytest.fixture
def folder(tmp_path):
    """20 small photographs, of which one is damaged."""
    return write_photographs(tmp_path / "photos")


def write_photographs(made):
    made.mkdir()
    for number, image in enumerate(photographs(20)):
        image.resize((32, 32)).save(made / f"{number:02}.png")
    (made / "07.png").write_bytes(b"damaged")
    return made


@pytest.fixture
def in_this_process(monkeypatch):
    """Shards one after the other, without Ray."""

    def one_by_one(shards, worker, arguments, on_gpu):
        working = worker(*arguments)
        return (working(shard) for shard in shards)

    monkeypatch.setattr(filling, "over_shards", one_by_one)
    for module in (embedding, predicting):
        monkeypatch.setattr(module, "ray_cluster", nullcontext)
        monkeypatch.setattr(module, "device_for", lambda asked: "cpu")
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)


@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_lost_processes_and_nodes_are_done_without(ray_nodes, tmp_path):
    node = ray_nodes.add_node(num_cpus=1)
    shards, returned = ShardFolder(tmp_path / "shards"), []
    shards.folder.mkdir()
    for done in over_shards(planned(12, seconds=0.3), Slow, (shards.folder,), False):
        if not returned:
            ray_nodes.remove_node(node, allow_graceful=False)
        returned.append(done["number"])
    assert (tmp_path / "killed").exists()
    assert sorted(returned) == list(range(12))
    assert parquet.read_table(shards.folder).column("number").to_pylist() == list(range(12))


@pytest.mark.filterwarnings("ignore")
def test_cores_that_others_hold_are_not_waited_for(ray_nodes, tmp_path):
    import ray

    shards = ShardFolder(tmp_path / "shards")
    shards.folder.mkdir()
    (tmp_path / "killed").touch()  # nothing is killed here
    holder = ray.remote(num_cpus=1)(Slow).remote(shards.folder)
    ray.get(holder.__ray_ready__.remote())
    done = over_shards(planned(3), Slow, (shards.folder,), False)
    assert sorted(each["number"] for each in done) == [0, 1, 2]
    ray.kill(holder)


@pytest.mark.filterwarnings("ignore")
def test_features_are_those_of_one_machine(ray_nodes, folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(images, "SHARD_IMAGES", 8)
    settings = make_settings({"source": str(folder), "embedder": "lite0"})
    alone = embed_to_files(settings, tmp_path / "alone", False, False)
    written = embed_to_shards(settings, tmp_path / "all", "auto", False)
    assert capfd.readouterr().err == ""  # Ray is quiet
    assert (written.n_images, written.n_features) == alone.features.shape == (19, 1280)
    assert written.skipped == alone.skipped and [name for name, _ in written.skipped] == ["07.png"]
    assert len(list((tmp_path / "all").glob("*.parquet"))) == 3
    one, other = (read_embeddings(tmp_path / name) for name in ("alone", "all"))
    assert one.file_names == other.file_names == alone.file_names
    np.testing.assert_array_equal(one.values, other.values)
    hashes = [
        parquet.read_table(tmp_path / name).column("content_hash").to_pylist() for name in ("alone", "all")
    ]
    assert hashes[0] == hashes[1]


def test_what_was_finished_is_not_done_again(in_this_process, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "SHARD_IMAGES", 8)
    settings = make_settings({"source": str(folder), "embedder": "lite0"})

    go_on = filling.over_shards

    def stopped(shards, *arguments):
        yield next(go_on(shards, *arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(filling, "over_shards", stopped)
        with pytest.raises(KeyboardInterrupt):
            embed_to_shards(settings, tmp_path / "all", "auto", False)
    (first,) = (tmp_path / ".all.unfinished").rglob("*.parquet")
    when = first.stat().st_mtime_ns
    assert not (tmp_path / "all").exists()
    embed_to_shards(settings, tmp_path / "all", "auto", False)
    assert (tmp_path / "all" / first.name).stat().st_mtime_ns == when
    assert len(read_embeddings(tmp_path / "all").values) == 19
    assert not (tmp_path / ".all.unfinished").exists()


def test_archives_are_embedded_as_their_folder_is(in_this_process, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "SHARD_IMAGES", 8)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    written = {}
    for number, source in enumerate((folder, tmp_path / "photos.tar")):
        settings = make_settings({"source": str(source), "embedder": "lite0"})
        output = tmp_path / f"features-{number}"
        skipped = embed_to_shards(settings, output, "auto", False).skipped
        written[source] = (skipped, read_embeddings(output))
    (one_skipped, one), (other_skipped, other) = written.values()
    assert one_skipped == other_skipped and one.file_names == other.file_names
    np.testing.assert_array_equal(one.values, other.values)


def test_too_many_that_cannot_be_read(in_this_process, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "SHARD_IMAGES", 8)
    for number in range(8):
        (folder / f"{number:02}.png").write_bytes(b"damaged")
    settings = make_settings({"source": str(folder), "embedder": "lite0", "max_skipped": 0.2})
    with pytest.raises(NothingToClusterError, match="8 of 20 images cannot be read"):
        embed_to_shards(settings, tmp_path / "all", "auto", False)
    allowed = settings.model_copy(update={"max_skipped": 0.5})
    assert embed_to_shards(allowed, tmp_path / "all", "auto", False).n_images == 12


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on such photographs, which all tests only read."""
    place = tmp_path_factory.mktemp("run")
    settings = make_settings(
        {"source": str(write_photographs(place / "photos")), "embedder": "lite0", "base": "kmeans", "n_clusters": 2,
         "output": str(place / "run"), "refine": {"n_epochs": 1}}
    )  # fmt: skip
    run_to_folder(settings, overwrite=False, verbose=False)
    return place / "run"


@pytest.mark.filterwarnings("ignore")
def test_predictions_are_those_of_one_machine(ray_nodes, run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "SHARD_IMAGES", 8)
    written = predict_to_shards(Request(run, str(folder)), tmp_path / "all", "auto", CPU)
    assert (written.n_samples, [name for name, _ in written.skipped]) == (19, ["07.png"])
    finished = FinishedRun.read(run)
    alone = finished.table(finished.predict(find_images(folder), CPU))
    table = parquet.read_table(tmp_path / "all")
    for name in ("file_name", "cluster"):
        assert table.column(name).to_pylist() == alone[name]
    for name in ("confidence", "novelty"):
        np.testing.assert_allclose(table.column(name).to_numpy(), alone[name], atol=1e-6)


def test_features_in_shards_are_predicted(in_this_process, tmp_path):
    rows = make_blobs(130, 4, centers=3, random_state=0)[0].astype(np.float32)
    np.save(tmp_path / "f.npy", rows[:120])
    settings = make_settings(
        {"features": str(tmp_path / "f.npy"), "base": "kmeans", "n_clusters": 3, "output": str(tmp_path / "run"),
         "refine": {"n_epochs": 1}}
    )  # fmt: skip
    made = run_to_folder(settings, overwrite=False, verbose=False)
    rows[120:] = np.random.default_rng(0).normal(0, 100, (10, 4))  # of no cluster
    (tmp_path / "shards").mkdir()
    for number, part in enumerate(np.split(rows, [50, 90])):
        column = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), 4)
        parquet.write_table(pa.table({"embedding": column}), tmp_path / "shards" / f"{number}.parquet")
    request = Request(tmp_path / "run", None, (str(tmp_path / "shards"),), most_novel=0.99)
    written = predict_to_shards(request, tmp_path / "all", "auto", CPU)
    table = parquet.read_table(tmp_path / "all")
    assert written.n_samples == 130
    assert table.column("file_name").to_pylist() == [str(row) for row in range(130)]
    clusters, novelty = table.column("cluster").to_pylist(), table.column("novelty").to_pylist()
    assert clusters[:120] == made.cluster.tolist()
    assert [one is None for one in clusters] == [new > 0.99 for new in novelty]
    assert sum(one is None for one in clusters[120:]) > 5


@pytest.mark.filterwarnings("ignore")
def test_what_a_worker_says_is_said(ray_nodes):
    with pytest.raises(InputError, match=r"^no shard \d$"):
        list(over_shards(planned(3), Refusing, ("no shard",), False))


def test_features_of_another_width_are_refused(in_this_process, run, tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(10, np.float32)), 5)
    parquet.write_table(pa.table({"embedding": vectors}), tmp_path / "f.parquet")
    with pytest.raises(InputError, match=r"shape \(2, 5\) given; expected \(n_samples, 1280\)"):
        predict_to_shards(Request(run, None, (str(tmp_path / "f.parquet"),)), tmp_path / "all", "auto", CPU)


def test_a_damaged_shard_is_named(in_this_process, run, tmp_path):
    rows = np.ones((50, 1280), np.float32) + np.arange(50, dtype=np.float32)[:, None]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 1280)
    (tmp_path / "shards").mkdir()
    for number in range(3):
        parquet.write_table(pa.table({"embedding": vectors}), tmp_path / "shards" / f"{number}.parquet")
    whole = (tmp_path / "shards" / "1.parquet").read_bytes()
    arguments = (Request(run, None, (str(tmp_path / "shards"),)), tmp_path / "all", "auto", CPU)
    for damaged in (
        whole[: len(whole) // 2],
        whole[:50] + bytes(2000) + whole[2050:],
    ):  # without its end; within
        (tmp_path / "shards" / "1.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match=r"1\.parquet"):
            predict_to_shards(*arguments)
        assert not (tmp_path / "all").exists()
    (tmp_path / "shards" / "1.parquet").write_bytes(whole)
    assert predict_to_shards(*arguments).n_samples == 150


def test_an_embedder_that_learns_is_refused(folder, tmp_path):
    settings = make_settings({"source": str(folder), "embedder": "contrastive"})
    with pytest.raises(
        InputError, match="contrastive takes all images in one memory; expected with --ray one"
    ):
        embed_to_shards(settings, tmp_path / "all", "auto", False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
