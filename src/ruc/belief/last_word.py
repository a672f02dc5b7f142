"""The last word: what the trained networks say, weighed with the evidence, block after block of samples.

The networks are asked once. What they said is kept, calibrated, and overwritten where the evidence is believed instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.belief.calibration import Calibration, fit_level, fit_temperature, pinned
from ruc.belief.evidence import WELL_EXPLAINED, Evidence
from ruc.belief.memory import Memory, sketch
from ruc.belief.predictor import Predictor
from ruc.labels.clustering import Clustering
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.refine.trained import PREDICT_ROWS, Pair
from ruc.runtime import Runtime

SMALLEST = 1e-6  # probability, so that its logarithm exists
FAR_APART = 0.25  # total variation between what is believed and what the networks say
MOST_CALIBRATED = 20_000  # samples: more don't change a single number
MOST_SINGLE = 250_000_000  # probabilities in float32, a gigabyte; more are kept in float16


@dataclass(frozen=True)
class LastWord:
    """The clusters after all were heard.

    Attributes
    ----------
    labels
        (n_samples,) int64: the cluster of every sample.
    probabilities
        (n_samples, n_clusters) float32 (float16 beyond a quarter of a billion of them), calibrated without labels: the
        largest of a row estimates the probability that the sample is in the right cluster.
    predictor
        Says the same of the same samples, and what it can of new ones.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    predictor: Predictor


def last_word(
    space: Space,
    pair: Pair,
    base: Clustering,
    evidence: Evidence | None,
    features: NDArray[np.floating] | None,
    settings: RefineSettings,
    runtime: Runtime,
) -> LastWord:
    """What the pair says of the plain views, weighed with the evidence, as labels and calibrated probabilities.

    What is believed against the networks is remembered first, so that predicting the same samples again says the same.

    Parameters
    ----------
    space, pair
        Whose plain views the trained networks are asked about.
    evidence
        What was believed before; None: the networks alone are asked.
    features
        (n_samples, n_features) that the base was made from: how far it can be right is judged on them. Without them
        the confidence is only as good as the clustering is.
    settings
        `calibrate_by` is used.
    """
    labels, logits = _ask(space, pair, runtime)
    # Labels from elsewhere know more than the features, and are believed as far as they were weighed; how sure one may
    # be of a clustering of these features is asked afterwards (`belief.confidence`).
    is_weighed = base.made_of == "elsewhere" or features is None
    calibration, memory = Calibration(), None
    if evidence is not None:
        if is_weighed:
            calibration = _fit_to_evidence(logits, evidence, settings, runtime)
        far_apart = FAR_APART if is_weighed else 1.0
        # Heads know no better than what different eyes or layouts of the same features agree on, nor than labels of
        # another kind.
        heard = evidence.explained >= WELL_EXPLAINED and (space.sees_more or not evidence.settled)
        memory = _remember(space, labels, logits, evidence, heard, calibration, far_apart, runtime)
        _recall(space, memory, labels, logits, runtime)
    return LastWord(labels, _calibrated(logits, calibration), Predictor(pair, memory, calibration))


def as_sure_as(word: LastWord, confidence: NDArray[np.floating]) -> LastWord:
    """The same clusters, each row as sure as `confidence` says; of new samples the networks are as sure in the mean."""
    probabilities = word.probabilities
    rows = np.linspace(0, len(probabilities) - 1, min(MOST_CALIBRATED, len(probabilities))).astype(np.int64)
    logits = torch.from_numpy(probabilities[rows].astype(np.float32)).clamp_min(SMALLEST).log()
    calibration = fit_level(logits, float(confidence.mean()))
    for part in _blocks(len(probabilities)):
        probabilities[part] = pinned(probabilities[part], word.labels[part], confidence[part])
    return LastWord(word.labels, probabilities, replace(word.predictor, calibration=calibration))


def _ask(space: Space, pair: Pair, runtime: Runtime) -> tuple[NDArray[np.int64], Tensor]:
    """What the networks say: labels, and the logits (n_samples, n_clusters) on the CPU."""
    labels = np.empty(space.n_samples, np.int64)
    single = space.n_samples * pair.n_clusters <= MOST_SINGLE
    kept = torch.empty(space.n_samples, pair.n_clusters, dtype=torch.float32 if single else torch.float16)
    for part in _blocks(space.n_samples):
        logits = pair.logits(space.plain(_rows(part, runtime)))
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


def _blocks(n_samples: int) -> Iterator[slice]:
    for start in range(0, n_samples, PREDICT_ROWS):
        yield slice(start, min(start + PREDICT_ROWS, n_samples))


def _rows(part: slice, runtime: Runtime) -> Tensor:
    return torch.arange(part.start, part.stop, device=runtime.device)


def _fit_to_evidence(
    logits: Tensor, evidence: Evidence, settings: RefineSettings, runtime: Runtime
) -> Calibration:
    """The temperature at which the networks are as sure as the evidence."""
    rows = _drawn(len(logits), runtime)
    said, believed = logits[rows].float().to(runtime.device), evidence.of(rows.to(runtime.device))
    if settings.calibrate_by == "both":
        believed = _together(believed, said, evidence).softmax(dim=1)
    return Calibration(fit_temperature(said, believed))


def _remember(
    space: Space,
    labels: NDArray[np.int64],
    logits: Tensor,
    evidence: Evidence,
    heard: bool,
    calibration: Calibration,
    far_apart: float,
    runtime: Runtime,
) -> Memory:
    """The samples of which the evidence, weighed with the networks where they are heard, says something else.

    Something else is another cluster than in `labels`, or probabilities that are more than `far_apart` away. Where no
    label has arrived through the neighbours, the evidence says nothing, and the networks have the word.
    """
    keys, answers = [], []
    for part in _blocks(len(labels)):
        rows, said = _rows(part, runtime), logits[part].float().to(runtime.device)
        believed = evidence.of(rows)
        informed = believed.amax(dim=1) > believed.amin(dim=1)
        if heard:
            believed = _together(believed, said, evidence).log_softmax(dim=1)
        else:
            believed = believed.clamp_min(SMALLEST).log().log_softmax(dim=1)
        apart = (believed.exp() - (said / calibration.temperature).softmax(dim=1)).abs().sum(dim=1) / 2
        differs = believed.argmax(dim=1) != torch.from_numpy(labels[part]).to(runtime.device)
        kept = (informed & (differs | (apart > far_apart))).nonzero().squeeze(1)
        keys.append(sketch(space.plain(rows[kept])))
        answers.append((believed[kept] * calibration.temperature).to(logits.dtype))
    return Memory(torch.cat(keys), torch.cat(answers))


def _recall(
    space: Space, memory: Memory, labels: NDArray[np.int64], logits: Tensor, runtime: Runtime
) -> None:
    """Write into labels and logits what is remembered, as `Predictor.logits` will answer with this memory."""
    for part in _blocks(len(labels)):
        said = logits[part].float().to(runtime.device)
        answered = memory.answer(space.plain(_rows(part, runtime)), said)
        known = (answered != said).any(dim=1).cpu().numpy()
        labels[part][known] = answered.argmax(dim=1).cpu().numpy()[known]
        logits[part] = answered


def _together(believed: Tensor, logits: Tensor, evidence: Evidence) -> Tensor:
    """Logits of the evidence and the networks together, by Bayes' rule.

    Both know how large the clusters are. That counts once: or else small clusters would lose whatever is in doubt.
    """
    prior = torch.from_numpy(evidence.prior).to(logits.device)
    return believed.clamp_min(SMALLEST).log() + logits.log_softmax(dim=1) - prior.clamp_min(SMALLEST).log()
