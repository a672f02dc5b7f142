"""Hand-over of a run to other tools, one file a format.

Each exporter writes its target whole or not at all, returns it, and raises `RunFolderError` where something is there
already or nothing can be written, and `InputError` where it needs files and the run has none.
"""
