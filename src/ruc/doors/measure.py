"""Finished runs against the truth: metrics into the run folders, and their reports written anew."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ruc.errors import UsageError
from ruc.evaluation.attacks import AttackTable, check_attacks
from ruc.evaluation.corruptions import CorruptionTable
from ruc.evaluation.evaluate import Evaluation
from ruc.evaluation.figures import evaluation_figures, figure_to_svg
from ruc.evaluation.metrics import share_by_chance
from ruc.evaluation.robustness import attack_run, check_attackable, corrupt_run
from ruc.evaluation.runs import evaluate_run
from ruc.evaluation.truth import read_truth
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import check_writable, read_run, write_evaluation
from ruc.runtime import Runtime

BY_CHANCE: Final = 0.05  # the usual level of a test: below it clusters and truth belong together

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What was found about one run; attacks and corruptions where they were asked for."""

    evaluation: Evaluation
    attacks: AttackTable | None
    corruptions: CorruptionTable | None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in metrics.json."""
        metrics = self.evaluation.to_dict()
        metrics |= {"attacks": self.attacks.to_dict()} if self.attacks else {}
        metrics |= {"corruptions": self.corruptions.to_dict()} if self.corruptions else {}
        return metrics


def measure_runs(
    folders: Sequence[Path],
    truth: Path,
    runtime: Runtime,
    attacks: tuple[str, ...] = (),
    corruptions: bool = False,
) -> Mapping[str, Measured]:
    """Evaluate each run; write its `metrics.json`, `figures/` and its report anew; returns what was found, by folder.

    `truth`: file of true labels. `corruptions`: whether to measure the accuracy on corrupted images too.

    Raises
    ------
    RunFolderError
        A folder holds no finished run, or can't be written to.
    InputError
        The truth can't be used, a folder is named twice, or an attack isn't known.
    """
    names = [str(folder) for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} given twice; expected each run once")
    if attacks:
        check_attacks(attacks)
    logger.debug("device: %s", runtime.device)  # unusable ones raise here
    truths = {}
    for name, folder in zip(names, folders, strict=True):  # all of them, before the first is changed
        run = read_run(folder)
        check_writable(folder)
        truths[name] = read_truth(truth, run.file_names, run.is_of_features)
        if attacks or corruptions:
            check_attackable(folder)
    measured = {}
    for name, folder in zip(names, folders, strict=True):
        run, labels = read_run(folder), truths[name]
        evaluation = evaluate_run(run, labels, runtime)
        if share_by_chance(run.cluster, labels) > BY_CHANCE:
            logger.warning(
                "%s agrees with %s no better than with the same labels shuffled (%d of %d images are in it): it may be "
                "another set's or in another order, or these are too few",
                folder,
                truth,
                evaluation.n_with_truth,
                evaluation.n_images,
            )
        attacked = attack_run(folder, labels, runtime, attacks) if attacks else None
        corrupted = corrupt_run(folder, labels, runtime) if corruptions else None
        found = Measured(evaluation, attacked, corrupted)
        metrics = found.to_dict()
        figures = evaluation_figures(metrics, run.history)
        pictures = {name: figure_to_svg(figure) for name, figure in figures.items()}
        report = write_report(report_data(replace(run, metrics=metrics)))
        write_evaluation(folder, run, metrics, pictures, report)
        measured[name] = found
    return measured
