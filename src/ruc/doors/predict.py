"""New images, or new features, into the clusters of a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.belief.calibration import Calibration, pinned
from ruc.belief.known import Known
from ruc.belief.predictor import Predictor
from ruc.check.checked import LEAST, POSSIBLE
from ruc.check.coverage import possible_clusters
from ruc.edits import before_edits, follow_edits, needs_features
from ruc.embed import embedder_from_state
from ruc.embed.maps import cuts_of, load_blocks, maps_of, stream_images
from ruc.embed.scaling import Scaling, scalings_of
from ruc.embed.several import embed_source, fitted_from_state
from ruc.errors import InputError, UsageError
from ruc.given_features import check_once, load_named
from ruc.images.load import Skipped, check_skipped, load_pixels
from ruc.images.reading import MOST_MEGAPIXELS, Reading
from ruc.images.source import ImageSource, find_images
from ruc.images.survey import survey
from ruc.mapped import row_blocks
from ruc.networks import Cut, State
from ruc.run_folder import Run, read_run_and_model
from ruc.runtime import Runtime
from ruc.side_by_side import join
from ruc.skipped import NewTable
from ruc.tables.embeddings import shard_files

ROWS: Final = 8_192  # of features that are predicted at a time, for the memory
ROWS_EACH: Final = 65_536  # that a thread takes at a time, of features that aren't in shards

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Prediction:
    """Clusters of new samples.

    Attributes
    ----------
    file_names
        Of the images that could be read, or row numbers.
    cluster
        (n_samples,) int64.
    probabilities
        (n_samples, n_clusters) float32, calibrated as in the run, or raw.
    skipped
        (file_name, reason) of the images that couldn't be read.
    features
        (n_samples, n_features) float32 unit-norm rows, where they were asked for or are what was predicted from.
    novelty
        (n_samples,) float32 in [0, 1], see `belief.known`; where the known samples were given.
    """

    file_names: tuple[str, ...]
    cluster: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    skipped: tuple[tuple[str, str], ...] = ()
    features: NDArray[np.float32] | None = None
    novelty: NDArray[np.float32] | None = None


def predict(
    model: Mapping[str, State],
    samples: ImageSource | NDArray[np.generic] | Sequence[NDArray[np.generic]],
    runtime: Runtime,
    max_skipped: float = 0.10,
    with_features: bool = False,
    raw: bool = False,
    known: Known | None = None,
) -> Prediction:
    """Predict new images by a run on images, or (n_samples, n_features) features by a run on features.

    Parameters
    ----------
    model
        Of a finished run: "pair", and "embedder" where the run was on images, "scaling" where it was on features.
    samples
        Images from `find_images`, or a matrix of features, or one of each of several embeddings. Images are read as in
        the run: the same values are black and white, the same page is taken.
    with_features
        Embed the images also where the networks predict from pixels.
    raw
        Whether the probabilities are the networks' own.
    known
        The run's own samples: new ones are as sure as those around them; without them the networks say how sure.

    Raises
    ------
    InputError
        Samples of the wrong kind or width.
    NothingToClusterError
        More than `max_skipped` of the images can't be read.
    """
    predictor = Predictor.from_state(model["pair"], runtime.device)
    needed = with_features or known is not None
    names, logits, skipped, features = _heard(predictor, model, samples, runtime, max_skipped, needed)
    cluster: NDArray[np.int64] = logits.argmax(dim=1).numpy()
    calibration = Calibration() if raw or known is not None else predictor.calibration
    probabilities: NDArray[np.float32] = calibration.apply(logits).numpy()
    if known is None or features is None:
        return Prediction(names, cluster, probabilities, skipped, features)
    around = known.look_around(features, cluster)
    if not raw:
        probabilities = pinned(probabilities, cluster, around.confidence)
    return Prediction(names, cluster, probabilities, skipped, features, around.novelty)


def _heard(
    predictor: Predictor,
    model: Mapping[str, State],
    samples: ImageSource | NDArray[np.generic] | Sequence[NDArray[np.generic]],
    runtime: Runtime,
    max_skipped: float,
    with_features: bool,
) -> tuple[tuple[str, ...], torch.Tensor, tuple[Skipped, ...], NDArray[np.float32] | None]:
    """Names, logits and, where they are needed or made anyway, features of the samples; and what was skipped."""
    about = model["pair"].config
    if not isinstance(samples, ImageSource):
        several = [samples] if isinstance(samples, np.ndarray) else samples
        check_fit(several, model)
        unit = join([scaling(each) for scaling, each in zip(_scalings(model), several, strict=True)])
        return tuple(str(row) for row in range(len(unit))), predictor.logits(torch.from_numpy(unit)), (), unit
    if "embedder" not in model:
        raise InputError("images given for a run on features; expected --features with a .npy")
    rules = Reading.from_config(about)
    larger = max(rules.max_megapixels, samples.reading.max_megapixels)
    source = survey(samples, replace(rules, max_megapixels=larger))
    state = model["embedder"]
    features: NDArray[np.float32] | None = None
    if about["network"]["kind"] == "last blocks":
        logits, rows, lost = _by_blocks(predictor, source, cuts_of(about), runtime, max_skipped)
        if with_features:
            fitted, size = fitted_from_state(state, runtime, None)
            features = embed_source(fitted, source.take(rows), size, runtime, max_skipped).features
    elif about["space"] == "image":
        embedder = embedder_from_state(state)
        images = load_pixels(source, about["image_size"], runtime, max_skipped, embedder.n_channels)
        logits, rows, lost = predictor.logits(torch.from_numpy(images.pixels)), images.indices, images.skipped
        if with_features:
            features = embedder.transform(images.pixels, runtime)
    else:
        fitted, size = fitted_from_state(state, runtime, about["image_size"])
        features, rows, lost = embed_source(fitted, source, size, runtime, max_skipped)
        logits = predictor.logits(torch.from_numpy(features))
    return tuple(source.file_names[row] for row in rows), logits, lost, features


def _by_blocks(
    predictor: Predictor, source: ImageSource, cuts: Sequence[Cut], runtime: Runtime, max_skipped: float
) -> tuple[torch.Tensor, NDArray[np.int64], tuple[Skipped, ...]]:
    """By the retrained blocks of packaged networks, a batch of images at a time."""
    first, _ = load_blocks(cuts, runtime)
    lost: list[Skipped] = []
    logits, rows = [], [np.empty(0, np.int64)]
    for batch in stream_images(source, cuts[0], runtime):
        lost.extend(batch.skipped)
        if len(batch.indices):
            logits.append(predictor.logits(maps_of(batch, first, runtime)))
            rows.append(batch.indices)
    check_skipped(lost, len(source), max_skipped)
    return torch.cat(logits), np.concatenate(rows), tuple(lost)


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as what new samples are given to.

    Attributes
    ----------
    run
        As it is, edits and all.
    model
        See `predict`.
    known
        Its own samples.
    """

    run: Run
    model: Mapping[str, State]
    known: Known

    @classmethod
    def read(cls, folder: Path) -> "FinishedRun":
        """The run in a folder."""
        run, model = read_run_and_model(folder)
        before = before_edits(run)
        return cls(run, model, Known(before.features, before.cluster, before.confidence))

    def predict(
        self,
        samples: ImageSource | Sequence[NDArray[np.generic]],
        runtime: Runtime,
        max_skipped: float = 0.10,
        raw: bool = False,
    ) -> Prediction:
        """The clusters of new samples, as they were edited; see `predict`."""
        with_features = needs_features(self.run)
        prediction = predict(self.model, samples, runtime, max_skipped, with_features, raw, self.known)
        cluster, probabilities = follow_edits(self.run, prediction.probabilities, prediction.features)
        return replace(prediction, cluster=cluster, probabilities=probabilities)

    def table_of_rows(
        self,
        features: Sequence[NDArray[np.generic]],
        names: Sequence[str],
        runtime: Runtime,
        raw: bool = False,
        most_novel: float | None = None,
    ) -> Columns:
        """The table of rows of features, of several embeddings one array each, predicted a few rows at a time.

        `names`: what each row is called.
        """
        check_fit(features, self.model)
        tables = []
        for part in row_blocks(features[0], ROWS):
            predicted = self.predict([each[part] for each in features], runtime, raw=raw)
            tables.append(self.table(replace(predicted, file_names=tuple(names[part])), most_novel))
        return _joined(tables)

    def table(self, prediction: Prediction, most_novel: float | None = None) -> Columns:
        """Columns: `file_name, cluster, confidence, novelty`, names and possible clusters where the run has some.

        Of samples whose novelty is above `most_novel` all but name and novelty is None.
        """
        assert prediction.novelty is not None
        cluster, probabilities = prediction.cluster, prediction.probabilities
        confidence = probabilities[np.arange(len(cluster)), cluster]
        columns: dict[str, list[Any]] = {"cluster": cluster.tolist(), "confidence": confidence.tolist()}
        names = self.run.cluster_names
        if self.run.has_names:
            columns["cluster_name"] = [names[number] for number in cluster]
        if LEAST in self.run.notes:
            columns[POSSIBLE] = possible_clusters(probabilities, self.run.notes[LEAST], names).tolist()
        if most_novel is not None:
            is_new = prediction.novelty > most_novel
            for name, values in columns.items():
                columns[name] = [None if new else value for new, value in zip(is_new, values, strict=True)]
        columns |= {"file_name": list(prediction.file_names), "novelty": prediction.novelty.tolist()}
        return {heading: columns[heading] for heading in self.headings}

    @property
    def headings(self) -> tuple[str, ...]:
        """Of that table's columns."""
        names = ("cluster_name",) if self.run.has_names else ()
        possible = (POSSIBLE,) if LEAST in self.run.notes else ()
        return ("file_name", "cluster", "confidence", "novelty", *names, *possible)


