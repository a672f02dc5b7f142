"""The whole algorithm against a plain restatement, and what a user may rely on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from ruc.images.views import PAPER
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine.members import make_members, passes
from ruc.refine.refinement import Pair
from ruc.refine.ruc import refine, train_pass
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace
from ruc.refine.targets import draw_share
from ruc.refine.trust import Trust
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu", seed=3)


def make_blobs(n_samples=240, n_clusters=4, noise=0.25, seed=0):
    random = np.random.default_rng(seed)
    centers = random.standard_normal((n_clusters, 12))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    truth = np.arange(n_samples) % n_clusters
    rows = centers[truth] + noise * random.standard_normal((n_samples, 12))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def make_wrong(truth, share, seed=0, n_clusters=4):
    random = np.random.default_rng(seed)
    chosen = random.random(len(truth)) < share
    labels = truth.copy()
    labels[chosen] = (labels[chosen] + random.integers(1, n_clusters, chosen.sum())) % n_clusters
    return labels


@pytest.fixture(scope="module")
def problem():
    features, truth = make_blobs()
    neighbors = nearest_neighbors(features, 30, CPU)
    base = Clustering(make_wrong(truth, 0.2), None, 4, "given")
    return features, truth, neighbors, base


# --- the restatement -----------------------------------------------------------------------------------------


def restated_pass(turns, networks, optimizers, space, labels, clean, said, settings, epoch, generator):
    """One pass of section 3.3, sample by sample where it matters, from its description alone.

    `turns` are pairs of numbers: the student and its peer; `said` (2, n_samples, n_clusters) is what each said last.
    """
    before = [said[peer].max(1).values for _, peer in turns]
    own_draws = [generator]
    if len(turns) > 1:
        seeds = torch.randint(2**62, (len(turns),), generator=generator).tolist()
        own_draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    order = torch.randperm(space.n_samples, generator=generator)
    for rows in order.tensor_split(-(-space.n_samples // settings.batch_size)):
        a, b = space.weak(rows, generator), space.weak(rows, generator)
        plain = space.plain(rows)
        trusted = [i for i in range(len(rows)) if clean[rows[i]]]
        others = [i for i in range(len(rows)) if not clean[rows[i]]]

        prepared = []  # whoever learns in this batch: nobody has learned from it when it's asked
        for (student, peer), sure in zip(turns, before, strict=True):
            student, peer = (networks[number].eval() for number in (student, peer))
            width = float(sure.max() - sure.min())
            weight = (sure - sure.min()) / width if width > 0 else torch.zeros_like(sure)
            with torch.no_grad():
                own, guesses, refined = F.softmax(student(plain), 1), [], []
                for i in others:
                    four = [F.softmax(n(v[i : i + 1]), 1)[0] for n in (student, peer) for v in (a, b)]
                    mean = sum(four) / 4
                    guesses.append(mean**2 / (mean**2).sum())
                for i in trusted:
                    w, target = weight[rows[i]], torch.zeros(said.shape[2])
                    target[labels[rows[i]]] = 1.0
                    mixed = (1 - w) * target + w * F.softmax(peer(plain[i : i + 1]), 1)[0]
                    refined.append(mixed**2 / (mixed**2).sum())
            prepared.append((own, refined, guesses))

        for (number, _), (own, refined, guesses), draw in zip(turns, prepared, own_draws, strict=True):
            student, optimizer = networks[number].train(), optimizers[number]
            said[number, rows] = own
            inputs = torch.stack([v[i] for part in (trusted, others) for v in (a, b) for i in part])
            targets = torch.stack(refined * 2 + guesses * 2)
            share = draw_share(settings.mixup_alpha, draw)
            partner = torch.randperm(len(inputs), generator=draw)
            inputs = share * inputs + (1 - share) * inputs[partner]
            targets = share * targets + (1 - share) * targets[partner]
            strong = space.strong(rows[trusted], draw)

            logits = student(torch.cat([inputs, strong]))
            log_p = F.log_softmax(logits, 1)
            n_clean, n_clusters = 2 * len(trusted), logits.shape[1]
            clean_loss = -(targets[:n_clean] * log_p[:n_clean]).sum(1).mean()
            unclean_loss = ((log_p[n_clean : len(inputs)].exp() - targets[n_clean:]) ** 2).mean()
            smooth = torch.full((len(trusted), n_clusters), settings.epsilon / n_clusters)
            for row, i in enumerate(trusted):
                smooth[row, labels[rows[i]]] += 1 - settings.epsilon
            smoothing_loss = -(smooth * log_p[len(inputs) :]).sum(1).mean()

            ramp = min(max(epoch / settings.n_epochs, 0.1), 1.0)
            loss = clean_loss + ramp * settings.unclean_weight * unclean_loss + smoothing_loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for number, _ in turns:
        for i in range(space.n_samples):
            if not clean[i] and said[number, i].max() > settings.promotion_threshold:
                labels[i], clean[i] = said[number, i].argmax(), True


@pytest.mark.parametrize("turns", ["pass", "batch"])
def test_three_steps_of_two_networks_against_a_restatement(problem, turns):
    features, _, neighbors, base = problem
    settings = RefineSettings(
        n_epochs=4,
        batch_size=80,
        promotion_threshold=0.31,
        weigh_given=False,
        propagation=0.0,
        learning_rate=0.05,
        turns=turns,
    )
    space = FeatureSpace(features, neighbors, CPU, width=16)
    clean = torch.from_numpy(np.arange(len(features)) % 3 > 0)  # 240 samples: three steps a pass
    trust = Trust.at_start(torch.from_numpy(base.labels), clean)
    members = make_members(space, base, settings, CPU)
    twins = make_members(space, base, settings, CPU)
    labels, clean = trust.pseudo_labels.clone(), clean.clone()
    said = torch.zeros(2, len(features), base.n_clusters)
    numbered = {"pass": [[(0, 1)], [(1, 0)]], "batch": [[(0, 1), (1, 0)]]}[turns]
    for epoch in range(2):  # the second has a peer that has said something
        ours, theirs = CPU.generator(f"{epoch}"), CPU.generator(f"{epoch}")
        for group in (group for twin in twins for group in twin.optimizer.param_groups):
            group["lr"] = 0.05 * (1 + np.cos(np.pi * epoch / 4)) / 2
        for taken, pairs in zip(passes(*members, settings), numbered, strict=True):
            train_pass(taken, trust, space, settings, epoch, CPU, ours)
            networks, optimizers = zip(*((twin.network, twin.optimizer) for twin in twins), strict=True)
            restated_pass(pairs, networks, optimizers, space, labels, clean, said, settings, epoch, theirs)
    assert trust.is_clean.sum() > (np.arange(len(features)) % 3 > 0).sum()  # some were promoted
    assert torch.equal(trust.is_clean, clean) and torch.equal(trust.pseudo_labels, labels)
    for member, twin in zip(members, twins, strict=True):
        for name, value in member.network.state_dict().items():
            torch.testing.assert_close(value, twin.network.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)


def test_side_by_side_in_threads_is_as_one_after_the_other(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(n_epochs=2, batch_size=80, propagation=0.0, weigh_given=False)
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            space = FeatureSpace(features, neighbors, CPU, width=16)
            found.append(refine(space, base, neighbors, settings, CPU).probabilities)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(*found, atol=1e-4)


# --- what a user may rely on -----------------------------------------------------------------------------------

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
    result = refine(space, base, neighbors, settings, CPU)
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
    result = refine(space, base, neighbors, RefineSettings(n_epochs=8), CPU)
    before, after = (base.labels == truth).mean(), (result.labels == truth).mean()
    assert after > before + 0.6 * (1 - before)


def test_labels_that_the_features_know_nothing_of_are_left_alone():
    features, _ = make_blobs()
    neighbors = nearest_neighbors(features, 30, CPU)
    labels = np.random.default_rng(0).integers(0, 4, 240)
    space = FeatureSpace(features, neighbors, CPU)
    result = refine(space, Clustering(labels, None, 4, "given"), neighbors, RefineSettings(n_epochs=3), CPU)
    assert (result.labels == labels).mean() > 0.98


def test_unknown_labels_are_filled_in(problem):
    features, truth, neighbors, _ = problem
    labels = np.where(np.arange(240) % 5 == 0, -1, truth)
    for name in ("given", "density"):
        space = FeatureSpace(features, neighbors, CPU)
        result = refine(space, Clustering(labels, None, 4, name), neighbors, RefineSettings(n_epochs=8), CPU)
        assert not result.was_clean[labels == -1].any()
        assert (result.labels[labels == -1] == truth[labels == -1]).mean() > 0.85


def test_same_seed_same_result_other_seed_another(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(n_epochs=2)

    def run(seed):
        runtime = Runtime("cpu", seed)
        return refine(FeatureSpace(features, neighbors, runtime), base, neighbors, settings, runtime)

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
    whole = refine(
        FeatureSpace(features, neighbors, CPU, width=16),
        *arguments,
        on_epoch=lambda record, snapshot: states.append(snapshot()),
    )
    resumed = refine(FeatureSpace(features, neighbors, CPU, width=16), *arguments, resume=states[1])
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    np.testing.assert_array_equal(whole.is_clean, resumed.is_clean)
    forget_time = [[replace(epoch, seconds=0.0) for epoch in run.history] for run in (whole, resumed)]
    assert forget_time[0] == forget_time[1]


def test_the_pair_predicts_the_same_after_it_was_written_and_one_by_one(problem):
    features, _, neighbors, base = problem
    space = FeatureSpace(features, neighbors, CPU, width=16)
    result = refine(space, base, neighbors, RefineSettings(n_epochs=3), CPU)
    state = result.pair.state()
    again = Pair.from_state(state, torch.device("cpu"))
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
    result = refine(FeatureSpace(features, neighbors, CPU, width=16), base, neighbors, settings, CPU)
    since = result.clean_since
    np.testing.assert_array_equal(since == 0, result.was_clean)
    np.testing.assert_array_equal(since >= 0, result.is_clean)
    promoted = [(since == epoch.epoch + 1).sum() for epoch in result.history]
    assert promoted == [epoch.n_promoted for epoch in result.history]
    assert sum(n > 0 for n in promoted) > 1  # else the epochs couldn't be told apart


def test_stored_views_are_used(problem):
    features, _, neighbors, _ = problem
    views = np.stack([features, -features])
    space = FeatureSpace(features, neighbors, CPU, views=views)
    rows = torch.arange(240)
    seen = space.weak(rows, torch.Generator().manual_seed(0))
    sign = (seen * torch.from_numpy(features)).sum(1).round()
    assert set(sign.tolist()) == {1.0, -1.0}


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
    base = Clustering(make_wrong(truth, 0.1, n_clusters=2), None, 2, "kmeans")
    space = ImageSpace(pixels, backbone, PAPER, CPU)
    result = refine(space, base, neighbors, RefineSettings(n_epochs=2, batch_size=16), CPU)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    again = Pair.from_state(result.pair.state(), torch.device("cpu"))
    np.testing.assert_array_equal(
        again.logits(space.plain(torch.arange(48))).argmax(1).numpy(), result.labels
    )
    assert (result.labels == truth).mean() > (base.labels == truth).mean() - 0.05


@pytest.mark.parametrize("where", ["image", "feature"])
@pytest.mark.parametrize("forwards", ["needed", "all"])
@pytest.mark.parametrize("all_clean", [False, True])
def test_a_batch_may_hold_clean_or_unclean_samples_alone(problem, where, forwards, all_clean):
    features, truth, neighbors, base = problem
    if where == "image":
        with seeded_init(0):
            backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half"))
        pixels = np.random.default_rng(0).integers(0, 256, (20, 1, 12, 12), dtype=np.uint8)
        space = ImageSpace(pixels, backbone, PAPER, CPU)
    else:
        space = FeatureSpace(features, neighbors, CPU)
    settings = RefineSettings(n_epochs=4, batch_size=10, forwards=forwards).filled(space.defaults)
    members = make_members(space, base, settings, CPU)
    labels = torch.from_numpy(truth[: space.n_samples])
    trust = Trust.at_start(labels, torch.full_like(labels, all_clean, dtype=torch.bool))
    for turns in passes(*members, settings):
        losses = train_pass(turns, trust, space, settings, 0, CPU, CPU.generator("test"))
        assert torch.equal(losses > 0, torch.tensor([all_clean, not all_clean, all_clean]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_run_on_images_goes_on_to_the_same_result_from_a_file(precision):
    random = np.random.default_rng(0)
    truth = np.arange(40) % 2
    pixels = random.integers(0, 60, (40, 1, 12, 12)).astype(np.uint8)
    pixels[truth == 1, :, 3:9, 3:9] += 150
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="half"))
    neighbors = nearest_neighbors(pixels.reshape(40, -1).astype(np.float32) - 50, 15, CPU)
    base = Clustering(make_wrong(truth, 0.1, n_clusters=2), None, 2, "kmeans")
    settings = RefineSettings(n_epochs=3, batch_size=20, precision=precision)
    states = []
    arguments = (base, neighbors, settings, CPU)
    whole = refine(
        ImageSpace(pixels, backbone, PAPER, CPU),
        *arguments,
        on_epoch=lambda record, snapshot: states.append(snapshot()),
    )
    # Files know nothing of a tensor's layout in memory.
    weights = {name: value.contiguous() for name, value in states[0].weights.items()}
    resumed = refine(
        ImageSpace(pixels, backbone, PAPER, CPU), *arguments, resume=replace(states[0], weights=weights)
    )
    for name, value in whole.pair.first.state_dict().items():
        assert torch.equal(value, resumed.pair.first.state_dict()[name]), name
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)


def test_needed_and_all_forwards_agree_on_easy_data():
    """Both forms of `forwards` see the same data; only BatchNorm's averages differ."""
    features, truth = make_blobs(60, 2)
    neighbors = nearest_neighbors(features, 10, CPU)
    base = Clustering(truth % 2, None, 2, "kmeans")
    results = []
    for forwards in ("needed", "all"):
        settings = RefineSettings(n_epochs=1, batch_size=30, forwards=forwards)
        results.append(refine(FeatureSpace(features, neighbors, CPU), base, neighbors, settings, CPU))
    assert (results[0].labels == results[1].labels).mean() > 0.9
