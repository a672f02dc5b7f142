import numpy as np
import torch

from ruc.belief.calibration import Calibration
from ruc.belief.evidence import Evidence
from ruc.belief.last_word import _remember, _together
from ruc.neighbors.search import Neighbors
from ruc.refine.spaces import FeatureSpace
from ruc.runtime import Runtime


def test_the_sizes_of_clusters_count_once():
    """Evidence that knows nothing of a sample says the prior, and then the networks have the word, and back."""
    prior = np.array([0.7, 0.2, 0.1], np.float32)
    evidence = Evidence.of_all(np.tile(prior, (5, 1)))
    networks = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    together = _together(evidence.of(torch.arange(2)), networks.log(), evidence).softmax(dim=1)
    torch.testing.assert_close(together, networks)
    sure = torch.tensor([[0.2, 0.5, 0.3]])
    together = _together(sure, torch.from_numpy(prior).log()[None] + 3.0, evidence).softmax(dim=1)
    torch.testing.assert_close(together, sure)


def test_a_small_cluster_keeps_what_both_think_likelier_than_its_size():
    evidence = Evidence.of_all(np.array([[0.6, 0.4], *[[0.95, 0.05]] * 9], np.float32))
    believed, networks = evidence.of(torch.tensor([0])), torch.tensor([[0.6, 0.4]]).log()
    by_hand = np.array([0.6 * 0.6 / 0.915, 0.4 * 0.4 / 0.085])
    together = _together(believed, networks, evidence).softmax(dim=1)
    np.testing.assert_allclose(together[0], by_hand / by_hand.sum(), rtol=1e-4)
    assert together.argmax() == 1


def test_the_prior_of_evidence_about_a_few_clusters_is_that_of_the_full_table():
    columns = np.array([[0, 2], [2, 1], [3, 0]])
    few = Evidence(np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]], np.float32), columns, n_clusters=4)
    full = few.of(torch.arange(3)).numpy()
    np.testing.assert_allclose(few.prior, full.mean(axis=0), rtol=1e-6)


def test_where_no_label_arrived_the_networks_have_the_word():
    runtime = Runtime("cpu", 0)
    features = np.eye(4, dtype=np.float32)
    space = FeatureSpace(features, Neighbors(np.ones((4, 1), np.int64), np.ones((4, 1), np.float32)), runtime)
    labels, logits = np.array([1, 1, 1, 0]), torch.tensor([[0.0, 9.0]] * 3 + [[9.0, 0.0]])
    posterior = np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], np.float32)
    evidence = Evidence.of_all(posterior)
    for heard in (True, False):
        memory = _remember(space, labels, logits, evidence, heard, Calibration(), 1.0, runtime)
        remembered = [] if len(memory.keys) == 0 else memory.keys.argmax(dim=1).tolist()
        assert remembered == ([] if heard else [1])
