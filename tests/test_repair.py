"""A clustering repaired: what a user may rely on, and where the labels to start from come from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import make_blobs, make_problem, make_wrong

from ruc.belief.evidence import Evidence
from ruc.belief.known import Known
from ruc.belief.predictor import Predictor
from ruc.doors.predict import predict
from ruc.estimators import RobustClusterer
from ruc.images.views import PAPER
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.pipeline import run_to_folder
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace
from ruc.repair import choose_start, repair
from ruc.run_folder import read_model
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu", seed=3)


@pytest.fixture(scope="module")
def problem():
    return make_problem(CPU)


VARIANTS = {
    "default": RefineSettings(n_epochs=3),
    "paper": RefineSettings.paper(n_epochs=3, selection="neighbors"),
    "mixmatch": RefineSettings.mixmatch(n_epochs=3),
    "stepped": RefineSettings(n_epochs=3, promotion_threshold="stepped", weigh_given=False, propagation=0.0),
    "no smoothing": RefineSettings(n_epochs=3, label_smoothing=False, forwards="all"),
    "no promotion": RefineSettings(n_epochs=3, promotion=False),
    "by turns": RefineSettings(n_epochs=3, turns="pass"),
}


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_gives_one_label_and_probabilities_for_each_sample(problem, settings):
    features, _, neighbors, base = problem
    space = FeatureSpace(features, neighbors, CPU, width=16)
    result = repair(space, base, neighbors, settings, CPU)
    assert result.labels.shape == (240,) and result.labels.dtype == np.int64
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(result.labels, result.probabilities.argmax(axis=1))
    assert len(result.history) == 3
    assert np.all(result.is_clean[result.was_clean])  # none leaves
    assert result.history[-1].clean_share == pytest.approx(result.is_clean.mean())


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_wrong_labels_are_repaired_and_right_ones_kept(problem, share):
    features, truth, neighbors, _ = problem
    base = Clustering(make_wrong(truth, share), None, 4, "given")
    space = FeatureSpace(features, neighbors, CPU)
    result = repair(space, base, neighbors, RefineSettings(n_epochs=8), CPU)
    before, after = (base.labels == truth).mean(), (result.labels == truth).mean()
    assert after > before + 0.6 * (1 - before)


def test_labels_that_the_features_know_nothing_of_are_left_alone():
    features, _ = make_blobs()
    neighbors = nearest_neighbors(features, 30, CPU)
    labels = np.random.default_rng(0).integers(0, 4, 240)
    space = FeatureSpace(features, neighbors, CPU)
    result = repair(space, Clustering(labels, None, 4, "given"), neighbors, RefineSettings(n_epochs=3), CPU)
    assert (result.labels == labels).mean() > 0.98


def test_unknown_labels_are_filled_in(problem):
    features, truth, neighbors, _ = problem
    labels = np.where(np.arange(240) % 5 == 0, -1, truth)
    for made_of in ("elsewhere", "layouts"):
        space = FeatureSpace(features, neighbors, CPU)
        base = Clustering(labels, None, 4, "some", made_of)
        result = repair(space, base, neighbors, RefineSettings(n_epochs=8), CPU)
        assert not result.was_clean[labels == -1].any()
        assert (result.labels[labels == -1] == truth[labels == -1]).mean() > 0.85


def test_same_seed_same_result_other_seed_another(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(n_epochs=2)

    def run(seed):
        runtime = Runtime("cpu", seed)
        return repair(FeatureSpace(features, neighbors, runtime), base, neighbors, settings, runtime)

    first, again, other = run(0), run(0), run(1)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert not np.array_equal(first.probabilities, other.probabilities)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_interrupted_run_goes_on_to_the_same_result(problem, optimizer):
    features, _, neighbors, base = problem
    settings = RefineSettings(
        n_epochs=4, propagation=0.0, weigh_given=False, promotion_threshold=0.3, optimizer=optimizer
    )
    states = []
    arguments = (base, neighbors, settings, CPU)
    whole = repair(
        FeatureSpace(features, neighbors, CPU, width=16),
        *arguments,
        on_epoch=lambda record, snapshot: states.append(snapshot()),
    )
    resumed = repair(FeatureSpace(features, neighbors, CPU, width=16), *arguments, resume=states[1])
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    np.testing.assert_array_equal(whole.is_clean, resumed.is_clean)
    forget_time = [[replace(epoch, seconds=0.0) for epoch in run.history] for run in (whole, resumed)]
    assert forget_time[0] == forget_time[1]


def test_the_pair_predicts_the_same_after_it_was_written_and_one_by_one(problem):
    features, _, neighbors, base = problem
    space = FeatureSpace(features, neighbors, CPU, width=16)
    result = repair(space, base, neighbors, RefineSettings(n_epochs=3), CPU)
    state = result.predictor.state()
    again = Predictor.from_state(state, torch.device("cpu"))
    inputs = torch.from_numpy(features)
    together = again.logits(inputs)
    np.testing.assert_array_equal(together.argmax(1).numpy(), result.labels)
    one_by_one = torch.cat([again.logits(inputs[i : i + 1]) for i in range(len(inputs))])
    torch.testing.assert_close(one_by_one, together, rtol=1e-4, atol=1e-4)


def test_the_epoch_in_which_a_sample_became_trusted_is_kept(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(
        n_epochs=4, propagation=0.0, weigh_given=False, promotion_threshold=0.3, learning_rate=0.2
    )
    result = repair(FeatureSpace(features, neighbors, CPU, width=16), base, neighbors, settings, CPU)
    since = result.clean_since
    np.testing.assert_array_equal(since == 0, result.was_clean)
    np.testing.assert_array_equal(since >= 0, result.is_clean)
    promoted = [(since == epoch.epoch + 1).sum() for epoch in result.history]
    assert promoted == [epoch.n_promoted for epoch in result.history]
    assert sum(n > 0 for n in promoted) > 1  # else the epochs couldn't be told apart


def test_image_space_trains_from_a_copy_of_the_backbone():
    random = np.random.default_rng(0)
    truth = np.arange(48) % 2
    pixels = random.integers(0, 60, (48, 1, 12, 12)).astype(np.uint8)
    pixels[truth == 1, :, 3:9, 3:9] += 150
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="half"))
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    flat = pixels.reshape(48, -1).astype(np.float32)
    neighbors = nearest_neighbors(flat - flat.mean(axis=0), 20, CPU)
    base = Clustering(make_wrong(truth, 0.1, n_clusters=2), None, 2, "kmeans", "features")
    space = ImageSpace(pixels, backbone, PAPER, CPU)
    result = repair(space, base, neighbors, RefineSettings(n_epochs=2, batch_size=16), CPU)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    again = Predictor.from_state(result.predictor.state(), torch.device("cpu"))
    np.testing.assert_array_equal(
        again.logits(space.plain(torch.arange(48))).argmax(1).numpy(), result.labels
    )
    assert (result.labels == truth).mean() > (base.labels == truth).mean() - 0.05


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_run_on_images_goes_on_to_the_same_result_from_a_file(precision):
    random = np.random.default_rng(0)
    truth = np.arange(40) % 2
    pixels = random.integers(0, 60, (40, 1, 12, 12)).astype(np.uint8)
    pixels[truth == 1, :, 3:9, 3:9] += 150
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="half"))
    neighbors = nearest_neighbors(pixels.reshape(40, -1).astype(np.float32) - 50, 15, CPU)
    base = Clustering(make_wrong(truth, 0.1, n_clusters=2), None, 2, "kmeans", "features")
    settings = RefineSettings(n_epochs=3, batch_size=20, precision=precision)
    states = []
    arguments = (base, neighbors, settings, CPU)
    whole = repair(
        ImageSpace(pixels, backbone, PAPER, CPU),
        *arguments,
        on_epoch=lambda record, snapshot: states.append(snapshot()),
    )
    # Files know nothing of a tensor's layout in memory.
    weights = {name: value.contiguous() for name, value in states[0].weights.items()}
    resumed = repair(
        ImageSpace(pixels, backbone, PAPER, CPU), *arguments, resume=replace(states[0], weights=weights)
    )
    for name, value in whole.predictor.pair.first.state_dict().items():
        assert torch.equal(value, resumed.predictor.pair.first.state_dict()[name]), name
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)


def test_needed_and_all_forwards_agree_on_easy_data():
    """Both forms of `forwards` see the same data; only BatchNorm's averages differ."""
    features, truth = make_blobs(60, 2)
    neighbors = nearest_neighbors(features, 10, CPU)
    base = Clustering(truth % 2, None, 2, "kmeans", "features")
    results = []
    for forwards in ("needed", "all"):
        settings = RefineSettings(n_epochs=1, batch_size=30, forwards=forwards)
        results.append(repair(FeatureSpace(features, neighbors, CPU), base, neighbors, settings, CPU))
    assert (results[0].labels == results[1].labels).mean() > 0.9


