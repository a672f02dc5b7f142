"""Writes `command_line.md` from the commands themselves, so that it cannot drift: a test compares them."""

from pathlib import Path

from typer.testing import CliRunner

import ruc.cli

PAGE = Path(__file__).with_name("command_line.md")
COMMANDS = tuple(command.__name__.rstrip("_") for command in ruc.cli.COMMANDS)
OPENING = """# Command line

<!-- Written by docs/generate_cli.py: change the commands in src/ruc/commands/, then run `make docs`. -->

Every command ends with 0 when it is done, with 1 when it can't be done (one line says what was given, what was expected
and what to do), with 2 when it was called wrongly, and with 130 when it was interrupted (Ctrl-C).
`--debug` shows the traceback of an error. Tables come as JSON with `--json`.

`ruc --install-completion` makes the shell complete commands and options (bash, zsh, fish, PowerShell; from the next
shell on), and `ruc --show-completion` prints what it would install.
"""


def help_text(*command: str) -> str:
    """What `ruc COMMAND --help` prints on a terminal of 80 columns."""
    result = CliRunner().invoke(ruc.cli.app, [*command, "--help"], prog_name="ruc", env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output.strip()


def page() -> str:
    """The whole page as Markdown."""
    parts = [OPENING, f"```text\n{help_text()}\n```\n"]
    parts += [f"## ruc {command}\n\n```text\n{help_text(command)}\n```\n" for command in COMMANDS]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
