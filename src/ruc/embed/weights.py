"""Where the weights of pretrained networks are: in a folder, in the local cache, or on the Hugging Face hub."""

import logging
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruc.errors import WeightsError

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "facebook/dinov2-small"
"""What "auto" takes where it's in the cache: 22 million parameters, Apache 2.0, and the best features for its size."""

WAY_OUT = "give a folder that holds the model, or take --embedder lite0 or --embedder scratch"
EMBEDDERS = "lite0, lite1, lite2, scratch, contrastive, momentum, pixels"  # which need no hub
PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
HUB_FILES = [
    "config.json",
    *PREPROCESSOR_FILES,
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
]
PATIENCE_SECONDS = 5.0


def in_cache(name: str) -> bool:
    """Whether a model of the hub is whole in the local cache; the hub isn't asked."""
    try:
        return _local_folder(name, None) is not None
    except WeightsError:
        return False


def hub_cache() -> Path:
    """Where the hub's client keeps what it has downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached_models() -> tuple[str, ...]:
    """The models in that cache that are whole, and say how they want images prepared."""
    folders = sorted(hub_cache().glob("models--*"))
    names = (folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders)
    return tuple(name for name in names if in_cache(name))


def model_folder(name: str, revision: str | None) -> Path:
    """The folder that holds the model; downloaded where it has to be.

    Raises
    ------
    WeightsError
        There is no such model here, and the name is none that the hub has, or the hub cannot be reached; or it has no
        safetensors: pickles are never opened.
    """
    folder = _local_folder(name, revision)
    if folder is None and "/" not in name:
        raise WeightsError(
            f"{name!r} is no embedder; expected {EMBEDDERS}, a folder or file that is there, or a model of the Hugging "
            "Face hub as owner/name"
        )
    return _download(name, revision) if folder is None else folder


def _local_folder(name: str, revision: str | None) -> Path | None:
    """The folder that holds the model already, None when it has to be downloaded."""
    if Path(name).is_dir():
        folder = Path(name).resolve()
        if not _is_complete(folder):
            raise WeightsError(
                f"the folder {name!r} holds no model; expected config.json and model.safetensors (a pickle such as "
                "pytorch_model.bin is never opened: save the model again with save_pretrained)"
            )
        return folder
    from huggingface_hub import constants, try_to_load_from_cache

    try:
        config = try_to_load_from_cache(
            name, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision
        )
    except ValueError as error:  # no name the hub could have
        raise WeightsError(f"{name!r} is neither a folder nor the name of a model; {WAY_OUT}") from error
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    prepared = any((folder / file).is_file() for file in PREPROCESSOR_FILES)
    return folder if prepared and _is_complete(folder) else None


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("model*.safetensors"))


def _ask_hub(name: str, revision: str | None) -> None:
    """Raise `WeightsError` unless the hub answers in a few seconds that it has the model."""
    from huggingface_hub import constants, get_token, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{name} is not in the local cache and HF_HUB_OFFLINE is set; {WAY_OUT}")
    request = urllib.request.Request(hf_hub_url(name, "config.json", revision=revision), method="HEAD")
    if token := get_token():
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403, 404):
            raise WeightsError(
                f"the hub has no model {name!r}, or not for you ({error.code}); {WAY_OUT}"
            ) from error
        raise WeightsError(
            f"the hub answers {error.code} for {name!r}; try again later, or {WAY_OUT}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"{name} is not in the local cache and {constants.ENDPOINT} cannot be reached ({reason}); {WAY_OUT}"
        ) from error


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import constants, snapshot_download

    _ask_hub(name, revision)
    logger.info("downloading %s", name)
    try:
        snapshot = snapshot_download(
            name,
            revision=revision,
            cache_dir=constants.HF_HUB_CACHE,
            allow_patterns=HUB_FILES,
            etag_timeout=PATIENCE_SECONDS,
        )
    except _download_errors() as error:
        raise WeightsError(f"{name} cannot be downloaded ({first_line(error)}); {WAY_OUT}") from error
    folder = Path(snapshot)
    if not _is_complete(folder):
        raise WeightsError(f"{name} has no safetensors on the hub, and pickles are not opened; {WAY_OUT}")
    return folder


def _download_errors() -> tuple[type[Exception], ...]:
    """What a download can raise; the HTTP library behind the hub's client depends on its release."""
    names = {"requests": "RequestException", "httpx": "HTTPError", "httpx2": "HTTPError"}
    transport = [getattr(sys.modules[module], names[module]) for module in names if module in sys.modules]
    return (OSError, ValueError, RuntimeError, *transport)


@contextmanager
def understood(what: str, remedy: str) -> Iterator[None]:
    """Errors of transformers and of what it calls, which may be `Exception` itself, as `WeightsError`."""
    try:
        yield
    except (WeightsError, MemoryError):
        raise
    except Exception as error:  # of damaged files tokenizers and huggingface_hub raise no narrower kind
        raise WeightsError(f"{what} ({first_line(error)}); {remedy}") from error


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
