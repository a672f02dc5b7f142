"""Embedding: images in, unit-norm features out."""
