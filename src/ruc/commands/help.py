"""How help is laid out: commands by what they are for, many options in groups, and examples below."""

import re
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

from ruc.torchrun import is_first

LISTS: Final = re.compile(r"<list\[(\w+)\]>")
DIVIDED: Final = ("cluster", "refine", "demo")  # in which other processes take part, see ruc.refine.processes
FEW: Final = 12  # options that are read at a glance, so that groups would only spread them

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "cluster": (
        "ruc cluster photos/ -k 10 -o run/",
        "ruc cluster photos/ -k 5:50 --embedder lite0+lite2 -o run/",
        "ruc cluster --features features.npy -k 10 -o run/",
    ),
    "refine": (
        "ruc refine photos/ --labels labels.csv -o run/",
        "ruc refine --features features.npy --labels labels.csv -o run/",
    ),
    "predict": ("ruc predict run/ new_photos/ -o new.csv", "ruc predict run/ new_photos/ --most-novel 99%"),
    "evaluate": (
        "ruc evaluate run/ --truth truth.csv",
        "ruc evaluate first/ second/ --truth truth.csv --json",
    ),
    "embed": ("ruc embed photos/ -o features.npy", "ruc embed photos/ -o features/ --embedder lite2"),
    "cache": ("ruc cache", "ruc cache .ruc_cache --clear"),
    "demo": ("ruc demo -o demo/",),
    "open": ("ruc open run/",),
    "merge": ("ruc merge run/ sky 3",),
    "split": ("ruc split run/ 2 --parts 3",),
    "rename": ("ruc rename run/ 0 sky",),
    "name": ("ruc name run/ --words words.txt --model siglip/",),
    "check": ("ruc check run/ --n 50",),
    "apply": ("ruc apply run/ edits.json", "ruc apply run/ answers.csv --coverage 90%"),
    "undo": ("ruc undo run/",),
    "update": ("ruc update run/ photos/", "ruc update run/ --new-clusters 2"),
    "cut": ("ruc cut run/ -k 25 -o finer/",),
    "nearest": ("ruc nearest run/ photo.jpg --n 5", "ruc nearest run/ a.jpg b.jpg --json"),
    "pick": ("ruc pick run/ -n 200 --by balanced -o picked/",),
    "compare": ("ruc compare run/ other_run/ -o moved.csv",),
    "info": ("ruc info run/", "ruc info run/ --json"),
    "copies": ("ruc copies photos/ -o copies.csv",),
    "leaks": ("ruc leaks train/ test/ -o leaks.csv",),
    "export": (
        "ruc export run/ --to folders -o sorted/",
        "ruc export run/ --to label-studio --image-root s3://bucket/photos/",
    ),
}


class Command(TyperCommand):
    """Its options in groups where they are many, and examples at the end.

    Of what is repeated it says what each one is: `<path>`, not `<list[Path]>`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run it; of several processes that `torchrun` started the first does what can't be divided."""
        return super().invoke(ctx) if ctx.info_name in DIVIDED or is_first() else None

    def get_help(self, ctx: Any) -> str:
        """The text of `--help`."""
        # as wide as before, since columns are aligned already
        return LISTS.sub(lambda found: f"<{found[1].lower()}>".ljust(len(found[0])), super().get_help(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments first, then the options, each in its group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        params = self.get_params(ctx)
        are_few = sum(param.param_type_name == "option" for param in params) <= FEW
        for param in params:
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                title = "Arguments"
            else:
                title = "Options" if are_few else getattr(param, "rich_help_panel", None) or "Options"
            groups.setdefault(title, []).append(record)
        for title in sorted(
            groups,
            key=lambda title: (
                ("Arguments", "Options").index(title) if title in ("Arguments", "Options") else 2
            ),
        ):
            with formatter.section(title):
                formatter.write_dl(groups[title])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples."""
        examples = EXAMPLES.get(self.name or "")
        if examples:
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(TyperGroup):
    """Its commands by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section for each purpose."""
        widest = max(len(name) for name in self.list_commands(ctx))
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            assert command is not None
            text = command.get_short_help_str(formatter.width - 6 - widest)
            title = getattr(command, "rich_help_panel", None) or "Commands"
            groups.setdefault(title, []).append((name.ljust(widest), text))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)
