import gc
import weakref

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ruc.cluster.auto import METHODS
from ruc.errors import ClusterWarning, InputError, NothingToClusterError
from ruc.estimators import ImageClusterer, RobustClusterer
from ruc.export.export import export_run
from ruc.pipeline import run_to_folder
from ruc.refine.settings import RefineSettings
from ruc.report.data import report_data
from ruc.run_folder import read_run
from ruc.settings import make_settings

QUICK = RefineSettings(n_epochs=2)
# What bases say that need more samples than there are clusters.
FIND_LESS_IN_FEW = {"density": "dense regions among", "spectral": "clusters apart"}

# Checks that cannot pass, and why. What the first two are about is tested below with three clusters.
ONE_CLUSTER = "sets n_clusters=1, and one cluster is refused: there is nothing to find"
EXPECTED_FAILURES = {
    "check_dont_overwrite_parameters": ONE_CLUSTER,
    "check_methods_subset_invariance": ONE_CLUSTER,
    "check_fit2d_1feature": ONE_CLUSTER,
    "check_fit2d_predict1d": ONE_CLUSTER,
}


@parametrize_with_checks(
    [RobustClusterer(n_clusters=2, base="kmeans", settings=QUICK, device="cpu")],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
@pytest.mark.filterwarnings("ignore::ruc.errors.ClusterWarning")
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(150, 8, centers=3, cluster_std=1.5, random_state=0)


@pytest.fixture
def model():
    return RobustClusterer(n_clusters=3, base="kmeans", settings=QUICK, device="cpu", random_state=0)


def test_fit_predict_and_predict_agree(blobs, model):
    X, truth = blobs
    labels = model.fit_predict(X)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_array_equal(labels, [model.predict(X[i : i + 1])[0] for i in range(len(X))])
    probabilities = model.predict_proba(X)
    raw = model.predict_proba(X, raw=True)
    np.testing.assert_array_equal(raw.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(raw.sum(axis=1), 1, atol=1e-5)
    assert not np.allclose(raw, probabilities, atol=0.01)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    np.testing.assert_allclose(probabilities, model.probabilities_, atol=1e-5)
    assert adjusted_rand_score(truth, labels) > 0.9
    assert model.is_clean_.dtype == bool and model.was_clean_.shape == (150,)


def test_wrong_labels_are_repaired(blobs, model):
    X, truth = blobs
    wrong = truth.copy()
    wrong[::5] = (wrong[::5] + 1) % 3
    model.fit(X, initial_labels=wrong)
    np.testing.assert_array_equal(model.initial_labels_, wrong)
    assert (model.labels_ == truth).mean() > 0.97
    assert not model.was_clean_[::5].any()


def test_labels_may_be_text_and_missing(blobs, model):
    X, truth = blobs
    names = np.array(["ant", "bee", "cat"], dtype=object)[truth]
    names[::7] = ""
    model.fit(X, initial_labels=names)
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    assert (model.labels_ == truth).mean() > 0.97


def test_probabilities_are_taken(blobs, model):
    X, truth = blobs
    probabilities = np.full((150, 3), 0.0005)
    probabilities[np.arange(150), truth] = 0.999
    settings = RefineSettings(n_epochs=2, selection="confidence", weigh_given=False, propagation=0)
    model.set_params(settings=settings)
    model.fit(X, initial_labels=truth, initial_probabilities=probabilities)
    assert model.was_clean_.all()


def test_a_cluster_that_may_need_a_hand_is_warned_of(blobs, model):
    X, truth = blobs
    probabilities = np.full((150, 3), 0.0005)
    probabilities[np.arange(150), truth] = 0.999
    probabilities[truth == 2] = [0.3, 0.3, 0.4]
    names = np.array(["ant", "bee", "cat"])[truth]
    settings = RefineSettings(n_epochs=1, selection="confidence", weigh_given=False, propagation=0)
    with pytest.warns(ClusterWarning) as said:
        model.set_params(settings=settings).fit(X, initial_labels=names, initial_probabilities=probabilities)
    assert tuple(str(one.message) for one in said) == model.warnings_
    assert model.warnings_[0].startswith("cluster cat has no clean sample among 50")
    assert {one.filename for one in said} == {__file__}  # the line that called `fit`


def test_labels_count_where_another_number_of_clusters_is_asked_for(blobs, model):
    X, truth = blobs
    with pytest.warns(
        ClusterWarning, match="n_clusters=2 given, and initial_labels name 3: there are 3 clusters"
    ):
        model.set_params(n_clusters=2).fit(X, initial_labels=truth)
    assert len(model.classes_) == 3
    assert model.set_params(n_clusters=8).fit(X, initial_labels=truth).warnings_ == ()  # the default


@pytest.mark.parametrize("convert", [np.float32, np.float64, torch.from_numpy], ids=["32", "64", "torch"])
def test_kinds_of_input_agree(blobs, model, convert):
    X, _ = blobs
    given = convert(X)
    labels = clone(model).fit_predict(X)
    assert adjusted_rand_score(labels, model.fit_predict(given)) == 1
    assert model.n_features_in_ == 8


def test_deterministic(blobs, model):
    X, _ = blobs
    first, again = clone(model).fit(X), clone(model).fit(X)
    np.testing.assert_array_equal(first.probabilities_, again.probabilities_)


def test_scale_and_shift_do_not_matter(blobs, model):
    X, _ = blobs
    near, far = clone(model).fit_predict(X), clone(model).fit_predict(1000 * X + 5000)
    assert adjusted_rand_score(near, far) > 0.97


def test_works_in_a_pipeline(blobs, model):
    X, truth = blobs
    pipeline = make_pipeline(StandardScaler(), model)
    labels = pipeline.fit_predict(X)
    np.testing.assert_array_equal(labels, pipeline.predict(X))
    assert adjusted_rand_score(truth, labels) > 0.9


def test_the_training_data_are_not_kept(blobs, model):
    X = blobs[0].copy()
    gone = weakref.ref(X)
    model.fit(X)
    del X
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_features_of_any_magnitude(blobs, model, factor):
    X, truth = blobs
    assert adjusted_rand_score(truth, model.fit_predict(factor * X)) > 0.9
    np.testing.assert_array_equal(model.predict(factor * X), model.labels_)


def test_a_fit_that_fails_leaves_the_one_before(blobs, model):
    X, _ = blobs
    model.fit(X)
    labels, attributes = model.labels_, sorted(vars(model))
    for other in (50 * X + 30, X[:, :4]):
        with pytest.raises(InputError, match="holds 2 labels"):
            model.fit(other, initial_labels=[1, 2])
    np.testing.assert_array_equal(model.predict(X), labels)
    assert sorted(vars(model)) == attributes
    with pytest.raises(InputError, match="holds 2 labels"):
        (fresh := clone(model)).fit(X, initial_labels=[1, 2])
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"n_clusters": 2.5},
            "n_clusters: 2.5 given, expected a whole number of 2 to 999,999,999, 'auto' or a ",
        ),
        ({"n_clusters": "5:2"}, "n_clusters: '5:2' given"),
        ({"n_clusters": "4" * 5000}, "n_clusters: '444"),
        ({"n_clusters": 10**5000}, "n_clusters: something of type int, too long"),
        ({"n_clusters": "²"}, "n_clusters: '²' given"),
        ({"n_clusters": True}, "n_clusters: True given"),
        ({"n_clusters": None}, "n_clusters: None given"),
        ({"base": ["kmeans"]}, "base clustering .'kmeans'. is unknown; expected one of auto"),
        ({"device": "meta"}, "device 'meta' cannot be used here; expected 'auto', 'cpu'"),
        ({"device": None}, "device None is none; expected 'auto', 'cpu'"),
        ({"n_clusters": 1}, "n_clusters is 1; expected 2 or more"),
        ({"settings": "quick"}, "settings='quick' given; expected RefineSettings"),
        ({"settings": {"n_epochs": 2}}, "expected RefineSettings"),
        ({"settings": np.zeros(900)}, r"^settings=array\(\[0.*… given; expected RefineSettings"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_fit(blobs, model, parameters, message):
    with pytest.raises(InputError, match=message):
        model.set_params(**parameters).fit(blobs[0])


@pytest.mark.parametrize("wanted", ["auto", "2:6", "3"])
def test_the_number_of_clusters_is_found_where_it_is_not_known(blobs, model, wanted):
    X, truth = blobs
    model.set_params(n_clusters=wanted).fit(X)
    assert len(np.unique(truth)) == len(model.classes_) == model.predict_proba(X).shape[1]


def test_density_finds_the_number_itself(blobs, model):
    model.set_params(n_clusters=None, base="density").fit(blobs[0])
    assert model.labels_.max() >= 1


def test_settings_may_be_those_of_the_paper(blobs, model, monkeypatch):
    used = []

    def taken(space, start, neighbors, settings, *_, **__):
        used.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("ruc.estimators.robust_clusterer.repair", taken)
    for settings in ("paper", None, QUICK):
        with pytest.raises(KeyboardInterrupt):
            model.set_params(settings=settings).fit(blobs[0])
    assert used == [RefineSettings.paper(), RefineSettings(), QUICK]
    assert ImageClusterer(settings="paper")._settings("photos").refine == RefineSettings.paper()
    with pytest.raises(InputError, match="settings='quick' given"):
        ImageClusterer(settings="quick")._settings("photos")
    assert ImageClusterer(embedder=("lite0", "pixels"))._settings("photos").embedders == ("lite0", "pixels")
    with pytest.raises(InputError, match="embedder: None given, expected a name such as lite0"):
        ImageClusterer(embedder=None)._settings("photos")


@pytest.mark.parametrize("state", [0, np.int64(0), None, "RandomState"])
def test_random_state_of_images_is_what_scikit_learn_takes(state):
    def seed():
        random_state = np.random.RandomState(0) if state == "RandomState" else state
        return ImageClusterer(random_state=random_state)._settings("photos").seed

    assert isinstance(seed(), int)
    assert (seed() == seed()) == (state is not None)
    if isinstance(state, int | np.integer):
        assert seed() == 0  # as the command line's --seed


def test_images_are_predicted_whatever_the_random_state(shapes):
    model = ImageClusterer(
        3,
        embedder="pixels",
        base="kmeans",
        settings=QUICK,
        device="cpu",
        random_state=np.random.RandomState(0),
    ).fit(shapes[0])
    np.testing.assert_array_equal(model.predict(shapes[0]), model.labels_)


def test_errors_name_what_was_given(blobs, model):
    X, truth = blobs
    with pytest.raises(InputError, match="without initial_labels"):
        model.fit(X, initial_probabilities=np.full((150, 3), 1 / 3))
    with pytest.raises(InputError, match="labels"):
        model.fit(X, initial_labels=truth[:10])
    with pytest.raises(InputError, match="'nothing'"):
        model.set_params(base="nothing").fit(X)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda X: {"a": X, "b": X}, r"X is of type dict; expected an array .* list\(X.values\(\)\)$"),
        (lambda X: iter(X), r"X is of type iterator; expected an array .* list\(X\)$"),
        (lambda X: [X, None], "X is a list of which item 1 is None, and another is a matrix"),
        (lambda X: X + 1j, "^Complex data not supported .{,400}$"),
        (lambda X: X.ravel(), "^Expected 2D array, got 1D array instead: .{,400} Reshape your data .{,300}$"),
        (lambda X: [X, X[1:]], "X holds arrays of 150, 149 rows"),
    ],
    ids=["dict", "iterator", "None", "complex", "flat", "rows"],
)
def test_what_is_no_matrix_is_said_in_a_line(blobs, model, made, message):
    with pytest.raises(InputError, match=message):
        model.fit(made(blobs[0]))


