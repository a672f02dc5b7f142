"""Choices made without labels: the mirror test, modularity, and the embedding they lead to."""

import json
from dataclasses import replace

import networkx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.datasets import load_digits

from ruc.embed import embedder_from_state
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.contrastive import ContrastiveSettings
from ruc.embed.mirror import mirrored_share
from ruc.embed.pixels import fit_pixels
from ruc.embed.scratch import BOTH, MARGIN, choose_policy, fit_scratch, suit_settings
from ruc.errors import InputError
from ruc.images.views import GENTLE, PHOTO
from ruc.neighbors.modularity import coverage, modularity, neighbor_modularity
from ruc.networks import NetworkSettings, State
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu")
QUICK = ContrastiveSettings(network=NetworkSettings(width=8, blocks=(1, 1), stem="full"), epochs=2)


def digits() -> np.ndarray:
    return (load_digits().images * 15.9375).astype(np.uint8)[:600, None]


def textures(count: int = 400) -> np.ndarray:
    """Smooth random images, whose mirror images are as likely as themselves."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear")
    return (smooth * 255).byte().numpy()


def test_mirror_test_tells_digits_from_textures() -> None:
    assert mirrored_share(digits(), CPU) > 0.85
    assert mirrored_share(textures(), CPU) == pytest.approx(0.5, abs=0.08)
    assert choose_policy(digits(), CPU)[0] == GENTLE
    policy, why = choose_policy(textures(), CPU)
    assert policy == PHOTO
    assert "flips" in why


def test_views_are_chosen_and_all_else_is_kept() -> None:
    assert suit_settings(QUICK, digits(), CPU)[0] == replace(QUICK, policy=GENTLE)
    assert suit_settings(QUICK, textures(), CPU)[0] == replace(QUICK, policy=PHOTO)


def test_symmetric_images_count_half() -> None:
    half = np.random.default_rng(0).integers(0, 256, (50, 1, 8, 4), dtype=np.uint8)
    assert mirrored_share(np.concatenate([half, half[..., ::-1]], axis=3), CPU) == pytest.approx(0.5, abs=0.1)


def test_modularity_and_coverage_equal_networkx() -> None:
    graph = networkx.karate_club_graph()
    groups = [sorted(group) for group in networkx.community.label_propagation_communities(graph)]
    membership = np.empty(len(graph), dtype=np.int64)
    for number, group in enumerate(groups):
        membership[group] = number
    adjacency = sp.csr_array(networkx.to_scipy_sparse_array(graph, weight=None, dtype=float))
    expected = networkx.community.modularity(graph, groups, weight=None)
    assert modularity(adjacency, membership) == pytest.approx(expected)
    expected, _ = networkx.community.partition_quality(graph, groups)
    assert coverage(adjacency, membership) == pytest.approx(expected)


def test_modularity_is_higher_the_farther_groups_are_apart() -> None:
    drawn = np.random.default_rng(0)
    centres, noise = drawn.normal(size=(4, 8))[np.arange(200) % 4], drawn.normal(size=(200, 8))
    clear, vague, none = (
        neighbor_modularity((centres + spread * noise).astype(np.float32), 4, CPU)
        for spread in (0.1, 0.8, 20.0)
    )
    assert clear == pytest.approx(0.75, abs=0.01)  # four equal groups without an edge between them: 1 - 1/4
    assert clear > vague > none


def test_combined_cosines_are_weighted_means_and_survive_being_stored() -> None:
    pixels = textures(40)
    parts = fit_pixels(pixels, 5), fit_pixels(pixels, 9)
    combined = CombinedEmbedder(parts, (1.0, 0.5))
    features = combined.transform(pixels, CPU)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    first, second = (part.transform(pixels, CPU) for part in parts)
    np.testing.assert_allclose(
        features @ features.T, (first @ first.T + 0.25 * second @ second.T) / 1.25, atol=1e-5
    )
    state = combined.state()
    again = embedder_from_state(State(json.loads(json.dumps(state.config)), state.weights))
    np.testing.assert_array_equal(again.transform(pixels, CPU), features)
    assert again.name == "pixels+pixels"


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match="'holographic'"):
        embedder_from_state(State({"kind": "holographic"}, {}))


@pytest.mark.parametrize(
    ("pixels", "policy", "usual"), [(digits(), GENTLE, BOTH), (textures(), PHOTO, "contrastive")]
)
def test_fit_scratch_takes_the_clearest_and_repeats_with_the_seed(pixels, policy, usual) -> None:
    choice = fit_scratch(pixels, CPU, settings=QUICK)
    assert choice.contrastive.policy == policy
    names = [candidate.name for candidate in choice.candidates]
    assert sorted(names) == ["contrastive", BOTH, "pixels"]
    clarity = [candidate.modularity for candidate in choice.candidates]
    favoured = [clear + MARGIN * (name == usual) for name, clear in zip(names, clarity, strict=True)]
    assert favoured == sorted(favoured, reverse=True)
    assert names[0] in choice.why
    features = choice.embedder.transform(pixels, CPU)
    assert neighbor_modularity(features, 10, CPU) == pytest.approx(clarity[0])
    again = fit_scratch(pixels, CPU, settings=QUICK)
    np.testing.assert_array_equal(again.embedder.transform(pixels, CPU), features)
