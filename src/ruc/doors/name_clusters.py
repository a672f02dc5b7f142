"""The door `ruc name`: clusters are called by the words that fit their images best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.doors.edit_folder import edit_folder
from ruc.edits import UNWRITABLE, Edit
from ruc.edits.by_words import Proposal, check_words, propose_names, unnamed_clusters
from ruc.embed.image_text import ImageTextModel, load_image_text
from ruc.errors import InputError, UsageError
from ruc.images.reading import Reading
from ruc.images.source import ImageSource, find_images
from ruc.readers import load_text
from ruc.run_folder import Run
from ruc.runtime import Runtime

PROMPT: Final = "a photo of a {}"  # CLIP's (Radford et al. 2021, section 3.1.4)
MOST_IMAGES: Final = 100  # of a cluster: the mean of so many is off by a tenth of what its images differ by


@dataclass(frozen=True)
class Named:
    """A run after its clusters were called by words, and what was found for each that had no name."""

    run: Run
    proposals: tuple[Proposal, ...]


def name_clusters(
    folder: Path,
    words: Path,
    model: Path,
    runtime: Runtime,
    prompt: str = PROMPT,
    images: Path | None = None,
) -> Named:
    """Call each cluster without a name by the word that fits it best, as an edit that can be taken back.

    A cluster that no word fits clearly, or whose word another one has, keeps its number.

    Parameters
    ----------
    words
        A text file, one word or short phrase a line.
    prompt
        The text that a word is put into, in place of {}.
    images
        Where the images are now, if not where the run found them.

    Raises
    ------
    InputError
        The words can't be used, the images aren't there, or all clusters have names.
    WeightsError
        The folder holds no such model.
    """
    if prompt.count("{}") != 1:
        raise UsageError(
            f"--prompt {prompt!r} given; expected a text with {{}} once, where the word goes: {PROMPT!r}"
        )
    candidates = read_words(words)
    found: list[Proposal] = []

    def edits(run: Run) -> list[Edit]:
        check_words(run, candidates)
        rows = _drawn(run, unnamed_clusters(run), runtime)
        source = _images(run, images)
        towers = load_image_text(model, runtime)
        texts = towers.texts([prompt.replace("{}", word) for word in candidates])
        logits = _logits(run, rows, source, towers, texts, runtime)
        found[:] = propose_names(run, candidates, logits)
        return [edit for one in found for edit in one.renames]

    edited = edit_folder(folder, f"name {words} {model} {prompt!r}", edits)
    return Named(edited, tuple(found))


def read_words(path: Path) -> tuple[str, ...]:
    """The words in a text file, one a line, each once; capitals make no other word.

    Raises
    ------
    InputError
        It can't be read, has less than two, or control characters.
    """
    lines = load_text(path, "a list of words").splitlines()
    found: dict[str, str] = {}
    for word in map(str.strip, lines):
        if UNWRITABLE.search(word):
            raise InputError(f"{path} has {word[:40]!a}; expected a text file of words, one a line")
        if word:
            found.setdefault(word.casefold(), word)
    if len(found) < 2:
        raise InputError(
            f"{path} has {len(found)} different words; expected at least two, one a line, to tell which fits better"
        )
    return tuple(found.values())


def _drawn(run: Run, clusters: Sequence[int], runtime: Runtime) -> NDArray[np.int64]:
    """Rows of these clusters, some of each by chance where it is large."""
    random = np.random.default_rng(runtime.numpy_seed("words"))
    members = [np.flatnonzero(run.cluster == cluster) for cluster in clusters]
    return np.sort(np.concatenate([random.permutation(rows)[:MOST_IMAGES] for rows in members]))


def _images(run: Run, images: Path | None) -> ImageSource:
    source = images or run.settings.get("source")
    if source is None:
        raise InputError(
            "the run was made from features or arrays; expected one on image files, which words are compared with: "
            "say where the images are: --images"
        )
    return find_images(source).read_by(Reading.from_config(run.settings))


def _logits(
    run: Run,
    rows: NDArray[np.int64],
    source: ImageSource,
    towers: ImageTextModel,
    texts: NDArray[np.float32],
    runtime: Runtime,
) -> NDArray[np.float64]:
    """(n_clusters, n_words) in the mean over the images of a cluster that are there; NaN where none is."""
    place_of = {name: place for place, name in enumerate(source.file_names)}
    there = np.array([row for row in rows.tolist() if run.file_names[row] in place_of], np.int64)
    if len(there) == 0:
        raise InputError(
            f"none of the run's images is in {source.file_names[0]!r}'s folder; expected the images of the run: "
            "say where they are: --images"
        )
    places = np.array([place_of[run.file_names[row]] for row in there.tolist()], np.int64)
    embedded = towers.images.embed(source.take(places), runtime)
    cluster = run.cluster[there[embedded.indices]]
    logits = np.full((run.n_clusters, len(texts)), np.nan)
    for one in np.unique(cluster).tolist():
        logits[one] = towers.scale * (
            embedded.features[cluster == one].mean(axis=0, dtype=np.float64) @ texts.T
        )
    return logits
