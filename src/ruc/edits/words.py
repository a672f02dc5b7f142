"""Edits in words, for people who take them back."""

from collections.abc import Iterable

from ruc.edits.edit import Answer, Edit, Junk, Learn, Merge, Move, Rename, Split


def in_words(edits: Iterable[Edit]) -> list[str]:
    """A line for each edit; all answers in one."""
    edits = list(edits)
    n_answers = sum(isinstance(edit, Answer) for edit in edits)
    lines = [_words(edit) for edit in edits if not isinstance(edit, Answer)]
    return lines + ([f"{n_answers} answer{'s' if n_answers > 1 else ''}"] if n_answers else [])


def _words(edit: Edit) -> str:
    match edit:
        case Rename(cluster, name):
            return f"cluster {cluster} was called {name!r}" if name else f"cluster {cluster} lost its name"
        case Merge((first, *others)):
            return f"{', '.join(map(str, others))} went into cluster {first}"
        case Junk(cluster, is_junk):
            return f"cluster {cluster} was {'marked as junk' if is_junk else 'no longer junk'}"
        case Move(file_names, cluster):
            shown = repr(file_names[0]) if len(file_names) == 1 else f"{len(file_names)} images"
            return f"{shown} went to cluster {cluster}"
        case Split(cluster, parts):
            return f"cluster {cluster} was split into {len(parts) + 1}"
        case Learn():
            return "the run learned from what was placed"
    raise AssertionError(edit)