@dataclass(frozen=True)
class Request:
    """What a finished run is asked for.

    Attributes
    ----------
    run
        Its folder.
    source, features
        New images, a folder or a table; or files of features, of several embeddings one each.
    raw
        Whether confidence is the networks' own.
    most_novel
        Samples whose novelty is above this get no cluster; None: all get one.
    max_skipped
        Largest share of the images that may be unreadable.
    max_megapixels
        Larger images are skipped, but for those that the run took.

    Raises
    ------
    UsageError
        Neither images nor features, or both.
    """

    run: Path
    source: str | None = None
    features: tuple[str, ...] = ()
    raw: bool = False
    most_novel: float | None = None
    max_skipped: float = 0.10
    max_megapixels: float = MOST_MEGAPIXELS

    def __post_init__(self) -> None:
        if (self.source is None) == (not self.features):
            raise UsageError(
                "expected either new images or --features, and one of them: ruc predict run/ new_photos/"
            )

    @property
    def reading(self) -> Reading:
        """How large an image may be; the run knows the rest."""
        return Reading(max_megapixels=self.max_megapixels)

    @property
    def images(self) -> ImageSource | None:
        """The images, where some were given."""
        return None if self.source is None else find_images(self.source).read_by(self.reading)


@dataclass(frozen=True)
class Predicted:
    """What was written: how many samples, and (file_name, reason) of the images left out."""

    n_samples: int
    skipped: tuple[tuple[str, str], ...] = ()


