"""Hand-over of a run to other tools, one file a format."""
