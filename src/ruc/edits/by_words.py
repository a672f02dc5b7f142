"""Names for clusters out of a list of words, by how well these fit the images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits.apply import junk_clusters
from ruc.edits.edit import Rename
from ruc.errors import InputError
from ruc.run_folder import Run

LEAST_LEAD: Final = (
    2.0  # a name says no more than the next word unless it's twice as likely, by the model's own scale
)


@dataclass(frozen=True)
class Proposal:
    """The word that fits a cluster best.

    Attributes
    ----------
    cluster
        Its number.
    word, next_word
        The likeliest word and the one that comes second.
    lead
        How many times as likely as the second the first is, by the model: the geometric mean over the images.
    kept
        Why the cluster keeps its number; "": it is called by the word.
    """

    cluster: int
    word: str
    next_word: str
    lead: float
    kept: str = ""

    @property
    def renames(self) -> tuple[Rename, ...]:
        """The edit, if it is one."""
        return () if self.kept else (Rename(self.cluster, self.word),)


def unnamed_clusters(run: Run) -> tuple[int, ...]:
    """The clusters with images that are called by their numbers, but for junk.

    Raises
    ------
    InputError
        All of them have names.
    """
    sizes = np.bincount(run.cluster, minlength=run.n_clusters)
    junk = junk_clusters(run)
    unnamed = tuple(
        number
        for number, name in enumerate(run.cluster_names)
        if name == str(number) and sizes[number] and number not in junk
    )
    if not unnamed:
        raise InputError(
            "all clusters of the run have names; expected one that is called by its number: "
            "ruc rename RUN NAME '' gives it back"
        )
    return unnamed


def propose_names(run: Run, words: Sequence[str], logits: NDArray[np.floating]) -> list[Proposal]:
    """The best word for each cluster that has no name; no two clusters get the same one.

    Where two want a word, it goes to the one in which it leads by more.

    Returns them by cluster.

    Parameters
    ----------
    run
        Its names stay.
    logits
        (n_clusters, n_words) how well each word fits, in the mean over the images of each cluster; rows that are not
        finite are of clusters that nothing is known of.
    """
    check_words(run, words)
    found = []
    for cluster in unnamed_clusters(run):
        if np.isfinite(logits[cluster]).all():
            second, first = np.argsort(logits[cluster], kind="stable")[-2:].tolist()
            lead = math.exp(min(logits[cluster, first] - logits[cluster, second], 700.0))  # the largest float
            found.append(Proposal(cluster, words[first], words[second], lead))
    called = {name.casefold(): number for number, name in enumerate(run.cluster_names)}
    proposals = []
    for one in sorted(found, key=lambda each: -each.lead):
        other = called.get(one.word.casefold())
        if one.lead < LEAST_LEAD:
            kept = f"hardly likelier than {one.next_word}"
        elif other is not None:
            kept = f"cluster {other} is called so"
        else:
            kept, called[one.word.casefold()] = "", one.cluster
        proposals.append(Proposal(one.cluster, one.word, one.next_word, one.lead, kept))
    return sorted(proposals, key=lambda each: each.cluster)


def check_words(run: Run, words: Sequence[str]) -> None:
    """Raise `InputError` where a word can't tell clusters apart from their numbers."""
    numbers = {str(number) for number in range(run.n_clusters)}
    if mistaken := [word for word in words if word in numbers]:
        raise InputError(
            f"the word {mistaken[0]!r} is the number of a cluster; expected words that are none: write it out"
        )
