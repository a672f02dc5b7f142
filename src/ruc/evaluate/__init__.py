"""Measure clusters against the truth: `ruc.evaluate(clusters, truth, …)`, see `ruc.evaluate.evaluate.evaluate`."""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """Importing any module of this package makes it `ruc.evaluate`, where users expect the function: it is both."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from ruc.evaluate.evaluate import evaluate

        return evaluate(*arguments, **keywords)


sys.modules[__name__].__class__ = _CallablePackage
