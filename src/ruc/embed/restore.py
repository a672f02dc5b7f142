"""From what was written to disk back to an embedder."""

from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.frozen import FrozenEmbedder
from ruc.embed.packaged import load_packaged
from ruc.embed.pixels import PixelEmbedder
from ruc.embed.pretrained import load_pretrained
from ruc.embed.self_supervised import METHODS, SelfSupervisedEmbedder
from ruc.errors import InputError
from ruc.networks import State
from ruc.runtime import Runtime


def embedder_from_state(state: State) -> Embedder:
    """Make again the embedder whose `state()` this is: "pixels", "contrastive", "momentum", "checkpoint" or "combined".

    Raises
    ------
    InputError
        The state is of another kind.
    """
    kind = state.config.get("kind")
    if kind == "pixels":
        return PixelEmbedder.from_state(state)
    if kind in METHODS:
        return SelfSupervisedEmbedder.from_state(state)
    if kind == "checkpoint":
        return CheckpointEmbedder.from_state(state)
    if kind == "combined":
        parts = []
        for number, config in enumerate(state.config["parts"]):
            parts.append(embedder_from_state(State(config, state.under(str(number)))))
        return CombinedEmbedder(tuple(parts), tuple(state.config["weights"]))
    raise InputError(
        f"an embedder of kind {kind!r} was given; expected 'pixels', 'contrastive', 'momentum', 'checkpoint' or "
        "'combined'; was this written by a newer version?"
    )


def is_frozen(state: State) -> bool:
    """Whether this is of an embedder that was trained elsewhere, and reads images at its own size."""
    return state.config.get("kind") in ("packaged", "pretrained")


def frozen_from_state(state: State, runtime: Runtime) -> FrozenEmbedder:
    """Find the frozen embedder again whose `state()` this is.

    Raises
    ------
    WeightsError
        Its weights are no longer where they were.
    """
    if state.config["kind"] == "packaged":
        return load_packaged(state.config["name"], runtime)
    return load_pretrained(state.config["name"], runtime, state.config["revision"])
