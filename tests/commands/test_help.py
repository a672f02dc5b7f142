"""Help: every command in a group, with examples that its own options accept; and completion."""

import shlex

import pytest
import typer
from typer.testing import CliRunner

import ruc.cli
from ruc.commands.help import EXAMPLES

COMMANDS = {command.__name__.rstrip("_") for command in ruc.cli.COMMANDS}


def help_of(*arguments: str) -> str:
    result = CliRunner().invoke(ruc.cli.app, [*arguments, "--help"], prog_name="ruc", env={"COLUMNS": "100"})
    assert result.exit_code == 0
    return result.output


def test_commands_are_listed_by_purpose() -> None:
    sections = [line[:-1] for line in help_of().splitlines() if line.endswith(":") and line[0].isalpha()]
    assert sections == ["Options", *ruc.cli.GROUPS]


@pytest.mark.parametrize("name", sorted(COMMANDS - {"weights"}))
def test_examples_are_shown_and_accepted(name: str) -> None:
    group = typer.main.get_command(ruc.cli.app)
    shown = help_of(name).partition("Examples:\n")[2]
    assert shown.split("\n") == [*(f"  {line}" for line in EXAMPLES[name]), ""]
    for line in EXAMPLES[name]:
        ruc_, command, *arguments = shlex.split(line)
        assert (ruc_, command) == ("ruc", name)
        group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]  # raises where one is wrong


def test_many_options_are_grouped_and_few_are_not() -> None:
    assert "\nMethod:\n" in help_of("cluster") and "\nConstants of RUC:\n" in help_of("refine")
    assert "\nRepetition and machine:" not in help_of("nearest")


def test_the_shell_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"_RUC_COMPLETE": "complete_bash", "COMP_WORDS": "ruc cu", "COMP_CWORD": "1"}
    result = CliRunner().invoke(ruc.cli.app, [], prog_name="ruc", env=environment)
    assert result.output.split() == ["cut"]