WEIGHED_LABELS = np.array([0, 0, 1, 1])
POSTERIOR = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]], np.float32)


def weighed(posterior, explained=1.0):
    support = np.array([0.8, 0.1, 0.3, 0.2], np.float32)  # of the third the features alone can't tell
    return replace(Evidence.of_all(posterior), share_right=0.8, explained=explained, support=support)


@pytest.mark.parametrize("explained", [0.4, 0.9])
def test_that_weak_features_cant_tell_is_said(explained):
    base = Clustering(WEIGHED_LABELS, None, 2, "given")
    selected = choose_start(base, None, weighed(POSTERIOR, explained), RefineSettings())
    np.testing.assert_array_equal(selected.is_clean, [True, False, True, False])
    told = (
        "of 4 given labels the features support 1, contradict 2, and can't tell of 1; 2 are used for learning"
    )
    assert selected.remarks[0] == told
    assert len(selected.remarks) == 1 + (explained < 0.75)
    assert all("the label is kept" in remark for remark in selected.remarks[1:])


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("neighbors", [True, False, True, False]),
        ("confidence", [True, True, False, True]),
        ("hybrid", [True, False, False, False]),
    ],
)
def test_weighing_takes_the_place_of_the_votes(selection, expected):
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]], np.float32)
    base = Clustering(WEIGHED_LABELS, sure, 2, "given")
    settings = RefineSettings(selection=selection)
    selected = choose_start(base, None, weighed(POSTERIOR), settings)
    assert selected.labels is base.labels
    if selection == "hybrid":  # leaves cluster 1 without a clean sample
        (said,) = selected.warnings
        assert said.startswith("cluster 1 has no clean sample among 2")
        expected = [True, False, False, True]  # 0.6 + 1.0 of 0.4 + 1.0 and 0.7 + 0.5
    np.testing.assert_array_equal(selected.is_clean, expected)
    assert selected.selection == selection


