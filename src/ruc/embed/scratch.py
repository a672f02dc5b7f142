"""An embedding for images of which nothing is known, without pretrained weights and without labels.

Two questions are decided by looking at the images.

1. *What may a view change?* If mirror images are as likely as the images (`mirrored_share`), they are taken for
   photographs, and views are flipped, cropped and recoloured; if not, for drawn things, and views are bent gently.
2. *Which features?* Those of a network trained on such views, of drawn things together with the pixels, unless others
   have a neighbour graph that falls apart into groups far more clearly (`neighbor_modularity`). A share of the pixels
   made the neighbours of drawn things better and those of photographs worse wherever we measured it
   (`experiments/scratch_views.py`); modularity alone doesn't see that.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ruc.embed.combined import CombinedEmbedder
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.embedder import Embedder
from ruc.embed.mirror import mirrored_share
from ruc.embed.pixels import fit_pixels
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.images.views import GENTLE, PHOTO, ViewPolicy
from ruc.neighbors.modularity import neighbor_modularity
from ruc.networks import OnEpoch, State
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

MOST_MIRRORED = 0.6  # photographs: 0.5, give or take 0.04 with as few as 150; drawn things: above 0.9
PIXEL_WEIGHT = 0.6  # beside 1 for the network
MARGIN = 0.05  # of modularity, by which others have to be better than what usually suits such images
BOTH = f"contrastive+{PIXEL_WEIGHT}*pixels"
N_GROUPS = 10


@dataclass(frozen=True)
class Candidate:
    """Features that could have been chosen, and how clearly they fall into groups."""

    name: str
    modularity: float


@dataclass(frozen=True)
class ScratchChoice:
    """The embedder chosen, and what spoke for it.

    Attributes
    ----------
    embedder
        The choice, fitted.
    contrastive
        The network that was trained on the way, whether or not its features were chosen; RUC can start from it.
    candidates
        Everything compared, best first.
    why
        One line.
    """

    embedder: Embedder
    contrastive: SelfSupervisedEmbedder
    candidates: tuple[Candidate, ...]
    why: str


def fit_scratch(
    pixels: NDArray[np.uint8],
    runtime: Runtime,
    n_groups: int = N_GROUPS,
    settings: ContrastiveSettings | None = None,
    on_epoch: OnEpoch | None = None,
    resume: State | None = None,
) -> ScratchChoice:
    """Choose an embedding for these images, and fit it.

    Parameters
    ----------
    pixels
        (n, channels, size, size) uint8.
    n_groups
        About how many clusters are looked for; the choice hardly depends on it.
    settings
        How the network is trained; `suit_settings` fits them to the images.
    on_epoch, resume
        As of `train_epochs`.
    """
    settings, reason = suit_settings(settings or ContrastiveSettings(), pixels, runtime)
    contrastive = fit_contrastive(pixels, runtime, settings, on_epoch, resume)
    plain = fit_pixels(pixels)
    learned_features = contrastive.transform(pixels, runtime)
    pixel_features = plain.transform(pixels, runtime)
    embedders: dict[str, tuple[Embedder, NDArray[np.float32]]] = {
        "contrastive": (contrastive, learned_features),
        "pixels": (plain, pixel_features),
    }
    both = CombinedEmbedder((contrastive, plain), (1.0, PIXEL_WEIGHT))
    embedders[BOTH] = both, both.join([learned_features, pixel_features])
    candidates = [
        Candidate(name, neighbor_modularity(features, n_groups, runtime))
        for name, (_, features) in embedders.items()
    ]
    usual = BOTH if settings.policy == GENTLE else "contrastive"
    candidates.sort(
        key=lambda candidate: -candidate.modularity - (MARGIN if candidate.name == usual else 0.0)
    )
    best, *others = candidates
    compared = ", ".join(f"{other.name} {other.modularity:.3f}" for other in others)
    why = f"{reason}; features: {best.name}, by the modularity of the neighbours ({best.modularity:.3f}; {compared})"
    return ScratchChoice(embedders[best.name][0], contrastive, tuple(candidates), why)


def suit_settings(
    settings: ContrastiveSettings, pixels: NDArray[np.uint8], runtime: Runtime
) -> tuple[ContrastiveSettings, str]:
    """The settings with views that suit the images, and one line that says why."""
    policy, reason = choose_policy(pixels, runtime)
    logger.info("views: %s", reason)
    return replace(settings, policy=policy), reason


def choose_policy(pixels: NDArray[np.uint8], runtime: Runtime) -> tuple[ViewPolicy, str]:
    """Which views suit the images, and one line that says why."""
    share = mirrored_share(pixels, runtime)
    if share > MOST_MIRRORED:
        return (
            GENTLE,
            f"gentle views without flips, as {share:.0%} of the mirror images are unlike the images",
        )
    return (
        PHOTO,
        f"photo views with flips, as mirror images are like the images ({share:.0%} are farther off)",
    )
