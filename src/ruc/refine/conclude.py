"""The last word: what the trained networks say, weighed with the evidence, block after block of samples."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.cluster.clustering import Clustering
from ruc.refine.calibrate import Calibration, fit_level, fit_temperature
from ruc.refine.evidence import WELL_EXPLAINED, Evidence
from ruc.refine.memory import Memory, sketch
from ruc.refine.refinement import PREDICT_ROWS, Epoch, Pair, Refinement
from ruc.refine.replicate import MOST_CLUSTERS, expect
from ruc.refine.select import CleanSelection
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.refine.trust import Trust
from ruc.runtime import Runtime

__all__ = ["conclude"]

GIVEN = "given"  # labels that may know more than the features
SMALLEST = 1e-6  # probability, so that its logarithm exists
FAR_APART = 0.25  # total variation between what is believed and what the networks say
MOST_CALIBRATED = 20_000  # samples: more don't change a single number
MOST_SINGLE = 250_000_000  # probabilities in float32, a gigabyte; more are kept in float16


def conclude(
    space: Space,
    pair: Pair,
    base: Clustering,
    trust: Trust,
    selected: CleanSelection,
    evidence: Evidence | None,
    features: NDArray[np.floating] | None,
    history: list[Epoch],
    settings: RefineSettings,
    runtime: Runtime,
) -> Refinement:
    """The summed logits of the pair on the plain view, as labels and calibrated probabilities.

    What is believed against the networks is remembered first, so that predicting the same samples again says the same.
    """
    judged = features is not None and base.name != GIVEN and pair.n_clusters <= MOST_CLUSTERS
    calibration = Calibration()
    if evidence is not None:
        if not judged:
            calibration = _fit_to_evidence(space, pair, evidence, settings, runtime)
        pair = replace(pair, memory=_remember(space, pair, evidence, calibration, judged, runtime))
    labels, logits = _predict(space, pair, runtime)
    if judged and features is not None:
        expected = expect(labels, features, pair.n_clusters, runtime)
        sample = logits[_drawn(len(labels), runtime)].float()
        calibration = fit_level(sample, expected.accuracy, expected.shared)
    return Refinement(
        labels=labels,
        probabilities=_calibrated(logits, calibration),
        clean_since=trust.clean_since.cpu().numpy(),
        history=tuple(history),
        pair=pair,
        calibration=calibration,
        remarks=selected.remarks,
        warnings=selected.warnings,
    )


def _predict(space: Space, pair: Pair, runtime: Runtime) -> tuple[NDArray[np.int64], Tensor]:
    """Labels, and the logits (n_samples, n_clusters) on the CPU."""
    labels = np.empty(space.n_samples, np.int64)
    single = space.n_samples * pair.n_clusters <= MOST_SINGLE
    kept = torch.empty(space.n_samples, pair.n_clusters, dtype=torch.float32 if single else torch.float16)
    for rows in _blocks(space.n_samples, runtime):
        logits = pair.logits(space.plain(rows))
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        labels[part] = logits.argmax(dim=1).cpu().numpy()
        kept[part] = logits
    return labels, kept


def _calibrated(logits: Tensor, calibration: Calibration) -> NDArray[np.floating]:
    """Probabilities, written where the logits were: there may be too many for both."""
    for part in torch.split(logits, PREDICT_ROWS):
        part.copy_(calibration.apply(part.float()))
    probabilities: NDArray[np.floating] = logits.numpy()
    return probabilities


def _drawn(n_samples: int, runtime: Runtime) -> Tensor:
    """The samples that a calibration is fitted to, 20,000 of them at most."""
    if n_samples <= MOST_CALIBRATED:
        return torch.arange(n_samples)
    drawn = torch.randperm(n_samples, generator=runtime.generator("refine/calibration"))
    return drawn[:MOST_CALIBRATED].sort().values


def _blocks(n_samples: int, runtime: Runtime) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(n_samples, device=runtime.device), PREDICT_ROWS)


def _fit_to_evidence(
    space: Space, pair: Pair, evidence: Evidence, settings: RefineSettings, runtime: Runtime
) -> Calibration:
    """The temperature at which the networks are as sure as the evidence."""
    rows = _drawn(space.n_samples, runtime).to(runtime.device)
    logits = torch.cat([pair.logits(space.plain(part)) for part in torch.split(rows, PREDICT_ROWS)])
    believed = evidence.of(rows)
    if settings.calibrate_by == "both":
        believed = _together(believed, logits, evidence).softmax(dim=1)
    return Calibration(fit_temperature(logits, believed))


def _remember(
    space: Space, pair: Pair, evidence: Evidence, calibration: Calibration, judged: bool, runtime: Runtime
) -> Memory:
    """The samples of which the evidence, weighed with the networks, says something else than the networks.

    Something else is another cluster; or, unless the clustering as a whole is judged, a quite different confidence.
    """
    temperature, far_apart = calibration.temperature, 1.0 if judged else FAR_APART
    keys, answers = [], []
    for rows in _blocks(space.n_samples, runtime):
        logits = pair.logits(space.plain(rows))
        networks = (logits / temperature).log_softmax(dim=1)
        believed = evidence.of(rows)
        if evidence.explained >= WELL_EXPLAINED and not evidence.settled:
            believed = _together(believed, logits, evidence).log_softmax(dim=1)
        else:  # the networks know less than the labels, and have no say
            believed = believed.clamp_min(SMALLEST).log().log_softmax(dim=1)
        apart = (believed.exp() - networks.exp()).abs().sum(dim=1) / 2
        kept = ((believed.argmax(dim=1) != networks.argmax(dim=1)) | (apart > far_apart)).nonzero().squeeze(1)
        keys.append(sketch(space.plain(rows[kept])))
        answers.append(believed[kept] * temperature)
    return Memory(torch.cat(keys), torch.cat(answers))


def _together(believed: Tensor, logits: Tensor, evidence: Evidence) -> Tensor:
    """Logits of the evidence and the networks together, by Bayes' rule.

    Both know how large the clusters are. That counts once: or else small clusters would lose whatever is in doubt.
    """
    prior = torch.from_numpy(evidence.prior).to(logits.device)
    return believed.clamp_min(SMALLEST).log() + logits.log_softmax(dim=1) - prior.clamp_min(SMALLEST).log()
