"""Base clusterings: one method a file, from features or images."""
