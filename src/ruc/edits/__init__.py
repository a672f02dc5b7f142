"""A person's corrections of a run: rename, merge, split, move, junk."""

from ruc.edits.apply import (
    apply_edits,
    before_edits,
    edited_clusters,
    edits_of,
    follow_edits,
    initial_probabilities_of,
    junk_clusters,
    merged_clusters,
    merged_places,
    needs_features,
    undo_edits,
)
from ruc.edits.edit import Answer, Edit, Junk, Learn, Merge, Move, Rename, Split
from ruc.edits.find import find_cluster, rename_cluster, split_cluster
from ruc.edits.report_edits import read_edits, run_id
from ruc.edits.state import UNWRITABLE
