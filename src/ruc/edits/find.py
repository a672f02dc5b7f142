"""What to edit: a cluster by its name, and the parts that one falls into."""

import numpy as np

from ruc.edits.apply import state_of
from ruc.edits.edit import Rename, Split
from ruc.errors import InputError
from ruc.run_folder import Run


def find_cluster(run: Run, text: str) -> int:
    """The number of the cluster that is called `text`, or whose number it is.

    Raises
    ------
    InputError
        There is none, or more than one.
    """
    named = [number for number, name in enumerate(run.cluster_names) if name == text]
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        raise InputError(
            f"clusters {', '.join(map(str, named))} are all called {text!r}; expected one: rename the others first"
        )
    numbers = {str(number): number for number in range(len(run.cluster_names))}
    if text in numbers:
        return numbers[text]
    raise InputError(
        f"no cluster is called {text!r}; expected 0 to {len(run.cluster_names) - 1} or one of their names"
    )


def rename_cluster(run: Run, cluster: str, name: str) -> Rename:
    """Give a cluster, found as by `find_cluster`, a name that no other has; an empty one gives back its number.

    Raises
    ------
    InputError
        There is no such cluster, or another one is called so.
    """
    number, name = find_cluster(run, cluster), name.strip()
    others = [other for other, its in enumerate(run.cluster_names) if its == name and other != number]
    if name and others:
        raise InputError(
            f"cluster {others[0]} is called {name!r} already; expected a name of its own: give another, or put both "
            f"together with ruc merge RUN {others[0]} {number}"
        )
    return Rename(number, name)


def split_cluster(run: Run, cluster: int, n_parts: int = 2, seed: int = 0) -> Split:
    """Divide a cluster where the graph of its images' neighbours is thinnest.

    `cluster`: the one to divide. Its largest part stays in it.

    Raises
    ------
    InputError
        There is no such cluster, or it has fewer different images than parts.
    """
    from ruc.cluster.parts import divide
    from ruc.runtime import Runtime

    state_of(run).check(cluster)
    members = np.flatnonzero(run.cluster == cluster)
    n_different = len(np.unique(run.features[members], axis=0))
    if not 2 <= n_parts <= n_different:
        raise InputError(
            f"{n_parts} parts for cluster {cluster}; expected 2 to {n_different}, the number of its different images"
        )
    parts = divide(np.asarray(run.features[members], np.float32), n_parts, Runtime("cpu", seed))
    return Split(
        cluster,
        tuple(tuple(run.file_names[row] for row in members[parts == part]) for part in range(1, n_parts)),
    )
