"""A pass over the data against a plain restatement, and batches of clean or unclean samples alone."""

import numpy as np
import pytest
import torch
from blobs import make_problem
from torch.nn import functional as F  # noqa: N812

from ruc.images.views import PAPER
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine import ruc
from ruc.refine.members import make_members, passes
from ruc.refine.ruc import refine, train_pass
from ruc.refine.select import select_clean
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace
from ruc.refine.targets import draw_share
from ruc.refine.trust import Trust
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu", seed=3)


@pytest.fixture(scope="module")
def problem():
    return make_problem(CPU)


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
    members = make_members(space, base.n_clusters, settings, CPU)
    twins = make_members(space, base.n_clusters, settings, CPU)
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


def test_an_epoch_of_a_part_leaves_the_others_as_they_are(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(
        n_epochs=4, epoch_size=60, batch_size=30, promotion_threshold=0.1, propagation=0.0, weigh_given=False
    )
    space = FeatureSpace(features, neighbors, CPU, width=16)
    settings = settings.filled(space.defaults)
    trust = Trust.at_start(torch.from_numpy(base.labels), torch.arange(len(features)) % 3 > 0)
    trusted_before = trust.is_clean
    members = make_members(space, base.n_clusters, settings, CPU)
    (turns,) = passes(*members, settings)
    train_pass(turns, trust, space, settings, 0, CPU, CPU.generator("0"))
    asked = members[0].confidence > 0
    assert int(asked.sum()) == 60
    weight = ruc._spread(members[0].confidence)  # of a peer's opinion: none of what it wasn't asked about
    assert weight[asked].min() == 0 and weight.max() == 1 and (weight[~asked] == 0).all()
    promoted = trust.is_clean & ~trusted_before
    assert promoted.any() and not (promoted & ~asked).any()
    members[1].opinion[asked] = members[0].opinion[asked]
    members[1].opinion[~asked] = members[0].opinion[~asked] + 1
    record = ruc._record(0, torch.zeros(1, 3), 0, trust, members, settings, 0.0)
    assert record.agreement == 1


def test_side_by_side_in_threads_is_as_one_after_the_other(problem):
    features, _, neighbors, base = problem
    settings = RefineSettings(n_epochs=2, batch_size=80, propagation=0.0, weigh_given=False)
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            space = FeatureSpace(features, neighbors, CPU, width=16)
            filled = settings.filled(space.defaults)
            trained = refine(space, select_clean(base, neighbors, filled), filled, CPU)
            found.append(trained.pair.logits(torch.from_numpy(features)).softmax(dim=1))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*found, rtol=0, atol=1e-4)


def test_stored_views_are_used(problem):
    features, _, neighbors, _ = problem
    views = np.stack([features, -features])
    space = FeatureSpace(features, neighbors, CPU, views=views)
    rows = torch.arange(240)
    seen = space.weak(rows, torch.Generator().manual_seed(0))
    sign = (seen * torch.from_numpy(features)).sum(1).round()
    assert set(sign.tolist()) == {1.0, -1.0}


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
    members = make_members(space, base.n_clusters, settings, CPU)
    labels = torch.from_numpy(truth[: space.n_samples])
    trust = Trust.at_start(labels, torch.full_like(labels, all_clean, dtype=torch.bool))
    for turns in passes(*members, settings):
        losses = train_pass(turns, trust, space, settings, 0, CPU, CPU.generator("test"))
        assert torch.equal(losses > 0, torch.tensor([all_clean, not all_clean, all_clean]))
