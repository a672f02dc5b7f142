"""Every embedder by its name: how it is fitted to images, and made again from what was written to disk."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.embedder import Embedder
from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.momentum import MomentumSettings, fit_momentum
from ruc.embed.onnx import load_onnx
from ruc.embed.packaged import load_packaged
from ruc.embed.pixels import BESIDE, PixelEmbedder, fit_pixels
from ruc.embed.pretrained import load_pretrained
from ruc.embed.scratch import choose_policy, fit_scratch, suit_settings
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.errors import InputError
from ruc.networks import OnEpoch, State
from ruc.runtime import Runtime

Pixels = NDArray[np.uint8]
Fitted = tuple[Embedder, str]  # and one line that says how it suits the images, or ""


@dataclass(frozen=True)
class Known:
    """An embedder.

    Attributes
    ----------
    from_state
        Makes it again; None where its state is another one's.
    fit
        Fits it to (n, channels, size, size) pixels; None where it comes from elsewhere. It may call `on_epoch` and go
        on from the state that this was given.
    """

    from_state: Callable[[State], Embedder] | None = None
    fit: Callable[[Pixels, Runtime, OnEpoch | None, State | None], Fitted] | None = None


def _fit_pixels(pixels: Pixels, runtime: Runtime, on_epoch: OnEpoch | None, resume: State | None) -> Fitted:
    return fit_pixels(pixels, beside=BESIDE), ""


def _fit_contrastive(
    pixels: Pixels, runtime: Runtime, on_epoch: OnEpoch | None, resume: State | None
) -> Fitted:
    settings, reason = suit_settings(ContrastiveSettings(), pixels, runtime)
    return fit_contrastive(pixels, runtime, settings, on_epoch, resume), reason


def _fit_momentum(pixels: Pixels, runtime: Runtime, on_epoch: OnEpoch | None, resume: State | None) -> Fitted:
    policy, reason = choose_policy(pixels, runtime)
    return fit_momentum(pixels, runtime, MomentumSettings(policy), on_epoch, resume), reason


def _fit_scratch(pixels: Pixels, runtime: Runtime, on_epoch: OnEpoch | None, resume: State | None) -> Fitted:
    choice = fit_scratch(pixels, runtime, on_epoch=on_epoch, resume=resume)
    return choice.embedder, choice.why


def _combined(state: State) -> CombinedEmbedder:
    parts = (
        embedder_from_state(State(config, state.under(str(number))))
        for number, config in enumerate(state.config["parts"])
    )
    return CombinedEmbedder(tuple(parts), tuple(state.config["weights"]))


EMBEDDERS = {
    "pixels": Known(PixelEmbedder.from_state, _fit_pixels),
    "contrastive": Known(SelfSupervisedEmbedder.from_state, _fit_contrastive),
    "momentum": Known(SelfSupervisedEmbedder.from_state, _fit_momentum),
    "scratch": Known(fit=_fit_scratch),
    "checkpoint": Known(CheckpointEmbedder.from_state),
    "combined": Known(_combined),
}


def is_fitted_here(name: str) -> bool:
    """Whether the embedder of this name is fitted to the images themselves."""
    return name in EMBEDDERS and EMBEDDERS[name].fit is not None


def embedder_from_state(state: State) -> Embedder:
    """Make again the embedder whose `state()` this is.

    Raises
    ------
    InputError
        The state is of none that is known.
    """
    kind = state.config.get("kind")
    known = {name: each.from_state for name, each in EMBEDDERS.items() if each.from_state is not None}
    if kind not in known:
        raise InputError(
            f"an embedder of kind {kind!r} was given; expected one of {', '.join(known)}; was this written by a newer "
            "version?"
        )
    return known[kind](state)


def is_frozen(state: State) -> bool:
    """Whether this is of an embedder that was trained elsewhere, and reads images at its own size."""
    return state.config.get("kind") in ("packaged", "pretrained", "onnx")


def frozen_from_state(state: State, runtime: Runtime) -> FrozenEmbedder:
    """Find the frozen embedder again whose `state()` this is.

    Raises
    ------
    WeightsError
        Its weights are no longer where they were.
    """
    if state.config["kind"] == "packaged":
        embedder = load_packaged(state.config["name"], runtime)
    elif state.config["kind"] == "onnx":
        embedder = load_onnx(state.config["name"], state.config["sha256"])
    else:
        embedder = load_pretrained(state.config["name"], runtime, state.config["revision"])
    center = state.weights.get("center")
    return embedder if center is None else embedder.centered_at(center)
