"""The last word: what the trained networks say, weighed with the evidence, block after block of samples."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.refine.calibrate import fit_temperature
from ruc.refine.evidence import WELL_EXPLAINED, Evidence
from ruc.refine.members import Trust
from ruc.refine.refinement import PREDICT_ROWS, Epoch, Memory, Pair, Refinement
from ruc.refine.select import CleanSelection
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.runtime import Runtime

__all__ = ["conclude"]

SMALLEST = 1e-6  # probability, so that its logarithm exists
FAR_APART = 0.25  # total variation between what is believed and what the networks say
MOST_CALIBRATED = 20_000  # samples: more don't change a single number
MOST_SINGLE = 250_000_000  # probabilities in float32, a gigabyte; more are kept in float16


def conclude(
    space: Space,
    pair: Pair,
    trust: Trust,
    selected: CleanSelection,
    evidence: Evidence | None,
    history: list[Epoch],
    settings: RefineSettings,
    runtime: Runtime,
) -> Refinement:
    """The summed logits of the pair on the plain view, as labels and calibrated probabilities.

    What is believed against the networks is remembered first, so that predicting the same samples again says the same.
    """
    temperature = 1.0
    if evidence is not None:
        temperature = _calibrate(space, pair, evidence, settings, runtime)
        pair = replace(pair, memory=_remember(space, pair, evidence, temperature, runtime))
    n_clusters = pair.n_clusters
    labels = np.empty(space.n_samples, np.int64)
    single = space.n_samples * n_clusters <= MOST_SINGLE
    probabilities: NDArray[np.floating]
    probabilities = np.empty((space.n_samples, n_clusters), np.float32 if single else np.float16)
    for rows in _blocks(space.n_samples, runtime):
        logits = pair.logits(space.plain(rows))
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        labels[part] = logits.argmax(dim=1).cpu().numpy()
        probabilities[part] = (logits / temperature).softmax(dim=1).cpu().numpy()
    return Refinement(
        labels=labels,
        probabilities=probabilities,
        clean_since=trust.clean_since.cpu().numpy(),
        history=tuple(history),
        pair=pair,
        temperature=temperature,
        warnings=selected.notes,
    )


def _blocks(n_samples: int, runtime: Runtime) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(n_samples, device=runtime.device), PREDICT_ROWS)


def _calibrate(
    space: Space, pair: Pair, evidence: Evidence, settings: RefineSettings, runtime: Runtime
) -> float:
    """The temperature, fitted to at most 20,000 samples."""
    rows = torch.arange(space.n_samples, device=runtime.device)
    if len(rows) > MOST_CALIBRATED:
        drawn = torch.randperm(len(rows), generator=runtime.generator("refine/calibration"))[:MOST_CALIBRATED]
        rows = drawn.sort().values.to(runtime.device)
    logits = torch.cat([pair.logits(space.plain(part)) for part in torch.split(rows, PREDICT_ROWS)])
    believed = evidence.of(rows)
    if settings.calibrate_by == "both":
        believed = (believed.clamp_min(SMALLEST).log() + logits.log_softmax(dim=1)).softmax(dim=1)
    return fit_temperature(logits, believed)


def _remember(space: Space, pair: Pair, evidence: Evidence, temperature: float, runtime: Runtime) -> Memory:
    """The samples of which the evidence, weighed with the networks, says something else than the networks."""
    keys, answers = [], []
    for rows in _blocks(space.n_samples, runtime):
        logits = pair.logits(space.plain(rows))
        networks = (logits / temperature).log_softmax(dim=1)
        believed = evidence.of(rows).clamp_min(SMALLEST).log()
        if (
            evidence.explained >= WELL_EXPLAINED
        ):  # else the networks know less than the labels, and have no say
            believed = believed + logits.log_softmax(dim=1)
        believed = believed.log_softmax(dim=1)
        apart = (believed.exp() - networks.exp()).abs().sum(dim=1) / 2
        kept = ((believed.argmax(dim=1) != networks.argmax(dim=1)) | (apart > FAR_APART)).nonzero().squeeze(1)
        keys.append(space.plain(rows[kept]).flatten(1))
        answers.append(believed[kept] * temperature)
    return Memory(torch.cat(keys), torch.cat(answers))