def test_new_samples_are_of_the_kind_fitted_to(blobs, model):
    X, _ = blobs
    model.fit([X, X])
    for wrong, message in (
        ([X, X[1:]], "X holds arrays of 150, 149 rows"),
        ([X, X[:, 1:]], r"X holds arrays of \[8, 7\] features; expected \[8, 8\], as fitted to"),
        (X, "expected a list of 2 arrays"),
        ({"a": X, "b": X}, "X is of type dict"),
    ):
        with pytest.raises(InputError, match=message):
            model.predict(wrong)


@pytest.mark.parametrize("base", ["given", *METHODS])
@pytest.mark.filterwarnings("ignore::ruc.errors.ClusterWarning")
def test_of_few_samples_and_copies_what_cannot_be_clustered_is_said(base, model):
    for n_samples, n_clusters, n_different in (
        (3, 2, 3),
        (3, 2, 2),
        (4, 2, 4),
        (4, 3, 4),
        (4, 3, 2),
        (6, 3, 3),
    ):
        X = np.random.default_rng(n_samples).normal(size=(n_different, 5))[np.arange(n_samples) % n_different]
        model.set_params(n_clusters=n_clusters, base="auto" if base == "given" else base)
        too_many_copies = base != "given" and n_different < n_clusters
        try:
            model.fit(X, initial_labels=np.arange(n_samples) % n_clusters if base == "given" else None)
        except InputError as error:
            copies = f"only {n_different} different samples for {n_clusters} clusters"
            assert (copies if too_many_copies else FIND_LESS_IN_FEW[base]) in str(error)
        else:
            assert not too_many_copies
            np.testing.assert_array_equal(model.predict(X), model.labels_)
            np.testing.assert_allclose(model.probabilities_.sum(axis=1), 1, atol=1e-5)


