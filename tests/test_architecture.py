"""Imports go one way, the truth stays in `evaluation`, and only the command line prints."""

import ast
import gc
import itertools
import re
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ruc"
MODULES = {
    path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", "."): path
    for path in SOURCE.rglob("*.py")
}

# What each part may import of the others. A part that isn't named here joins them (the pipeline, the estimators,
# …) and may import anything but the command line.
FOUNDATION = {
    "declared", "errors", "mapped", "plain_file", "principal", "readers", "runtime", "progress", "side_by_side",
    "torchrun",
}  # fmt: skip
MAY_IMPORT = {
    "errors": set(),
    "declared": {"errors"},
    "plain_file": set(),
    "torchrun": set(),
    "readers": {"errors", "mapped", "plain_file"},
    "runtime": {"errors"},
    "mapped": set(),
    "principal": set(),
    "progress": set(),
    "side_by_side": {"errors"},
    "tables": FOUNDATION,
    "images": FOUNDATION | {"tables"},
    "networks": FOUNDATION,
    "labels": FOUNDATION | {"tables"},
    "neighbors": FOUNDATION | {"labels"},
    "embed": FOUNDATION | {"images", "networks", "neighbors"},
    "cluster": FOUNDATION | {"images", "networks", "embed", "neighbors", "labels"},
    "refine": FOUNDATION | {"images", "networks", "neighbors", "labels"},
    "belief": FOUNDATION | {"networks", "neighbors", "labels", "cluster", "refine"},
    "repair": FOUNDATION | {"networks", "neighbors", "labels", "refine", "belief"},
    "run_folder": FOUNDATION | {"images", "networks", "tables"},
    "cli": {"errors", "last_line", "commands"},
    "__main__": {"cli", "last_line"},
    "evaluation": FOUNDATION | {
        "images", "networks", "neighbors", "labels", "embed", "cluster", "refine", "belief", "run_folder", "edits",
        "tables",
    },
}  # fmt: skip
COMMAND_LINE = {"cli", "commands"}
EXPLAINED = {"refine", "belief", "cluster", "neighbors"}
METHOD = {
    "tables", "repair", "refine", "belief", "cluster", "labels", "neighbors", "embed", "images", "networks",
}  # fmt: skip
FIT = METHOD | {
    "runtime", "readers", "embedding", "embedded_views", "given_features", "balanced_sample", "initial_clustering",
    "fingerprint", "pipeline", "estimators",
}  # fmt: skip
SCORING_NAMES = {
    "linear_sum_assignment", "accuracy_score", "normalized_mutual_info_score", "adjusted_rand_score",
    "contingency_matrix", "confusion_matrix", "match_clusters",
}  # fmt: skip


RUN_FILES = {
    "clusters.parquet", "probabilities.npy", "features.npy", "history.csv", "skipped.csv", "review.csv", "notes.json",
    "metrics.json", ".checkpoints",
}  # fmt: skip


def part_of(module):
    return module.split(".")[0]


@cache
def parsed(path):
    # Python 3.11.7 counts the depth of all threads together: one that is let in while objects are collected raises
    # SystemError here.
    gc.disable()
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()


def imports_of(path, module):
    """Absolute names of all that a file imports, at its top or inside functions."""
    package = ["ruc", *module.split(".")[:-1]]  # of `refine.ruc` and of `refine.__init__` alike
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def own_parts(path, module):
    for name in imports_of(path, module):
        first, _, rest = name.partition(".")
        if first == "ruc" and rest:
            yield part_of(rest)


@cache
def imported_parts():
    """Module to the parts it imports, directly."""
    return {module: set(own_parts(path, module)) for module, path in MODULES.items()}


def top_level_graph():
    """Part to parts it imports, directly."""
    graph = {}
    for module, parts in imported_parts().items():
        graph.setdefault(part_of(module), set()).update(parts)
    return graph


def found_in(wrong):
    """Of what was found in each module, those in which something was."""
    return {module: sorted(found) for module, found in wrong.items() if found}


def reachable(graph, start):
    found, ahead = set(), [start]
    while ahead:
        for part in graph.get(ahead.pop(), set()) - found:
            found.add(part)
            ahead.append(part)
    return found


def test_imports_go_one_way():
    wrong = {}
    for module, imported in imported_parts().items():
        others = imported - {part_of(module)}
        wrong[module] = others - MAY_IMPORT.get(part_of(module), others - COMMAND_LINE)
    assert not found_in(wrong)


def test_no_parts_import_each_other_in_a_circle():
    graph = top_level_graph()
    circles = [
        part for part in graph if any(part in reachable(graph, other) for other in graph[part] - {part})
    ]
    assert not circles


def test_training_never_reaches_evaluation_or_report_even_indirectly():
    beyond = {"evaluation", "report", "cli", "commands", "pipeline", "estimators"}
    assert not found_in({part: reachable(top_level_graph(), part) & beyond for part in METHOD})


