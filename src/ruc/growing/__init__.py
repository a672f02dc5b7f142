"""A finished run whose folder has grown: new images join, vanished ones are kept or dropped, the rest is as it was."""
