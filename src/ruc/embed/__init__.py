"""Embedding: images in, unit-norm features out."""

from ruc.embed.restore import embedder_from_state, frozen_from_state, is_frozen
