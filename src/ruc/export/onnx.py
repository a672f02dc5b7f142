"""ONNX: the trained pair of networks as one file, checked against the original."""

import importlib.util
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from ruc.errors import InputError, RucError
from ruc.export.model import cluster_model
from ruc.networks import State
from ruc.run_folder import check_file, new_output

TOLERANCE: Final = 1e-4
N_CHECKED: Final = 5
OPSET: Final = 18


def export_model(
    model: Mapping[str, State], target: Path, labels: Sequence[str] = (), overwrite: bool = False
) -> Path:
    """Write a run's model as ONNX.

    Input `pixels`, (n, channels, size, size) uint8 as `ruc predict` prepares them (shorter side resized, centre
    cropped), a packaged backbone included; or `features`, (n, n_features) float32, for a run on features or on a
    pretrained backbone from elsewhere, which is not part of the file. Of several embeddings each has its own input,
    numbered in their order: `pixels_0`, `pixels_1`, …. Output `probabilities`, (n, n_clusters). Any n.
    The clusters' names, `labels`, are kept in the file's metadata. Raises as `export_onnx` does.
    """
    module, examples = cluster_model(model)
    metadata = {"labels": json.dumps(list(labels)), "made_by": "ruc"}
    return export_onnx(module, examples, target, metadata, overwrite)


def export_onnx(
    module: nn.Module,
    examples: Mapping[str, Tensor],
    target: Path,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a module as ONNX with a dynamic batch, and check with onnxruntime that it says the same.

    Parameters
    ----------
    module
        Tensors in, probabilities (n, n_clusters) out.
    examples
        Of each input, with at least two rows, by the name that it has in the file.
    target
        A new file, or with `overwrite` one to replace.
    metadata
        Kept in the file.

    Raises
    ------
    InputError
        onnx, onnxscript or onnxruntime is not installed.
    RucError
        The exporter can't translate the module, or the file's probabilities differ by more than 1e-4 from the
        module's; no file is written then.
    """
    check_file(target, overwrite=overwrite)
    missing = [
        name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise InputError(f"{', '.join(missing)} not installed; expected for ONNX: pip install 'ruc[onnx]'")
    with new_output(target) as new:
        _write(module.eval(), examples, new, metadata or {})
        _check(module, examples, new)
    return target


def _write(
    module: nn.Module, examples: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]
) -> None:
    import onnx

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own parts that are about to change
            program = torch.onnx.export(
                module,
                tuple(examples.values()),
                dynamo=True,
                input_names=list(examples),
                output_names=["probabilities"],
                dynamic_shapes=_any_number_of_rows(len(examples)),
                opset_version=OPSET,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise RucError(
            f"torch {torch.__version__} cannot write the model as ONNX ({str(error).splitlines()[0]}); expected it and "
            "onnxscript to be newer: pip install -U 'ruc[onnx]'"
        ) from error
    finally:
        logger.setLevel(level)
    assert program is not None
    proto = program.model_proto
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.save_model(proto, str(path))


def _check(module: nn.Module, examples: Mapping[str, Tensor], path: Path) -> None:
    """Batches of one, of the examples' size and of another one, some by onnxruntime, some by torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for n_rows in (1, len(next(iter(examples.values()))), N_CHECKED):
        batch = {name: _rows(example, n_rows) for name, example in examples.items()}
        with torch.no_grad():
            expected = module(*batch.values()).numpy()
        found: Any = session.run(None, {name: rows.numpy() for name, rows in batch.items()})[0]
        difference = float(np.abs(found - expected).max())
        if found.shape != expected.shape or difference > TOLERANCE:
            raise RucError(
                f"the ONNX model's probabilities differ by {difference:.2g} from the run's; expected at most "
                f"{TOLERANCE:g}: another version of onnxscript may help"
            )


def _rows(example: Tensor, n_rows: int) -> Tensor:
    """So many rows, from the first on and from the beginning again."""
    return example[torch.arange(n_rows) % len(example)]


def _any_number_of_rows(n_inputs: int) -> tuple[Any, ...]:
    """The same number in each input of a module that takes `*inputs`, or in its only one."""
    rows = {0: torch.export.Dim("batch")}
    return (tuple(rows for _ in range(n_inputs)),)
