"""New images into the clusters of a run: as the run's network takes them, one by one as in a batch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from sklearn.datasets import make_blobs

from ruc.belief.predictor import Predictor
from ruc.doors import predict as door
from ruc.doors.predict import Request, predict, predict_to_csv
from ruc.embed.pixels import fit_pixels
from ruc.errors import InputError
from ruc.images.source import find_images
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, State, seeded_init
from ruc.pipeline import run_to_folder
from ruc.readers import load_csv
from ruc.refine.networks import Head
from ruc.refine.trained import Pair
from ruc.runtime import Runtime
from ruc.settings import make_settings
from ruc.skipped import NewTable
from ruc.tables.embeddings import shard_of

CPU = Runtime("cpu")
SIDE = 16
COLOUR = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
GREY = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in COLOUR])


def model_of(space: str, n_channels: int) -> Mapping[str, State]:
    pixels = np.random.default_rng(1).integers(0, 256, (20, n_channels, SIDE, SIDE), dtype=np.uint8)
    embedder = fit_pixels(pixels, n_features=8)
    with seeded_init(0):
        if space == "image":
            shape = NetworkSettings(channels=n_channels, width=8, blocks=(1,), stem="half")
            first, second = (ImageNetwork(ResNet(shape), 3).eval() for _ in range(2))
        else:
            first, second = (Head(8, 3, 16).eval() for _ in range(2))
    pair = Pair(first, second).state()
    about = {"space": space, "image_size": SIDE, "temperature": 1.0}
    return {"pair": State({**pair.config, **about}, pair.weights), "embedder": embedder.state()}


@pytest.mark.parametrize("space", ["image", "feature"])
@pytest.mark.parametrize(
    ("n_channels", "given", "taken"), [(3, GREY, np.stack([GREY] * 3, axis=3)), (1, COLOUR, GREY)]
)
def test_grey_and_colour_become_what_the_network_takes(
    space: str, n_channels: int, given: np.ndarray, taken: np.ndarray
) -> None:
    model = model_of(space, n_channels)
    found, expected = (predict(model, find_images(images), CPU).probabilities for images in (given, taken))
    assert found.std(axis=0).max() > 0  # else all images would be alike
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("space", ["image", "feature"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_one_at_a_time_equals_a_batch_of_grey_and_colour(tmp_path, space: str, n_channels: int) -> None:
    model = model_of(space, n_channels)
    for number in range(6):
        images = GREY if number % 2 else COLOUR
        Image.fromarray(images[number]).save(tmp_path / f"{number}.png")
    source = find_images(tmp_path)
    together = predict(model, source, CPU).probabilities
    alone = [predict(model, source.take([place]), CPU).probabilities[0] for place in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_features_may_have_any_length() -> None:
    model = {"pair": model_of("feature", 1)["pair"]}
    features = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    expected = predict(model, features, CPU)
    np.testing.assert_allclose(np.linalg.norm(expected.features, axis=1), 1, rtol=1e-6)
    for scale in (1e-3, 1e3):
        found = predict(model, features * np.float32(scale), CPU)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    assert predict(model, np.zeros((1, 8), np.float32), CPU).probabilities.sum() == pytest.approx(1)


def test_images_are_handed_on_as_bytes(monkeypatch) -> None:
    """A float of each value of many images would take four times the memory."""
    model, logits, given = model_of("image", 3), Predictor.logits, []

    def look(predictor: Predictor, inputs: torch.Tensor) -> torch.Tensor:
        given.append(inputs.dtype)
        return logits(predictor, inputs)

    monkeypatch.setattr(Predictor, "logits", look)
    predict(model, find_images(COLOUR), CPU)
    assert given == [torch.uint8]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on features, and 260 rows like them: as a .npy, and in three shards with names."""
    folder = tmp_path_factory.mktemp("finished")
    rows = make_blobs(380, 4, centers=3, random_state=0)[0].astype(np.float32)
    np.save(folder / "f.npy", rows[:120])
    settings = make_settings(
        {"features": str(folder / "f.npy"), "base": "kmeans", "n_clusters": 3, "output": str(folder / "run"),
         "refine": {"n_epochs": 1}}
    )  # fmt: skip
    run_to_folder(settings, overwrite=False, verbose=False)
    np.save(folder / "new.npy", rows[120:])
    (folder / "shards").mkdir()
    for number, part in enumerate(np.split(rows[120:], [100, 180])):
        names = [f"{number}/{place}.jpg" for place in range(len(part))]
        parquet.write_table(shard_of(names, part, names), folder / "shards" / f"{number}.parquet")
    return folder


def predicted(folder: Path, features: Path) -> list[dict[str, str]]:
    output = folder / f"{features.stem}_{torch.get_num_threads()}.csv"
    count = predict_to_csv(Request(folder / "run", None, (str(features),)), NewTable(output, True), CPU)
    rows = load_csv(output)
    assert count.n_samples == len(rows)
    return rows


def test_features_are_predicted_shard_by_shard_and_in_parts_as_at_once(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = predicted(finished, finished / "new.npy")
    assert [row["file_name"] for row in at_once] == [str(number) for number in range(260)]
    monkeypatch.setattr(door, "ROWS", 37)
    monkeypatch.setattr(door, "ROWS_EACH", 90)
    in_parts, in_shards = predicted(finished, finished / "new.npy"), predicted(finished, finished / "shards")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert predicted(finished, finished / "shards") == in_shards  # whichever of the shards is done first
    finally:
        torch.set_num_threads(before)
    assert in_parts[200]["file_name"] == "200" and in_shards[200]["file_name"] == "2/20.jpg"
    for rows in (in_parts, in_shards):
        assert [row["cluster"] for row in rows] == [row["cluster"] for row in at_once]
        for name in ("confidence", "novelty"):
            values, expected = ([float(row[name]) for row in each] for each in (rows, at_once))
            np.testing.assert_allclose(values, expected, atol=1e-5)


def test_shards_that_do_not_fit_together_are_refused(finished: Path, tmp_path: Path) -> None:
    rows = np.load(finished / "new.npy")
    shards = tmp_path / "shards"
    shards.mkdir()
    named = shard_of(["a", "b"], rows[:2], ["", ""])
    parquet.write_table(named, shards / "0.parquet")
    request, output = Request(finished / "run", None, (str(shards),)), NewTable(tmp_path / "p.csv")
    for table, message in (
        (named, "'a' stands in more than one row"),
        (named.drop_columns(["file_name"]), "some shards have a column of file names, and others have none"),
        (shard_of(["c", "d"], rows[:2, :3], ["", ""]), r"shape \(2, 3\) given; expected \(n_samples, 4\)"),
    ):
        parquet.write_table(table, shards / "1.parquet")
        with pytest.raises(InputError, match=message):
            predict_to_csv(request, output, CPU)
        assert not output.path.exists()
