"""Images that could not be read, named in a table beside what came of the others."""

from collections.abc import Sequence
from pathlib import Path

from ruc.run_folder import write_csv


def skipped_file(output: Path) -> Path:
    """Where they are named: `new_skipped.csv` beside `new.csv`, and `_unreadable.csv` in a folder of shards."""
    if output.suffix == "":  # readers of Parquet folders pass over what begins with _
        return output / "_unreadable.csv"
    return output.with_name(f"{output.stem}_skipped.csv")


def write_skipped(output: Path, skipped: Sequence[tuple[str, str]], excel_safe: bool = False) -> None:
    """Write `file_name, reason`; where nothing was skipped there is no table."""
    if skipped:
        write_csv(skipped_file(output), ("file_name", "reason"), skipped, excel_safe)


def skipped_note(output: Path, skipped: Sequence[tuple[str, str]]) -> str:
    """What the command line says of them: nothing where there are none."""
    return f", {len(skipped)} skipped ({skipped_file(output)} says why)" if skipped else ""
