"""The run folder: the only package that reads and writes one, and that puts outputs in place.

What is written counts as a whole or not at all, see `whole`; a full disk or an interruption leaves what was there.
"""

from ruc.run_folder.files import (
    check_csv,
    check_file,
    check_new_folder,
    check_writable,
    csv_text,
    explained,
    plain,
    write_csv,
)
from ruc.run_folder.folder import (
    check_output,
    finished_run,
    update_run,
    write_evaluation,
    write_run,
)
from ruc.run_folder.members import REPORT, is_excel_safe
from ruc.run_folder.reading import is_run, read_model, read_run, read_run_and_model
from ruc.run_folder.run import Run
from ruc.run_folder.unfinished import Checkpoints, checkpoints
from ruc.run_folder.whole import Places, finish_outputs, new_folder, new_output, new_outputs
