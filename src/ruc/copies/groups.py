"""Groups of copies, and which image of each is worth keeping."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ruc.copies.pairs import Pairs
from ruc.copies.pictures import Pictures


@dataclass(frozen=True)
class Group:
    """Images that show the same picture.

    Attributes
    ----------
    rows
        The keeper first, then the others by name.
    similarity
        (len(rows),) of each to another of the group, at best; 1 for the keeper.
    change
        How each differs from the keeper, or from the one that joins it to the group; "" for the keeper.
    """

    rows: tuple[int, ...]
    similarity: tuple[float, ...]
    change: tuple[str, ...]


def make_groups(pictures: Pictures, pairs: Pairs) -> list[Group]:
    """Join pairs to groups, the largest first; the keeper has most pixels, then the sharpest, then comes first."""
    n = len(pictures.file_names)
    joined = coo_array((np.ones(len(pairs.first)), (pairs.first, pairs.second)), shape=(n, n))
    _, group_of = connected_components(joined, directed=False)
    members: dict[int, list[int]] = {}
    for row in np.unique(np.concatenate([pairs.first, pairs.second])).tolist():
        members.setdefault(int(group_of[row]), []).append(row)
    links: dict[int, list[tuple[int, float, str]]] = {}
    for a, b, similarity, change in zip(
        pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), pairs.change, strict=True
    ):
        links.setdefault(a, []).append((b, similarity, change))
        links.setdefault(b, []).append((a, similarity, change))
    groups = [_group(rows, links, pictures) for rows in members.values()]
    return sorted(groups, key=lambda group: (-len(group.rows), pictures.file_names[group.rows[0]]))


def _group(rows: list[int], links: dict[int, list[tuple[int, float, str]]], pictures: Pictures) -> Group:
    keeper = min(rows, key=lambda row: _worth(row, pictures))
    others = sorted((row for row in rows if row != keeper), key=lambda row: pictures.file_names[row])
    # To the keeper where they are a pair, else to the one it is most alike.
    nearest = [max(links[row], key=lambda link: (link[0] == keeper, link[1])) for row in others]
    return Group(
        (keeper, *others),
        (1.0, *(similarity for _, similarity, _ in nearest)),
        ("", *(change for *_, change in nearest)),
    )


def _worth(row: int, pictures: Pictures) -> tuple[int, float, str]:
    """Smallest is best."""
    n_pixels = int(pictures.width[row] * pictures.height[row])
    return -n_pixels, -float(pictures.sharpness[row]), pictures.file_names[row]
