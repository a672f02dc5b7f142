"""Fifty questions to a person, and what their answers say of all images."""
