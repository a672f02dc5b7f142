"""What the answers about a run say of it: the share that is right, each cluster's, and the confidence set to it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.belief.calibration import pinned
from ruc.check.calibrate import AnswerCalibration, fit_answers, without_its_answer
from ruc.check.design import strata
from ruc.check.estimate import Share, estimate_share, share_with_known
from ruc.errors import RunFolderError, shortened
from ruc.run_folder import Run

ASKED: Final = "asked"  # in the notes: the file names that were drawn, in rounds
CHECKED: Final = "checked"
COVERAGE: Final = "coverage"  # how often the right cluster shall be among the possible ones
LEAST: Final = "least_probability"  # of a possible one
POSSIBLE: Final = "possible_clusters"  # column of the table
ENOUGH: Final = 8  # answers about a cluster that are worth an interval of its own
# Answers drawn by chance that one is worth which judges what was learned from the others: as all are learned from, they
# err together. Set on aerial7, blood8, stl10 and waste6, by how often the interval holds (experiments/LOG.md).
HELD_OUT_WORTH: Final = 2 / 3


@dataclass(frozen=True)
class Checked:
    """What a person's answers say of a run, as it was before they changed it.

    Attributes
    ----------
    accuracy
        The share of all images that are in the right cluster.
    clusters
        The same of each cluster with enough answers, by its number.
    n_yes
        How many of the answers that count said yes.
    n_open
        Images that were drawn and have no answer.
    n_beside
        Answers about images that weren't drawn: they count for their image, and say nothing of others.
    next_cluster
        The one where most images are expected to be wrong.
    expected_wrong
        How many, there.
    calibration
        The confidence set to the answers.
    learned
        The share of all images that are right once the run has learned from the answers: each part of these judges
        what was learned from the others, and what was asked later judges all. None where nothing was learned.
    """

    accuracy: Share
    clusters: dict[int, Share]
    n_yes: int
    n_open: int
    n_beside: int
    next_cluster: int
    expected_wrong: float
    calibration: AnswerCalibration
    learned: Share | None = None

    def to_json(self) -> dict[str, Any]:
        """For the run's notes, and the report."""
        shares = {str(cluster): asdict(share) for cluster, share in self.clusters.items()}
        return asdict(self) | {
            "accuracy": _share_to_json(self.accuracy), "clusters": shares, "calibration": self.calibration.to_json(),
            "learned": None if self.learned is None else _share_to_json(self.learned),
        }  # fmt: skip

    @staticmethod
    def from_json(record: object) -> "Checked":
        """What `to_json` wrote; raises `RunFolderError` where it is something else."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(Checked).validate_python(record)
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise RunFolderError(
                f"{CHECKED} in notes.json is not what `ruc` writes there ({shortened(where)}: "
                f"{error.errors()[0]['msg']}); expected the run as it was: `ruc apply` its answers again"
            ) from error


def _share_to_json(share: Share) -> dict[str, Any]:
    return asdict(share) | {"further_to_halve": share.further_to_halve}


def checked_of(run: Run) -> Checked | None:
    """What the answers in a run say, or None where there are none."""
    record = run.notes.get(CHECKED)
    return None if record is None else Checked.from_json(record)


def check_answers(run: Run, answers: Mapping[str, bool]) -> Checked | None:
    """What answers say of the run, which has no edits; None where none of them counts.

    Parameters
    ----------
    run
        As it was before the answers.
    answers
        File name to whether the image belongs to its cluster. Where `ruc check` drew images, those about these count,
        unless there is one about every image; else all, as if the images had been drawn by chance.
    """
    counted = counted_rows(run, answers)
    if not counted:
        return None
    rows = np.array(list(counted.values()), np.int64)
    drawn = set(run.notes.get(ASKED, ())) & set(run.file_names)
    is_right = np.array([answers[name] for name in counted], np.bool_)
    stratum = strata(run.confidence, len(rows))
    calibration = fit_answers(
        run.confidence[rows], run.cluster[rows], is_right, _weights(stratum, rows), len(run.cluster_names)
    )
    wrong = np.bincount(
        run.cluster, weights=1 - calibration(run.confidence, run.cluster), minlength=len(run.cluster_names)
    )
    worst = int(wrong.argmax())
    return Checked(
        accuracy=estimate_share(is_right, stratum[rows], np.bincount(stratum)),
        clusters=_of_clusters(run.cluster, rows, is_right),
        n_yes=int(is_right.sum()),
        n_open=len(drawn - answers.keys()),
        n_beside=len(answers) - len(counted),
        next_cluster=worst,
        expected_wrong=float(wrong[worst]),
        calibration=calibration,
    )


def without_their_answers(
    run: Run, answers: Mapping[str, bool]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows (n,) of the images whose answers count, and what the others make of each: (n, n_clusters).

    What judges, or promises, must not have seen the answer that it is judged by. Parameters as of `check_answers`.
    """
    counted = counted_rows(run, answers)
    rows = np.array(list(counted.values()), np.int64)
    is_right = np.array([answers[name] for name in counted], np.bool_)
    weights = _weights(strata(run.confidence, len(rows)), rows)
    cluster = run.cluster[rows]
    confidence = without_its_answer(run.confidence[rows], cluster, is_right, weights, len(run.cluster_names))
    return rows, pinned(run.probabilities[rows], cluster, confidence)


