"""The report: a run as one HTML file that works offline, and as a notebook shows it."""