def test_where_nothing_differs_there_is_nothing_to_cluster(model):
    for labels in (None, np.arange(50) % 3):
        with pytest.raises(
            NothingToClusterError, match="all 50 samples have the same features; expected some"
        ):
            model.fit(np.full((50, 5), 0.1), initial_labels=labels)
    black = np.zeros((30, 12, 12, 3), np.uint8)
    for n_clusters in (2, "auto"):
        with pytest.raises(NothingToClusterError, match="all 30 samples have the same features"):
            ImageClusterer(n_clusters, embedder="pixels", settings=QUICK, device="cpu").fit(black)


def test_images_of_a_folder_are_in_the_order_of_their_names(shapes, backward_walk):
    folder, names = shapes
    model = ImageClusterer(3, embedder="pixels", base="kmeans", settings=QUICK, device="cpu").fit(folder)
    assert model.file_names_ == sorted(names)
    np.testing.assert_array_equal(model.labels_, model.run_.cluster)
    np.testing.assert_array_equal(model.predict([folder / name for name in sorted(names)]), model.labels_)
    np.testing.assert_array_equal(model.predict(folder), model.labels_)
    backward = sorted(names, reverse=True)
    np.testing.assert_array_equal(model.predict([folder / name for name in backward]), model.labels_[::-1])


