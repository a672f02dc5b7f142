"""The stages in order: images → embedding → initial clustering → two networks retrained → a run folder.

Data flows one way: each stage takes what the one before returned. An interrupted run goes on from the
checkpoints of the stages that were finished.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ruc.balanced_sample import balanced_sample
from ruc.cache import Cache
from ruc.cluster.inputs import check_different
from ruc.embed.scaling import scaling_states
from ruc.embed.scratch import choose_policy
from ruc.embedded_views import embed_views
from ruc.embedding import Embedding, EmbedTask, check_embedders, embed_images
from ruc.errors import NothingToClusterError, UsageError
from ruc.fingerprint import fingerprint, stage_fingerprints
from ruc.given_features import given_features, read_features
from ruc.image_space import packaged_names, space_of_packaged, what_is_retrained
from ruc.images.load import choose_size, content_hashes
from ruc.images.measures import Measured
from ruc.images.reading import Reading
from ruc.images.source import ImageSource, find_images
from ruc.images.survey import survey
from ruc.initial_clustering import (
    Base,
    check_base,
    check_labels,
    given_base,
    initial_clustering,
    retrains_networks,
    without_network,
)
from ruc.labels.empty_clusters import empty_clusters
from ruc.marks import find_marks, review_rows
from ruc.neighbors.search import Neighbors
from ruc.networks import State
from ruc.networks.checkpoints import LARGEST_SIDE, is_checkpoint, load_checkpoint
from ruc.quality import measures_of, with_quality
from ruc.refine.spaces import FeatureSpace, ImageSpace, Space
from ruc.refine.trained import Epoch
from ruc.repair import Repaired, find_neighbors, repair
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import Checkpoints, Run, check_output, checkpoints, finished_run, write_run
from ruc.runtime import Runtime
from ruc.settings import Settings, provenance

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What a run is asked to do, and by what means.

    Attributes
    ----------
    settings, runtime
        Checked; device, seed and whether progress is shown.
    source
        The images, or None where features were given.
    kept
        Where stages leave what was finished, and take it from.
    cache
        Embeddings of other runs.
    """

    settings: Settings
    runtime: Runtime
    source: ImageSource | None = None
    kept: Checkpoints = field(default_factory=Checkpoints)
    cache: Cache | None = None


@dataclass(frozen=True)
class Stages:
    """What each stage made of what the ones before had made."""

    embedded: Embedding
    neighbors: Neighbors
    base: Base
    space: Space
    repaired: Repaired


@dataclass(frozen=True)
class Outcome:
    """A run, the model that predicts as it did, and neighbours in its features where they were found."""

    run: Run
    model: Mapping[str, State]
    neighbors: Neighbors | None = None


def run_to_folder(settings: Settings, overwrite: bool, verbose: bool, cache: Cache | None = None) -> Run:
    """Run all stages and write the run folder; when it can't be done, what was finished is kept for the next try.

    A run that is there already, of the same settings, version and inputs, is only read, unless `overwrite`. Embeddings
    are taken from the cache, and left there.

    Raises
    ------
    RucError
        Input, settings or the output folder are not what they have to be.
    """
    if not settings.source and not settings.feature_files:
        raise UsageError(
            "neither images nor features given; expected one: name a folder, or --features f.npy"
        )
    folder = Path(settings.output)
    runtime = Runtime(settings.device, settings.seed, verbose)
    refuse_settings(settings, runtime)
    check_output(folder, settings.with_absolute_paths(), overwrite)
    source = find_images(settings.source) if settings.source else None
    inputs = fingerprint(settings, source)
    if not overwrite and (done := finished_run(folder, inputs)) is not None:
        logger.warning("done already: %s holds this run; --overwrite makes it again", folder)
        return done
    with checkpoints(folder, stage_fingerprints(settings, source)) as kept:
        outcome = run_pipeline(Job(settings, runtime, source, kept, cache))
        run = replace(outcome.run, notes={**outcome.run.notes, "inputs": inputs})
        report = write_report(report_data(run), near=outcome.neighbors)
        write_run(folder, run, outcome.model, report)
    return run


