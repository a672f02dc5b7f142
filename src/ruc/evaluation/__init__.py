"""Clusters against the truth: metrics, calibration, attacks, corruptions. The only place that knows the truth."""
