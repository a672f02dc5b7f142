"""A run served live: what it answers to whom, and two windows on it in a real browser."""

import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium
from PIL import Image

from ruc.doors.edit_folder import edit_folder
from ruc.doors.live import LiveRun, LiveServer
from ruc.edits import Merge, Rename, edits_of
from ruc.edits.edit import to_json
from ruc.errors import InputError
from ruc.run_folder import Run, read_run, write_run


def make_folder(folder: Path, n_images: int = 48) -> Path:
    """A run of images of three colours, with the images themselves beside it."""
    rng = np.random.default_rng(0)
    cluster = np.arange(n_images) % 3
    (folder / "images").mkdir()
    names = [f"{row:02}.png" for row in range(n_images)]
    for name, kind in zip(names, cluster, strict=True):
        Image.new("RGB", (300, 200), tuple(int(part) for part in np.eye(3)[kind] * 255)).save(
            folder / "images" / name
        )
    features = np.eye(3)[cluster] + rng.normal(0, 0.1, (n_images, 3))
    probabilities = np.full((n_images, 3), 0.1, np.float32)
    probabilities[np.arange(n_images), cluster] = 0.8
    run = Run(
        settings={"source": str(folder / "images"), "review": 0.1, "output": str(folder / "run")},
        file_names=tuple(names),
        cluster=cluster,
        confidence=probabilities.max(axis=1),
        initial_cluster=cluster,
        was_clean=np.ones(n_images, bool),
        is_clean=np.ones(n_images, bool),
        probabilities=probabilities,
        features=(features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32),
        cluster_names=("0", "1", "2"),
        marks={"doubt": np.full(n_images, 0.2, np.float32)},
    )
    write_run(folder / "run", run, report="old")
    return folder / "run"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(LiveRun(make_folder(tmp_path))) as opened:
        yield opened


