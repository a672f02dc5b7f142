"""Embedding: images in, unit-norm features out."""

from ruc.embed.known import embedder_from_state, frozen_from_state, is_fitted_here, is_frozen