def test_a_cluster_whose_labels_are_all_disbelieved_trusts_its_most_typical():
    posterior = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.7, 0.3]], np.float32)
    base = Clustering(WEIGHED_LABELS, None, 2, "given")
    selected = choose_start(base, None, weighed(posterior), RefineSettings())
    np.testing.assert_array_equal(selected.is_clean, [True, True, False, True])
    assert "cluster 1" in selected.warnings[0]


def test_smoothed_labels_are_not_trusted_for_the_confidence_in_others():
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    base = Clustering(WEIGHED_LABELS, sure, 2, "scan", "network")
    smoothed = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], np.float32)
    selected = choose_start(base, None, Evidence.of_all(smoothed), RefineSettings(selection="confidence"))
    np.testing.assert_array_equal(selected.labels, [0, 1, 1, 1])
    np.testing.assert_array_equal(selected.is_clean, [True, False, True, True])


@pytest.mark.parametrize("kind", ["unit rows", "a table of measurements"])
def test_both_doors_make_the_same_of_the_same_features(tmp_path, kind):
    features, truth = make_blobs()
    if kind == "a table of measurements":
        features = 40 + features * np.linspace(3, 5, len(features))[:, None]
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "labels.npy", make_wrong(truth, 0.2))
    given = {"features": str(tmp_path / "f.npy"), "output": str(tmp_path / "run"), "seed": 5, "device": "cpu"}
    constants = RefineSettings(n_epochs=2)
    for labels in (None, make_wrong(truth, 0.2)):
        about = {"n_clusters": 4} if labels is None else {"labels": str(tmp_path / "labels.npy")}
        run = run_to_folder(make_settings({**given, **about, "refine": constants.to_dict()}), True, False)
        model = RobustClusterer(n_clusters=4, settings=constants, device="cpu", random_state=5)
        model.fit(features, initial_labels=labels)
        np.testing.assert_array_equal(model.labels_, run.cluster)
        np.testing.assert_array_equal(model.probabilities_, run.probabilities)
        known = Known(run.features, run.cluster, run.confidence)
        again = predict(read_model(tmp_path / "run"), features, CPU, known=known)
        np.testing.assert_allclose(again.probabilities, model.predict_proba(features), atol=1e-6)