def predict_to_csv(request: Request, output: NewTable, runtime: Runtime) -> Predicted:
    """The door `ruc predict`: write `file_name, cluster, confidence, novelty`, and names if clusters have some."""
    output.check(request.features or (str(request.source),))
    finished, images = FinishedRun.read(request.run), request.images
    skipped: tuple[tuple[str, str], ...] = ()
    if images is None:
        columns = _table_of_files(finished, request, runtime)
    else:
        prediction = finished.predict(images, runtime, request.max_skipped, request.raw)
        columns, skipped = finished.table(prediction, request.most_novel), prediction.skipped
    output.write(list(columns), zip(*columns.values(), strict=True), skipped)
    return Predicted(len(columns["file_name"]), skipped)


@dataclass(frozen=True)
class _Rows:
    """Rows of features, of several embeddings one array each, and what they are called, or None."""

    values: tuple[NDArray[np.generic], ...]
    names: tuple[str, ...] | None

    @classmethod
    def read(cls, paths: Sequence[Path]) -> "_Rows":
        """All rows of these files, of each embedding one."""
        loaded = [load_named(path) for path in paths]
        named = {each.row_names for each in loaded if each.row_names is not None}
        if len(named) > 1:
            raise InputError(
                f"{' and '.join(map(str, paths))} name their rows differently; expected the same samples in the same "
                "order"
            )
        return cls(tuple(each.values for each in loaded), next(iter(named), None))

    def part(self, rows: slice) -> "_Rows":
        """Some of them."""
        return _Rows(
            tuple(each[rows] for each in self.values), None if self.names is None else self.names[rows]
        )