def with_lesson(
    checked: Checked,
    run: Run,
    answers: Mapping[str, bool],
    right_when_held_out: Mapping[int, bool],
    placed: NDArray[np.bool_],
    cluster: NDArray[np.int64],
    confidence: NDArray[np.floating[Any]],
) -> Checked:
    """What the answers say once the run has learned from them.

    Parameters
    ----------
    checked, run
        What they said before, of which run.
    answers
        File name to whether the image belonged to the cluster that was asked about. Of those that weren't learned from
        that counts: asked later, they are about what was learned.
    right_when_held_out
        By row, of images that were learned from, whether the others would have placed it there.
    placed
        (n,) bool: put where it is by a person, for certain.
    cluster, confidence
        (n,) as they are now.
    """
    counted = counted_rows(run, answers)
    rows = np.array(list(counted.values()), np.int64)
    stratum = strata(run.confidence, len(rows))
    is_right = np.array(
        [right_when_held_out.get(row, answers[name]) for name, row in counted.items()], np.bool_
    )
    worth = np.where(np.isin(rows, list(right_when_held_out)), HELD_OUT_WORTH, 1.0)
    sizes = np.bincount(stratum)
    known = np.bincount(stratum[placed], minlength=len(sizes))
    learned = share_with_known(is_right, stratum[rows], worth, sizes, known, int(placed.sum()))
    # Nothing is learned where nobody said what is right: in total as many are wrong as the answers say.
    wrong = np.bincount(cluster, weights=1 - confidence)
    wrong *= (1 - learned.value) * len(cluster) / max(wrong.sum(), np.finfo(float).tiny)
    wrong = np.minimum(wrong, np.bincount(cluster))
    worst = int(wrong.argmax())
    return replace(
        checked,
        learned=learned,
        next_cluster=worst,
        expected_wrong=float(wrong[worst]),
    )


def counted_rows(run: Run, names: Iterable[str]) -> dict[str, int]:
    """The rows of the images whose answers say something of others: those that were drawn, where some were; or all."""
    row_of = {name: row for row, name in enumerate(run.file_names)}
    answered = {name: row_of[name] for name in names if name in row_of}
    drawn = row_of.keys() & set(run.notes.get(ASKED, ()))
    if not drawn or len(answered) == len(row_of):
        return answered
    return {name: row for name, row in answered.items() if name in drawn}


def with_answers(run: Run, checked: Checked) -> Run:
    """The run, which has no edits, with its confidence set to the answers; probabilities follow."""
    confidence = checked.calibration(run.confidence, run.cluster)
    return replace(
        run, confidence=confidence, probabilities=pinned(run.probabilities, run.cluster, confidence)
    )


def _weights(stratum: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) how many images each of those looked at stands for."""
    sizes = np.bincount(stratum)
    asked = np.bincount(stratum[rows], minlength=len(sizes))
    return np.asarray((sizes / np.maximum(asked, 1))[stratum[rows]], np.float64)


def _of_clusters(
    cluster: NDArray[np.int64], rows: NDArray[np.int64], is_right: NDArray[np.bool_]
) -> dict[int, Share]:
    """Within a cluster the draw is nearly even over its confidence, as all answers are over all images'."""
    shares = {}
    for one in np.unique(cluster[rows]).tolist():
        here = cluster[rows] == one
        if here.sum() >= ENOUGH:
            size = np.array([(cluster == one).sum()])
            shares[one] = estimate_share(is_right[here], np.zeros(int(here.sum()), np.int64), size)
    return shares
