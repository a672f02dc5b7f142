"""Several embeddings at once, from the command's settings to the run, its predictions and what is exported of it."""

import numpy as np
import pytest
import torch
from PIL import Image
from shapes import write_shapes

from ruc import ImageClusterer, RobustClusterer
from ruc.doors.predict import Request, predict, predict_to_csv
from ruc.errors import InputError
from ruc.export.model import cluster_model
from ruc.images.source import find_images
from ruc.neighbors.graphs import neighbor_graph
from ruc.pipeline import run_to_folder
from ruc.readers import load_csv
from ruc.refine.settings import RefineSettings
from ruc.run_folder import read_model, read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings
from ruc.skipped import NewTable

CPU = Runtime("cpu")
QUICK = {"n_epochs": 2, "batch_size": 30}


def blobs(seed, n_features, n_samples=90):
    """Three groups of rows, the same rows in each group whatever the seed."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(3, n_features))
    rows = centres[np.arange(n_samples) % 3] + 0.2 * generator.normal(size=(n_samples, n_features))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_images_by_two_embedders(tmp_path):
    folder = tmp_path / "shapes"
    write_shapes(folder, per_class=4)
    Image.new("L", (16, 16)).save(folder / "zzz.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    run = tmp_path / "run"
    settings = make_settings(
        {"source": str(folder), "n_clusters": 3, "output": str(run), "embedder": "pixels+lite0", "base": "kmeans",
         "device": "cpu", "refine": QUICK}
    )  # fmt: skip
    made = run_to_folder(settings, overwrite=False, verbose=False)
    assert made.settings["embedder"] == ["pixels", "lite0"]
    assert sorted(path.name for path in (run / "features").iterdir()) == ["lite0.npy", "pixels.npy"]
    assert not (run / "features.npy").exists()
    again = read_run(run)
    np.testing.assert_allclose(again.features, made.features, atol=1e-6)
    assert dict(again.embeddings) == {"pixels": made.features.shape[1] - 1280, "lite0": 1280}
    assert [name for name, _ in again.skipped] == ["broken.png"]
    model, source = read_model(run), find_images(folder)
    found = predict(model, source, CPU, with_features=True)
    assert found.file_names == again.file_names
    np.testing.assert_array_equal(found.cluster, again.cluster)
    np.testing.assert_allclose(found.features, again.features, atol=1e-5)
    repeated = make_settings({"output": str(tmp_path / "again")}, run / "config.yaml")
    assert repeated.embedders == ("pixels", "lite0")
    module, inputs = cluster_model(model)  # tests/export/test_export_onnx.py exports one that is small
    assert {name: one.shape[1:] for name, one in inputs.items()} == {
        "pixels_0": (1, 16, 16),
        "pixels_1": (3, 224, 224),
    }
    with torch.no_grad():
        assert module(*inputs.values()).shape == (2, 3)


def test_features_in_two_files(tmp_path):
    for name, n_features in (("one", 5), ("two", 8)):
        np.save(tmp_path / f"{name}.npy", blobs(n_features, n_features))
    files = [str(tmp_path / "one.npy"), str(tmp_path / "two.npy")]
    run = tmp_path / "run"
    settings = make_settings(
        {
            "features": files,
            "n_clusters": 3,
            "output": str(run),
            "base": "kmeans",
            "device": "cpu",
            "refine": QUICK,
        }
    )
    made = run_to_folder(settings, overwrite=False, verbose=False)
    assert len(np.unique(made.cluster[:3])) == 3 and (made.cluster == np.tile(made.cluster[:3], 30)).all()
    predict_to_csv(Request(run, None, tuple(files)), NewTable(tmp_path / "p0.csv"), CPU)
    predicted = [int(row["cluster"]) for row in load_csv(tmp_path / "p0.csv")]
    np.testing.assert_array_equal(predicted, made.cluster)
    with pytest.raises(
        InputError, match=r"shape \(90, 5\) given; expected \(n_samples, 5\) and \(n_samples, 8\)"
    ):
        predict_to_csv(Request(run, None, tuple(files[:1])), NewTable(tmp_path / "p1.csv"), CPU)
    with pytest.raises(InputError, match=r"shape \(90, 8\) and \(90, 5\) given; expected"):
        predict_to_csv(Request(run, None, tuple(files[::-1])), NewTable(tmp_path / "p2.csv"), CPU)
    np.save(tmp_path / "two.npy", blobs(0, 8)[:80])
    with pytest.raises(InputError, match="90, 80 rows given; expected as many in each"):
        run_to_folder(settings, overwrite=True, verbose=False)


def test_the_graph_is_the_mean_of_the_embeddings_graphs():
    from dataclasses import replace

    from ruc.neighbors.search import nearest_neighbors
    from ruc.side_by_side import join

    parts = [blobs(1, 5), blobs(2, 8)]
    each = tuple(nearest_neighbors(rows, 20, CPU) for rows in parts)
    joined = join(parts)
    both = neighbor_graph(joined, CPU, replace(nearest_neighbors(joined, 20, CPU), parts=each))
    graphs = [neighbor_graph(rows, CPU).toarray() for rows in parts]
    np.testing.assert_allclose(both.toarray(), np.mean(graphs, axis=0), atol=1e-6)


def test_a_list_of_arrays():
    parts = [blobs(1, 5), 100 * blobs(2, 8)]  # each on its own scale
    settings = RefineSettings(**QUICK)
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=settings, random_state=0).fit(parts)
    assert (model.labels_ == np.tile(model.labels_[:3], 30)).all()
    np.testing.assert_array_equal(model.predict(parts), model.labels_)
    assert model.n_features_in_ == 13
    with pytest.raises(InputError, match="expected a list of 2 arrays"):
        model.predict(parts[0])
    with pytest.raises(InputError, match="90, 80 rows; expected as many in each"):
        model.fit([parts[0], parts[1][:80]])


def test_a_list_of_rows_is_one_matrix():
    rows = blobs(1, 5).tolist()
    model = RobustClusterer(n_clusters=3, base="kmeans", settings=RefineSettings(**QUICK), random_state=0)
    np.testing.assert_array_equal(model.fit(rows).labels_, model.fit(np.asarray(rows)).labels_)


def test_image_clusterer_takes_a_list(shapes):
    model = ImageClusterer(3, embedder=["pixels", "pixels"], base="kmeans", settings=RefineSettings(**QUICK))
    model.fit(shapes[0])
    assert list(model.run_.embeddings) == ["pixels", "pixels-2"]
    np.testing.assert_array_equal(model.predict(shapes[0]), model.labels_)


@pytest.mark.parametrize("embedder", ["auto+lite0", [], [3]])
def test_what_cannot_be_several_is_refused(embedder):
    with pytest.raises(InputError, match="embedder: "):
        make_settings({"embedder": embedder})