def _table_of_files(finished: FinishedRun, request: Request, runtime: Runtime) -> Columns:
    """The table of features in files: of a folder a shard at a time, as many side by side as there are threads.

    While one thread reads, another computes; what is held is their shards and the table.
    """
    paths = [Path(path) for path in request.features]
    if len(paths) == 1 and paths[0].is_dir():
        pieces = [partial(_Rows.read, [shard]) for shard in shard_files(paths[0])]
    else:
        whole = _Rows.read(paths)
        check_fit(whole.values, finished.model)
        pieces = [partial(whole.part, rows) for rows in row_blocks(whole.values[0], ROWS_EACH)]

    def table_of(piece: partial[_Rows]) -> tuple[bool, Columns]:
        rows = piece()
        names = rows.names or ("",) * len(rows.values[0])
        table = finished.table_of_rows(rows.values, names, runtime, request.raw, request.most_novel)
        return rows.names is not None, table

    with runtime.side_by_side(2) as run:
        done: list[tuple[bool, Columns]] = list(run(table_of, pieces))
    if len({is_named for is_named, _ in done}) > 1:
        raise InputError(
            f"--features {paths[0]}: some shards have a column of file names, and others have none"
        )
    columns = _joined([table for _, table in done])
    if done[0][0]:
        check_once(paths[0], columns["file_name"])
        return columns
    return {**columns, "file_name": list(map(str, range(len(columns["file_name"]))))}


def _joined(tables: Sequence[Columns]) -> Columns:
    return {name: [value for table in tables for value in table[name]] for name in tables[0]}


def check_fit(features: Sequence[NDArray[np.generic]], model: Mapping[str, State]) -> None:
    """Raise `InputError` unless a run has learned from such features, and of all embeddings as many rows are given."""
    widths = [scaling.n_features for scaling in _scalings(model)]
    is_of_features = model["pair"].config["space"] == "feature"
    if not is_of_features or [each.shape[1:] for each in features] != [(width,) for width in widths]:
        given = " and ".join(str(each.shape) for each in features)
        expected = " and ".join(f"(n_samples, {width})" for width in widths)
        raise InputError(f"features of shape {given} given; expected {expected} as in the run")
    if len({len(each) for each in features}) > 1:
        rows = ", ".join(str(len(each)) for each in features)
        raise InputError(f"features of {rows} rows given; expected as many in each: of the same samples")


def _scalings(model: Mapping[str, State]) -> tuple[Scaling, ...]:
    """Those of the run, or one that leaves directions as they are."""
    return scalings_of(model) or (Scaling(model["pair"].config["network"].get("n_features")),)
