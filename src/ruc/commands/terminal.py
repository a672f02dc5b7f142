"""What all commands print by."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from ruc.errors import visible


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the header."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(content: Any) -> None:
    """Print what a program reads: whole, in ASCII, paths as text."""
    typer.echo(json.dumps(content, indent=1, default=str))


def set_logging(quiet: bool) -> None:
    """What is said beside results: progress, unless it shall be quiet, and nothing of other libraries."""
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s", force=True)
    for library in ("httpx", "urllib3", "fontTools", "matplotlib", "PIL", "transformers", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it can't read is listed with a reason
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(
        logging.ERROR if quiet else logging.WARNING
    )  # of other libraries


def print_edited(folder: Path, run: Any, undone: bool = False) -> None:
    """What an edited run is now, and where its report is."""
    from ruc.summary import edited_lines

    typer.echo("\n".join(edited_lines(run)))
    hint = "" if undone else f"   (ruc undo {folder} takes it back)"
    typer.echo(f"report: {folder / 'report.html'}{hint}")
