"""The run folder: the only package that reads and writes one.

Every file is written under a temporary name first and renamed when all are complete, so that a
full disk or an interruption leaves what was there before.
"""

from ruc.run_folder.files import check_file, check_writable, explained, replacing, write_csv
from ruc.run_folder.folder import (
    check_output,
    read_model,
    read_run,
    write_check,
    write_figures,
    write_metrics,
    write_report_file,
    write_run,
)
from ruc.run_folder.run import Run, by_file_name
from ruc.run_folder.unfinished import Checkpoints, checkpoints

__all__ = [
    "Checkpoints",
    "Run",
    "by_file_name",
    "check_file",
    "check_output",
    "check_writable",
    "checkpoints",
    "explained",
    "read_model",
    "read_run",
    "replacing",
    "write_check",
    "write_csv",
    "write_figures",
    "write_metrics",
    "write_report_file",
    "write_run",
]