def run_pipeline(job: Job) -> Outcome:
    """All stages in order, each taken from its checkpoint where there is one."""
    settings, runtime, source = job.settings, job.runtime, job.source
    refuse_settings(settings, runtime)
    refuse_early(settings, source)
    embedded = features_of_files(settings, source, runtime) if settings.feature_files else None
    if source is not None:
        source = survey(source, Reading.from_config(settings.model_dump())).watched_by(Measured())
        job = replace(job, source=source)
    embedded = embedded or embed(job)
    check_enough(len(embedded.features), settings)
    check_different(embedded.features)
    given = given_base(settings, embedded)
    with ThreadPoolExecutor(1) as beside:  # scikit-learn takes a second to import, which needs no products
        beside.submit(import_module, "sklearn.cluster")
        neighbors = find_neighbors(embedded.features, settings.refine, runtime, embedded.parts)
    base = given or initial_clustering(settings, embedded, neighbors, runtime, job.kept)
    space = choose_space(job, embedded, base, neighbors)
    stages = Stages(embedded, neighbors, base, space, retrain(job, space, base, neighbors))
    if source is None:
        return as_run(job, stages)
    images = source.take(embedded.rows)
    hashes = content_hashes(images)
    outcome = as_run(job, stages, hashes)
    assert source.watcher is not None
    measures = measures_of(images, hashes, source.watcher, job.cache, runtime)
    return replace(outcome, run=with_quality(outcome.run, measures))


def refuse_settings(settings: Settings, runtime: Runtime) -> None:
    """Raise what would be raised later whatever the images are: device, base."""
    logger.debug("device: %s", runtime.device)  # unusable ones raise here
    check_base(settings)
    if settings.fit_on is not None and (
        settings.source or settings.labels or len(settings.feature_files) != 1
    ):
        raise UsageError(
            "fit_on given beside images, labels or several --features; expected one --features alone, a part of whose "
            "samples is clustered"
        )


def refuse_early(settings: Settings, source: ImageSource | None) -> None:
    """Raise before the first image is read whatever would be raised after it: number of images, labels, embedders."""
    if source is not None:
        check_enough(len(source), settings)
        check_labels(settings, source.file_names)
    if not settings.feature_files:
        check_embedders(settings.embedders)
    if is_checkpoint(settings.base):
        load_checkpoint(settings.base, LARGEST_SIDE)


def check_enough(n_samples: int, settings: Settings) -> None:
    """Raise `NothingToClusterError` unless there are more samples than clusters."""
    smallest = settings.n_clusters if isinstance(settings.n_clusters, int) else 2
    if n_samples <= smallest:
        what = "samples" if settings.feature_files else "images"
        raise NothingToClusterError(
            f"{n_samples} {what} given for {smallest} clusters; expected more {what} than clusters: "
            f"lower -k or add {what}"
        )


def embed(job: Job) -> Embedding:
    """Images as unit-norm features."""
    settings, source = job.settings, job.source
    assert source is not None
    embedders, size = settings.embedders, settings.image_size
    if is_checkpoint(settings.base):  # its network is retrained, so the images come at the side it takes
        embedders = (settings.base,) if embedders == ("auto",) else embedders
        size = size or load_checkpoint(settings.base, choose_size(source, LARGEST_SIDE)).side
    task = EmbedTask(source, job.runtime, size, settings.max_skipped, job.cache, is_centered=True)
    return embed_images(task, embedders, job.kept)


def features_of_files(settings: Settings, source: ImageSource | None, runtime: Runtime) -> Embedding:
    """The features that were given; of a sample of the samples where only such is fitted on."""
    if settings.fit_on is None:
        return read_features(settings.feature_files, source)
    sample = balanced_sample(settings.feature_files[0], settings.fit_on, runtime)
    embedded = given_features(sample.values, None, sample.names)
    if len(sample.names) == sample.n_all:
        return embedded
    remark = (
        f"fitted on {len(sample.names)} of {sample.n_all} samples, and this is about them: ruc predict "
        f"{settings.output} --features {settings.feature_files[0]} places all"
    )
    return replace(embedded, remarks=(remark,))


