"""Weights from the cache before the hub, and a way out where there are none; the hub is never really asked."""

import shutil
import socket
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from ruc.embed import weights
from ruc.embed.packaged import PACKAGES
from ruc.embed.pretrained import load_pretrained
from ruc.embed.weights import in_cache
from ruc.errors import WeightsError
from ruc.images.source import ImageSource
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def cached(dinov2: Path, cache: Path, name: str = "some/tiny") -> str:
    """Put the model where the hub's client would; returns its revision."""
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(dinov2, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(revision)
    return revision


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and a network that is not there."""
    from huggingface_hub import constants

    def unreachable(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "cache"


def test_cache_comes_before_the_hub(dinov2: Path, cache: Path, photos: ImageSource) -> None:
    revision = cached(dinov2, cache)
    embedder = load_pretrained("some/tiny", RUNTIME)
    assert embedder.state().config == {"kind": "pretrained", "name": "some/tiny", "revision": revision}
    again = load_pretrained("some/tiny", RUNTIME, revision=revision)
    assert (again.embed(photos, RUNTIME).features == embedder.embed(photos, RUNTIME).features).all()
    assert in_cache("some/tiny")


def test_the_hub_is_never_asked_whether_a_model_is_in_the_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *args, **kwargs: pytest.fail("the network was asked")
    )
    assert not in_cache("some/tiny")
    assert not in_cache("no name / at all")


def test_a_name_that_is_nobodys_is_answered_with_those_there_are(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: pytest.fail("the hub was asked"))
    with pytest.raises(WeightsError, match=r"^'lite9' is no embedder; expected ") as raised:
        load_pretrained("lite9", RUNTIME)
    for name in (*PACKAGES, "scratch", "contrastive", "momentum", "pixels", "owner/name"):
        assert name in str(raised.value)


def test_unreachable_hub_names_the_way_out(cache: Path) -> None:
    with pytest.raises(WeightsError) as raised:
        load_pretrained("facebook/dinov2-small", RUNTIME)
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        "facebook/dinov2-small",
        "huggingface.co cannot be reached",
        "no network",
        "folder",
        "--embedder scratch",
    ):
        assert part in message


def test_offline_is_respected(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda *args, **kwargs: pytest.fail("the network was asked")
    )
    with pytest.raises(WeightsError, match=r"HF_HUB_OFFLINE is set; .*--embedder scratch"):
        load_pretrained("some/tiny", RUNTIME)


@pytest.mark.parametrize(
    ("code", "message"), [(404, "has no model"), (401, "not for you"), (503, "try again later")]
)
def test_answers_of_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str) -> None:
    def answer(*args: Any, **kwargs: Any) -> Any:
        raise urllib.error.HTTPError("https://huggingface.co", code, "", Message(), None)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    with pytest.raises(WeightsError, match=message):
        load_pretrained("some/tiny", RUNTIME)


def test_silent_hub_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and never answers
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(weights, "PATIENCE_SECONDS", 0.2)
        with pytest.raises(WeightsError, match="cannot be reached"):
            load_pretrained("some/tiny", RUNTIME)  # else it would wait for ever
