"""Several embeddings of the same images as one matrix: their columns side by side, each at the same weight.

Whatever takes one embedding takes these too: a cosine between two joined rows is the mean of the cosines in each. What
wants to tell them apart, neighbour graphs and networks that each read another, takes the columns of one.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError


def split_names(embedder: str) -> tuple[str, ...]:
    """The names in "lite0+lite2"; a path that exists is one name, whatever is in it."""
    if "+" not in embedder or Path(embedder).exists():
        return (embedder,)
    names = tuple(name.strip() for name in embedder.split("+"))
    if not all(names):
        raise InputError(f"embedder {embedder!r} given; expected names joined by +, such as lite0+lite2")
    return names


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """A name for each embedding that can be a file's: of a path or a hub's id what comes last, numbered where alike."""
    taken: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.-]", "_", PurePath(name).stem).strip(".") or "embedding"
        numbered = (f"{plain}-{number}" for number in count(2))
        taken.append(next(each for each in chain([plain], numbered) if each not in taken))
    return tuple(taken)


def join(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(n_samples, n_features) unit rows each, as unit rows of all their columns; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    scale = np.float32(1 / np.sqrt(len(parts)))
    return np.concatenate([part * scale for part in parts], axis=1)


def columns(embeddings: Mapping[str, int]) -> dict[str, slice]:
    """Where each embedding stands in the joined rows, by the number of its features."""
    ends = np.cumsum(list(embeddings.values()))
    starts = [0, *ends[:-1]]
    return {name: slice(int(a), int(b)) for name, a, b in zip(embeddings, starts, ends, strict=True)}


def part(features: NDArray[np.float32], where: slice) -> NDArray[np.float32]:
    """The unit rows of one embedding, from the joined ones."""
    rows = features[:, where]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