def choose_space(job: Job, embedded: Embedding, base: Base, neighbors: Neighbors) -> Space:
    """Heads on features, or networks on the images: whole ones of our own, or what is retrained of packaged ones."""
    settings, runtime = job.settings, job.runtime
    backbone = embedded.backbone if base.backbone is None else base.backbone
    if not retrains_networks(settings, embedded, base.backbone):
        n_first = next(iter(embedded.embeddings.values()), None)
        views = embed_views(embedded, runtime)
        return FeatureSpace(embedded.features, neighbors, runtime, views, n_first=n_first)
    if embedded.images is not None and backbone is not None:
        policy, why = choose_policy(embedded.images.pixels, runtime)
        logger.info("retraining whole networks: %s", why)
        return ImageSpace(embedded.images.pixels, backbone, policy, runtime)
    names = packaged_names(embedded)
    if job.source is None or not names:
        raise without_network(embedded.name)
    images = job.source.take(embedded.rows)
    return space_of_packaged(names, images, settings.image_size, runtime, job.kept)


def retrain(job: Job, space: Space, base: Base, neighbors: Neighbors) -> Repaired:
    """The labels repaired, from the checkpoint of an interrupted training where there is one."""
    kept = job.kept

    def keep(epoch: Epoch, snapshot: Any) -> None:
        kept.save_now_and_then("refine", snapshot)

    on_epoch = keep if kept.folder is not None and space.sees_more else None
    constants, begun = job.settings.refine, kept.load("refine")
    return repair(space, base.clustering, neighbors, constants, job.runtime, on_epoch, begun)


def as_run(job: Job, stages: Stages, hashes: list[str] | None = None) -> Outcome:
    """Everything as one run, rows in the order of the source; `hashes` are of the images' bytes."""
    settings, source, runtime = job.settings, job.source, job.runtime
    embedded, base, space, repaired = stages.embedded, stages.base, stages.space, stages.repaired
    reading = {} if source is None else source.reading.to_config()
    resolved = {
        **settings.with_absolute_paths(),
        "n_clusters": base.clustering.n_clusters,
        "embedder": _embedder_taken(settings, embedded),
        "image_size": settings.image_size
        if embedded.images is None
        else int(embedded.images.pixels.shape[-1]),
        "base": base.clustering.name,
        "refine": settings.refine.filled(space.defaults).to_dict(),
        "space": "image" if space.sees_more else "feature",
        **reading,
        **provenance(str(runtime.device)),
    }
    confidence = repaired.probabilities.max(axis=1).astype(np.float32)
    marks = find_marks(repaired.labels, confidence, stages.neighbors, embedded.file_names, hashes)
    run = Run(
        settings=resolved,
        file_names=embedded.file_names,
        cluster=repaired.labels,
        confidence=confidence,
        initial_cluster=base.clustering.labels,
        was_clean=repaired.was_clean,
        is_clean=repaired.is_clean,
        probabilities=repaired.probabilities,
        features=embedded.features,
        embeddings=embedded.embeddings,
        cluster_names=base.names,
        initial_probabilities=base.clustering.probabilities,
        skipped=embedded.skipped,
        history=tuple(asdict(epoch) for epoch in repaired.history),
        review=review_rows(
            settings.review, marks.doubt, embedded.file_names, repaired.labels, repaired.probabilities
        ),
        marks={
            "clean_since": repaired.clean_since,
            **({} if repaired.stability is None else {"stability": repaired.stability}),
            **asdict(marks),
        },
        notes={
            "given_settings": settings.as_yaml_dict(),
            "embedder": embedded.why,
            "is_calibrated": repaired.stability is None,
            "remarks": [
                *(() if source is None else source.remarks),
                *embedded.remarks,
                *what_is_retrained(space),
                *repaired.remarks,
            ],
            "warnings": [
                *repaired.warnings,
                *empty_clusters(base.clustering.labels, repaired.labels, base.names),
            ],
            "k_curve": dict(base.curve),
        },
    )
    pair = repaired.predictor.state()
    about = {"space": resolved["space"], "image_size": resolved["image_size"], **reading}
    model = {"pair": replace(pair, config={**pair.config, **about})}
    model.update(scaling_states(embedded.scalings))
    if embedded.embedder is not None:
        model["embedder"] = embedded.embedder.state()
    if base.network is not None:  # what an evaluation attacks
        model["base"] = base.network.state()
    return Outcome(run, model, stages.neighbors)


def _embedder_taken(settings: Settings, embedded: Embedding) -> str | list[str]:
    """As in the settings, "auto" resolved."""
    if embedded.embedder is None or settings.embedder != "auto":
        return settings.embedder
    return embedded.name.split("+") if embedded.embeddings else embedded.name
