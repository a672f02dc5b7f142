"""Levels: clusters joined into larger ones and divided into smaller ones, as a tree from one run."""
