"""The initial clustering as a stage: labels given or found, what is refused early, and what retrains networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from ruc.embedding import Embedding
from ruc.errors import InputError
from ruc.initial_clustering import check_base, check_labels, given_base, initial_clustering, retrains_networks
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.networks import NetworkSettings, ResNet
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")


@pytest.fixture(scope="module")
def embedded() -> Embedding:
    rows, _ = make_blobs(60, 5, centers=3, cluster_std=0.5, random_state=0)
    features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Embedding("given", tuple(f"{row:02d}.png" for row in range(60)), features, np.arange(60))


@pytest.fixture(scope="module")
def neighbors(embedded: Embedding) -> Neighbors:
    return nearest_neighbors(embedded.features, 20, CPU)


def settings(**given: Any) -> Any:
    return make_settings({"source": "photos", **given})


def test_labels_keep_their_names(tmp_path: Path, embedded: Embedding) -> None:
    rows = "".join(f"{name},{'cat' if row % 2 else 'dog'}\n" for row, name in enumerate(embedded.file_names))
    (tmp_path / "labels.csv").write_text(f"file_name,label\n{rows}")
    given = settings(labels=str(tmp_path / "labels.csv"))
    base = given_base(given, embedded)
    assert base is not None and base.names == ("cat", "dog")
    assert base.clustering.labels.tolist() == [1, 0] * 30
    check_labels(given, embedded.file_names)
    with pytest.raises(InputError, match=r"no image has the file name '59\.png'"):
        check_labels(given, embedded.file_names[:-1])


def test_a_base_is_taken_from_its_checkpoint(
    tmp_path: Path, embedded: Embedding, neighbors: Neighbors, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, kept = settings(base="kmeans", n_clusters=3), Checkpoints(tmp_path)
    base = initial_clustering(given, embedded, neighbors, CPU, kept)
    assert base.names == ("0", "1", "2") and base.curve == {}
    monkeypatch.setattr("ruc.initial_clustering.cluster", lambda *_: pytest.fail("was clustered already"))
    again = initial_clustering(given, embedded, neighbors, CPU, kept)
    np.testing.assert_array_equal(again.clustering.labels, base.clustering.labels)
    np.testing.assert_array_equal(again.clustering.probabilities, base.clustering.probabilities)
    assert again.clustering.name == base.clustering.name and again.names == base.names


def test_an_estimated_number_brings_its_curve(embedded: Embedding, neighbors: Neighbors) -> None:
    base = initial_clustering(
        settings(base="kmeans", n_clusters="2:6"), embedded, neighbors, CPU, Checkpoints()
    )
    assert base.clustering.n_clusters == base.curve["n_clusters"] == 3
    with pytest.raises(InputError, match="-k 60:70 given for 60 samples"):
        initial_clustering(settings(n_clusters="60:70"), embedded, neighbors, CPU, Checkpoints())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base": "given"}, "expected --labels"),
        ({"base": "kmean"}, "'kmean' is unknown; expected one of auto, graph, kmeans"),
        ({"base": "scan.pth", "embedder": "facebook/dinov2-small"}, "which keeps no images"),
        ({"base": "scan.pth", "features": "f.npy"}, "the embedder 'given', which keeps no images"),
        ({"space": "image", "embedder": "pixels"}, "--space image given with the embedder 'pixels'"),
        ({"space": "image", "features": "f.npy"}, "--space image given with the embedder 'given'"),
    ],
)
def test_what_cannot_go_together_is_said_at_once(given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_base(settings(**given))


@pytest.mark.parametrize(
    "given", [{}, {"base": "scan.pth", "embedder": "pixels", "space": "image"}, {"space": "image"}]
)
def test_what_may_go_together_is_not_refused(given: dict[str, str]) -> None:
    check_base(settings(**given))


def test_networks_are_retrained_where_there_is_one_and_images_enough_for_it(embedded: Embedding) -> None:
    own = ResNet(NetworkSettings(width=8, blocks=(1,)))
    assert not retrains_networks(settings(), embedded)
    assert retrains_networks(settings(space="image"), embedded)
    assert retrains_networks(settings(), embedded, own)  # a checkpoint's: few images will do
    assert not retrains_networks(settings(space="feature"), embedded, own)
