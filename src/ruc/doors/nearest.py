"""The door `ruc nearest`: the images of a run that are most like new ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruc.doors.predict import predict
from ruc.errors import InputError, UsageError
from ruc.images.source import find_images
from ruc.run_folder import read_run_and_model
from ruc.runtime import Runtime


@dataclass(frozen=True)
class Near:
    """One image of a run that is like a new one.

    Attributes
    ----------
    asked, file_name
        The new image, and that of the run.
    similarity
        Cosine of their embeddings, -1 to 1.
    cluster_name
        Of the run's image.
    """

    asked: str
    file_name: str
    similarity: float
    cluster_name: str


def nearest(folder: Path, images: list[Path], n: int, runtime: Runtime) -> list[Near]:
    """The n nearest images of a run to each of some image files, nearest first.

    Raises
    ------
    InputError
        The run was made from features, n is less than 1, or an image can't be read.
    """
    if n < 1:
        raise UsageError(f"{n} nearest images asked for; expected at least 1")
    run, model = read_run_and_model(folder)
    prediction = predict(model, find_images(images), runtime, max_skipped=0.0, with_features=True)
    if prediction.features is None:
        raise InputError("the run keeps no features of images; expected one made by ruc cluster on images")
    similarity = prediction.features @ run.features.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :n]
    return [
        Near(asked, run.file_names[row], float(similarity[place, row]), run.cluster_names[run.cluster[row]])
        for place, asked in enumerate(prediction.file_names)
        for row in order[place].tolist()
    ]