def test_a_run_on_an_array_names_no_folder(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    images = random.integers(0, 40, (36, 12, 12), dtype=np.uint8)
    images[np.arange(36) % 3 == 1, ::4] += 200
    images[np.arange(36) % 3 == 2, :, ::4] += 200
    model = ImageClusterer(3, embedder="pixels", base="kmeans", settings=QUICK, device="cpu").fit(images)
    model.save(tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.settings["source"] is None
    assert run.file_names == tuple(str(row) for row in range(36))
    np.testing.assert_array_equal(run.cluster, model.labels_)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"made from features or arrays; .*: --images$"):
        export_run("run", "folders")
    report = report_data(run)
    assert report.warnings[-1].startswith("The images were given in Python") and report.command == ""
    repeated = make_settings({"output": "again"}, tmp_path / "run" / "config.yaml")
    with pytest.raises(InputError, match="neither images nor features given"):
        run_to_folder(repeated, overwrite=False, verbose=False)


def test_of_several_embeddings_each_network_reads_its_own_and_predict_says_the_same():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 180)
    views = [
        random.standard_normal((3, 10))[truth] + 0.9 * random.standard_normal((180, 10)) for _ in range(2)
    ]
    settings = RefineSettings(n_epochs=4)
    model = RobustClusterer(3, base="kmeans", settings=settings, device="cpu", random_state=0).fit(views)
    pair = model.predictor_.pair
    n_features = pair.first.config["n_features"]
    assert (pair.first.columns.start, pair.second.columns.stop) == (0, n_features)
    assert pair.first.columns.stop == pair.second.columns.start == n_features // 2
    np.testing.assert_array_equal(model.predict(views), model.labels_)
    assert adjusted_rand_score(truth, model.labels_) > 0.8
