"""Copies among images: the same picture in another size, encoding, light, window or orientation."""
