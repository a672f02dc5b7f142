"""What both estimators make of their parameters."""

import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import Literal

import numpy as np
from sklearn.utils import check_random_state

from ruc.errors import ClusterWarning, InputError, shown
from ruc.refine.settings import RefineSettings

Constants = RefineSettings | Literal["paper"] | None


def constants_of(settings: object) -> RefineSettings:
    """What the parameter `settings` stands for."""
    if settings is None:
        return RefineSettings()
    if isinstance(settings, RefineSettings):
        return settings
    if isinstance(settings, str) and settings == "paper":
        return RefineSettings.paper()
    raise InputError(
        f"settings={shown(settings)} given; expected RefineSettings(…), 'paper' or None: RefineSettings(n_epochs=20) "
        "changes one constant"
    )


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """The seed of one fit: the integer itself; else another for each fit."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def warn_of(texts: Iterable[str]) -> None:
    """Of each thing that may need a hand, as from the line that called `fit`."""
    for text in texts:
        warnings.warn(text, ClusterWarning, stacklevel=3)
