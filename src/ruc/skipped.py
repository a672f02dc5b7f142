"""Images that could not be read, named in a table beside what came of the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruc.run_folder import check_csv, check_file, finish_outputs, new_outputs, write_csv


@dataclass(frozen=True)
class NewTable:
    """A CSV to write, with a table of what couldn't be read beside it; both are there in the end, or neither.

    Attributes
    ----------
    path
        Of the CSV.
    overwrite
        Whether files that are there may be replaced.
    excel_safe
        Whether text that spreadsheets take for formulas is quoted.
    """

    path: Path
    overwrite: bool = False
    excel_safe: bool = False

    def check(self, inputs: Iterable[str | Path]) -> None:
        """Raise before the work what would keep it from being written, or where it would replace an input."""
        finish_outputs(self.path)
        check_csv(self.path, inputs, self.overwrite)
        check_file(skipped_file(self.path), inputs, self.overwrite)

    def write(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], skipped: Sequence[tuple[str, str]]
    ) -> None:
        """Put both in place."""
        with new_outputs(self.path, [skipped_file(self.path)]) as new:
            write_csv(new / self.path.name, columns, rows, self.excel_safe)
            write_skipped(new / self.path.name, skipped, self.excel_safe)


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
