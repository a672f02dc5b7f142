"""Embedding: images in, unit-norm features out."""

from ruc.embed.restore import embedder_from_state

__all__ = ["embedder_from_state"]
