"""Robust unsupervised clustering: turns a folder of unlabelled images into clusters that can be trusted."""

TYPE_CHECKING = False  # as type checkers know it: importing typing takes as long as all of Python's start
if TYPE_CHECKING:
    from ruc.estimators import ImageClusterer, RobustClusterer
    from ruc.evaluation.evaluate import evaluate
    from ruc.report.notebook import show
    from ruc.run_folder import Run, read_run

    __version__: str

__all__ = ["ImageClusterer", "RobustClusterer", "Run", "evaluate", "read_run", "show"]

_HOMES = {
    "ImageClusterer": "ruc.estimators",
    "RobustClusterer": "ruc.estimators",
    "Run": "ruc.run_folder",
    "evaluate": "ruc.evaluation.evaluate",
    "read_run": "ruc.run_folder",
    "show": "ruc.report.notebook",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: torch alone takes longer than a user waits for --help."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ruc")
    if name not in _HOMES:
        raise AttributeError(f"module 'ruc' has no attribute {name!r}; expected one of {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
