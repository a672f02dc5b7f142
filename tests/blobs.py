"""Blobs on the sphere, and labels of which some are wrong."""

import numpy as np

from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors


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


def make_problem(runtime):
    """Features, truth, neighbours, and given labels of which 20% are wrong."""
    features, truth = make_blobs()
    base = Clustering(make_wrong(truth, 0.2), None, 4, "given")
    return features, truth, nearest_neighbors(features, 30, runtime), base
