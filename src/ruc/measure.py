"""Finished runs against the truth: metrics into the run folders, and their reports written anew."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ruc.errors import InputError
from ruc.evaluate.evaluate import Evaluation
from ruc.evaluate.runs import evaluate_run
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import read_run, write_metrics, write_report_file
from ruc.runtime import Runtime

__all__ = ["measure_runs"]


def measure_runs(folders: Sequence[Path], truth: Path, runtime: Runtime) -> Mapping[str, Evaluation]:
    """Evaluate each run, write its `metrics.json` and write its report anew; returns the evaluations by folder.

    Raises
    ------
    RunFolderError
        A folder holds no finished run.
    InputError
        The truth can't be used, or a folder is named twice.
    """
    names = [str(folder) for folder in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} given twice; expected each run once")
    evaluations = {}
    for name, folder in zip(names, folders, strict=True):
        run = read_run(folder)
        evaluation = evaluate_run(run, truth, runtime)
        metrics = evaluation.to_dict()
        write_metrics(folder, metrics)
        write_report_file(folder, write_report(report_data(replace(run, metrics=metrics))))
        evaluations[name] = evaluation
    return evaluations