def ask(server: LiveServer, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Status, and what is answered."""
    root = server.address.split("/?")[0]
    given = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(root + path, given, {"X-Ruc-Token": server.live.token, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, content_of(answer)
    except urllib.error.HTTPError as error:
        return error.code, content_of(error)


def content_of(answer: Any) -> Any:
    content = answer.read()
    return json.loads(content) if answer.headers["Content-Type"] == "application/json" else content


def test_edits_are_in_the_run_before_they_are_confirmed(server: LiveServer) -> None:
    folder, token = server.live.folder, server.live.token
    edit = to_json(Rename(0, "reds"))
    assert ask(server, "/edits", {"known": 0, "edits": [edit]}) == (200, {"edits": [edit]})
    assert read_run(folder).cluster_names[0] == "reds"
    status, answer = ask(
        server, "/edits", {"known": 0, "edits": [to_json(Merge((0, 1)))]}
    )  # a page that lags behind
    assert (status, answer["edits"]) == (409, [edit])
    assert ask(server, f"/edits?token={token}") == (200, {"edits": [edit]})
    status, answer = ask(server, "/edits", {"known": 1, "edits": [to_json(Merge((0, 9)))]})
    assert status == 400
    assert "cluster 9 does not exist" in answer["message"]
    assert ask(server, "/edits", {"known": 1, "undo": True}) == (200, {"edits": []})
    assert read_run(folder).cluster_names[0] == "0"
    assert ask(server, "/edits", {"known": 0, "undo": True})[0] == 400
    assert ask(server, "/edits", {"known": "0"})[0] == 400


def test_nobody_else_may_ask(server: LiveServer) -> None:
    token = server.live.token
    edit = {"known": 0, "edits": [to_json(Rename(0, "x"))]}
    assert ask(server, "/", {}, **{"Content-Length": "1" * 5000})[0] == 413
    assert ask(server, "/")[0] == 403
    assert ask(server, "/?token=guess")[0] == 403
    assert ask(server, f"/?token={token}")[0] == 200
    assert ask(server, f"/?token={token}", Host="example.org")[0] == 403  # a name that leads here
    assert ask(server, "/edits", edit, Origin="https://example.org")[0] == 403
    assert ask(server, "/edits", edit, **{"X-Ruc-Token": "guess"})[0] == 403
    assert ask(server, f"/clusters.csv?token={token}")[0] == 404
    assert ask(server, f"/image/../../config.yaml?token={token}")[0] == 404
    assert edits_of(read_run(server.live.folder)) == ()


def test_news_come_to_who_waits(server: LiveServer) -> None:
    heard: list[object] = []
    waiting = threading.Thread(
        target=lambda: heard.append(ask(server, f"/edits?token={server.live.token}&known=0"))
    )
    waiting.start()
    edit = to_json(Rename(1, "greens"))
    ask(server, "/edits", {"known": 0, "edits": [edit]})
    waiting.join(30)
    assert heard == [(200, {"edits": [edit]})]


def test_a_window_that_is_closed_while_it_waits_is_no_fault(
    server: LiveServer, capfd: pytest.CaptureFixture[str]
) -> None:
    host, port = server.address.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as window:
        asked = f"GET /edits?token={server.live.token}&known=0 HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        window.sendall(asked.encode())
        window.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed at once
    edit = to_json(Rename(1, "greens"))
    assert ask(server, "/edits", {"known": 0, "edits": [edit]})[0] == 200
    until = time.monotonic() + 30
    while any("process_request" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_originals_and_the_end(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    with LiveServer(LiveRun(folder)) as server:
        token = server.live.token
        status, image = ask(server, f"/image/4?token={token}")
        assert status == 200
        assert image.startswith(b"\x89PNG")
        (tmp_path / "images" / "04.png").unlink()
        assert ask(server, f"/image/4?token={token}")[0] == 404
        assert ask(server, f"/image/99?token={token}")[0] == 404
        ask(server, "/edits", {"known": 0, "edits": [to_json(Rename(2, "blues"))]})
        with pytest.raises(InputError, match="cannot be used"):
            LiveServer(server.live, int(server.address.split(":")[2].split("/")[0]))
    report = (folder / "report.html").read_text()
    assert "blues" in report  # it follows when the server is closed
    assert token not in report


def test_who_edits_the_run_elsewhere_is_heeded(server: LiveServer) -> None:
    edit_folder(server.live.folder, "elsewhere", lambda run: [Rename(0, "elsewhere")])
    status, answer = ask(server, "/edits", {"known": 0, "edits": [to_json(Rename(1, "here"))]})
    assert status == 409
    assert "edited elsewhere" in answer["message"]
    assert b"elsewhere" in ask(server, f"/?token={server.live.token}")[1]  # the page loaded anew
    assert ask(server, "/edits", {"known": 0, "edits": [to_json(Rename(1, "here"))]})[0] == 200
    assert read_run(server.live.folder).cluster_names == ("elsewhere", "here", "2")


def test_a_second_window_looks_on(server: LiveServer) -> None:
    with chromium() as browser:
        one, other = browser.new_page(), browser.new_page()
        complaints: list[str] = []
        for page in (one, other):
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.set_default_timeout(60_000)
            page.goto(server.address)
        one.locator("#cluster-0").scroll_into_view_if_needed()
        one.get_by_label("Name of cluster 0").fill("reds")
        one.keyboard.press("Enter")
        other.locator("#outcome .size-name", has_text="reds").wait_for()
        other.keyboard.press("u")
        one.locator("#outcome .size-name", has_text="Cluster 0").wait_for()
        one.keyboard.press("o")
        one.locator("#review .review-image img[src^='/image/']").wait_for()
        one.keyboard.press("Shift+Y")
        one.keyboard.press("Escape")
        other.locator(".stat", has_text="placed by you").wait_for()
        one.reload()
        one.locator(".stat", has_text="placed by you").wait_for()
    run = read_run(server.live.folder)
    assert run.marks["moved_by_hand"].sum() > 1
    assert complaints == []
    assert len(edits_of(replace(run))) == 1