def test_no_scoring_is_within_reach_of_fit():
    wrong = {}
    for module, path in MODULES.items():
        if part_of(module) in FIT:
            imported = {
                name
                for name in imports_of(path, module)
                if name.split(".")[-1] in SCORING_NAMES or name.startswith(("ruc.evaluation", "torchmetrics"))
            }
            names = {node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
            wrong[module] = imported | names & SCORING_NAMES
    assert not found_in(wrong)


def test_what_fit_loads_holds_no_scoring_and_no_compiler():
    """The same at run time: all under `fit` imported, nothing of `evaluation` is there; after a fit no TorchDynamo."""
    import subprocess
    import sys

    names = [f"ruc.{module}" for module in sorted(MODULES) if part_of(module) in METHOD]
    names = [name.removesuffix(".__init__") for name in names]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print([name for name in sys.modules if name.startswith(('ruc.evaluation', 'ruc.report'))])\n"
        "import numpy as np\nfrom ruc import RobustClusterer\n"
        "rows = np.random.default_rng(0).normal(size=(60, 4)) + 4 * np.eye(4)[np.arange(60) % 4]\n"
        "RobustClusterer(4, random_state=0).fit(rows)\nprint('torch._dynamo' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["[]", "False"]


def test_only_the_command_line_prints():
    lines = {}
    for module in MODULES.keys() - {"cli"}:
        calls = [node for node in ast.walk(parsed(MODULES[module])) if isinstance(node, ast.Call)]
        names = [(call.func.id, call.lineno) for call in calls if isinstance(call.func, ast.Name)]
        lines[module] = [line for name, line in names if name == "print"]
    assert not found_in(lines)


def test_the_run_folder_is_read_and_written_in_one_place():
    known = {}
    for module, path in MODULES.items():
        if part_of(module) != "run_folder":
            texts = {node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)}
            known[module] = texts & RUN_FILES
    assert not found_in(known)


def numeric_constants(path):
    """(line, name) of each number, or tuple of numbers, that a module names."""

    def is_number(node):
        if isinstance(node, ast.Constant):
            return type(node.value) in (int, float)
        return isinstance(node, ast.UnaryOp | ast.BinOp | ast.Tuple) and all(
            is_number(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)
        )

    for node in parsed(path).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_number(node.value):
            yield node


def is_explained(node, lines):
    """Whether a comment stands on its lines, or over it and what stands right above it."""
    if any("#" in line for line in lines[node.lineno - 1 : node.end_lineno]):
        return True
    above = itertools.takewhile(
        lambda line: line[:1] == "#" or line[:1].isupper(), lines[node.lineno - 2 :: -1]
    )
    return any(line.startswith("#") for line in above)


def test_every_constant_of_the_method_says_why_it_is_what_it_is():
    bare = {}
    for module, path in MODULES.items():
        if part_of(module) in EXPLAINED:
            lines = path.read_text(encoding="utf-8").splitlines()
            bare[module] = [
                ast.unparse(node) for node in numeric_constants(path) if not is_explained(node, lines)
            ]
    assert not found_in(bare), "a section of experiments/LOG.md, a source, or what they bound is needed"


def test_a_bare_constant_is_seen(tmp_path):
    path = tmp_path / "m.py"
    text = "A = 1  # why\n# why\nB, C = 2, -3.0\n\nD = 4 * 5\nE = 'x'\nF: int = 6\n"
    path.write_text(text)
    found = list(numeric_constants(path))
    bare = [ast.unparse(node) for node in found if not is_explained(node, text.splitlines())]
    assert (len(found), bare) == (4, ["D = 4 * 5", "F: int = 6"])


def test_the_readme_shows_the_tree():
    readme = (SOURCE.parents[1] / "README.md").read_text(encoding="utf-8")
    tree = readme.partition("```\nsrc/ruc/\n")[2].partition("```")[0]
    shown = [name for line in tree.splitlines() for name in re.findall(r"^  [\w./, ]+?(?=  )", line + "  ")]
    shown = sorted(name.strip(" /") for names in shown for name in names.split(","))
    there = {
        path.name for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert shown == sorted(there - {"__init__.py", "__main__.py"})


@pytest.mark.parametrize(
    ("text", "module", "expected"),
    [
        ("import ruc.evaluation.metrics", "refine.x", ["ruc.evaluation.metrics"]),
        ("def f():\n    from ruc.report import report", "refine.x", ["ruc.report.report"]),
        ("from ..evaluation import metrics", "refine.x", ["ruc.evaluation.metrics"]),
        ("from . import targets", "refine.x", ["ruc.refine.targets"]),
        ("from ruc import evaluation", "refine.x", ["ruc.evaluation"]),
        ("from .. import evaluation", "refine.__init__", ["ruc.evaluation"]),
    ],
)
def test_the_reader_of_imports_sees_every_form(tmp_path, text, module, expected):
    path = tmp_path / f"{module.split('.')[-1]}.py"
    path.write_text(text)
    assert list(imports_of(path, module)) == expected
