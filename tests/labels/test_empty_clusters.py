import warnings

import numpy as np

from ruc.errors import ClusterWarning
from ruc.estimators import RobustClusterer
from ruc.labels.empty_clusters import empty_clusters


def test_a_lost_cluster_is_named_with_where_it_went():
    before = np.array([0, 0, 1, 1, 1, 2, -1])
    after = np.array([0, 0, 0, 2, 2, 2, 2])
    (line,) = empty_clusters(before, after, ("cats", "dogs", "owls"))
    assert line.startswith("cluster dogs had 3 of 7 samples and has none now: 2 went to owls")
    assert empty_clusters(before, before, ("cats", "dogs", "owls")) == ()


def test_clusters_that_never_had_a_sample_are_named_together():
    before, after = np.array([0, 0, -1]), np.array([0, 0, 2])
    (line,) = empty_clusters(before, after, ("cats", "dogs", "owls", "bats"))
    assert line.startswith("no sample is in cluster dogs, bats, before refining or after: ask for fewer")


def test_no_cluster_dies_in_silence():
    """One sample that is called a class of its own, amid another: it goes, and is named."""
    generator = np.random.default_rng(0)
    truth = np.arange(200) % 2
    features = np.eye(8)[truth] + 0.1 * generator.standard_normal((200, 8))
    labels = np.array(["even", "odd"], dtype=object)[truth]
    labels[6] = "alone"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ClusterWarning)
        repaired = RobustClusterer(n_clusters=3, random_state=0).fit(features, initial_labels=labels)
    kept = set(repaired.classes_[repaired.labels_])
    named = [str(one.message) for one in said if str(one.message).startswith("cluster alone had 1 of 200")]
    assert ("alone" in kept) != bool(named)
    assert tuple(str(one.message) for one in said) == repaired.warnings_
