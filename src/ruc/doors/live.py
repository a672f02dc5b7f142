"""A run's report served on this computer alone: edits go straight into the run, originals open, others look on.

The page is the one that `report.html` is, and keeps the edits since it was opened as a list, as that does; here the
list is the server's, so that all pages show the same, and each edit is in the run folder before it is confirmed. The
report in the folder follows when the server is closed.
"""

import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from ruc.doors.edit_folder import report_of
from ruc.edits import Edit, apply_edits, edits_of, undo_edits
from ruc.edits.edit import from_json, to_json
from ruc.errors import InputError, RucError
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import Run, read_run, update_run

logger = logging.getLogger(__name__)

LONGEST_WAIT: Final = 20.0  # seconds that a page's question for news is kept open
MOST_BYTES: Final = 50_000_000  # of one request
LARGEST_SIDE: Final = 1600  # pixels of an original, as it is shown


class ChangedElsewhereError(RucError):
    """The run was edited by somebody else since the page was opened."""


class LiveRun:
    """A run folder with a list of edits that pages add to; one at a time, whoever asks.

    Raises
    ------
    RunFolderError
        It is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, secrets.token_urlsafe(24)
        self._news = threading.Condition()
        self._edits: list[Edit] = []
        self._base = read_run(folder)
        self._page: str | None = None
        self._shown = report_data(self._base)

    def page(self) -> str:
        """The report as HTML, of the run as it was when it was opened, or as somebody else has left it since."""
        with self._news:
            run = read_run(self.folder)
            if edits_of(run) != self._expected():
                self._base, self._edits, self._page, self._shown = run, [], None, report_data(run)
                self._news.notify_all()
            if self._page is None:
                self._page = write_report(self._shown, live_token=self.token)
            return self._page

    def edits(self) -> list[dict[str, Any]]:
        """The edits since it was opened."""
        with self._news:
            return [to_json(edit) for edit in self._edits]

    def wait_for_news(self, known: int) -> list[dict[str, Any]]:
        """The edits as soon as there are more or fewer than `known`, or after a while."""
        with self._news:
            self._news.wait_for(lambda: len(self._edits) != known, LONGEST_WAIT)
        return self.edits()

    def add(self, edits: tuple[Edit, ...], known: int) -> None:
        """Put edits into the run, of a page that knows of so many.

        Raises
        ------
        ChangedElsewhereError
            There are others by now.
        InputError
            An edit doesn't fit.
        """
        with self._news:
            self._check_known(known)
            for edit in edits:
                what = f"live {len(self._edits)} {to_json(edit)}"
                self._update(partial(apply_edits, edits=[edit]), what)
                self._edits.append(edit)
            self._news.notify_all()

    def undo(self, known: int) -> None:
        """Take the last edit back; raises as `add` does."""
        with self._news:
            self._check_known(known)
            if not self._edits:
                raise InputError(
                    "nothing to undo since the run was opened; expected an edit: `ruc undo` goes further"
                )
            self._update(lambda run: undo_edits(run, 1), f"live undo {known}")
            self._edits.pop()
            self._news.notify_all()

    def original(self, row: int) -> bytes | None:
        """The image of a row as PNG, large; None where it isn't there any more."""
        if self._shown.open_thumbnail is None or not 0 <= row < len(self._base.file_names):
            return None
        try:
            image = self._shown.open_thumbnail(row, LARGEST_SIDE)
        except (OSError, RucError):
            return None
        file = BytesIO()
        image.convert("RGB").save(file, "PNG", compress_level=1)
        return file.getvalue()

    def write_report_anew(self) -> None:
        """Bring `report.html` up to date, where there were edits."""
        with self._news:
            if self._edits:
                update_run(self.folder, replace, report_of, "live report")

    def _update(self, change: Callable[[Run], Run], what: str) -> None:
        def checked(run: Run) -> Run:
            if edits_of(run) != self._expected():
                raise ChangedElsewhereError(
                    f"{self.folder} was edited elsewhere; expected nobody else: load the page again"
                )
            return change(run)

        update_run(self.folder, checked, lambda run: {}, what)

    def _check_known(self, known: int) -> None:
        if known != len(self._edits):
            raise ChangedElsewhereError(
                f"there are {len(self._edits)} edits, {known} known; expected the newest list"
            )

    def _expected(self) -> tuple[Edit, ...]:
        return (*edits_of(self._base), *self._edits)


class LiveServer:
    """Serves a `LiveRun` on the loopback address, in threads of its own, until it is left.

    `port`: 0: any that is free.
    """

    def __init__(self, live: LiveRun, port: int = 0) -> None:
        self.live = live
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(live))
        except OSError as error:
            raise InputError(
                f"port {port} cannot be used ({error.strerror}); expected a free one: omit --port"
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """With the token: who has it can edit the run, as long as it is served."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/?token={self.live.token}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.live.write_report_anew()

    def wait(self) -> None:
        """Until it is interrupted."""
        self._thread.join()


def _handler(live: LiveRun) -> type[BaseHTTPRequestHandler]:
    """Answers for one run: nobody without the token, from another origin, or by another name of this computer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            if not self._is_allowed(query.get("token", "")):
                return
            if address.path == "/":
                self._send(live.page().encode(), "text/html; charset=utf-8")
            elif address.path == "/edits":
                known = query.get("known", "")
                self._send_json(
                    {"edits": live.wait_for_news(int(known)) if known.isdecimal() else live.edits()}
                )
            elif address.path.startswith("/image/") and address.path[7:].isdecimal():
                image = live.original(int(address.path[7:]))
                if image is None:
                    self._refuse(HTTPStatus.NOT_FOUND, "that image isn't there any more")
                else:
                    self._send(image, "image/png")
            else:
                self._refuse(HTTPStatus.NOT_FOUND, "nothing is here")

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BYTES:
                self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "expected a list of edits")
                return
            body = self.rfile.read(int(length))
            if not self._is_allowed(self.headers.get("X-Ruc-Token", "")):
                return
            try:
                match json.loads(body):
                    case {"known": int(known), "edits": list(edits)}:
                        live.add(tuple(from_json(edit) for edit in edits), known)
                    case {"known": int(known), "undo": True}:
                        live.undo(known)
                    case _:
                        raise InputError("expected known, and edits or undo")
            except ChangedElsewhereError as error:
                self._send_json({"edits": live.edits(), "message": str(error)}, HTTPStatus.CONFLICT)
            except (RucError, ValueError) as error:
                self._send_json({"edits": live.edits(), "message": str(error)}, HTTPStatus.BAD_REQUEST)
            else:
                self._send_json({"edits": live.edits()})

        def _is_allowed(self, token: str) -> bool:
            host = f"127.0.0.1:{self.server.server_address[1]}"  # type: ignore[index]
            is_own = (
                self.headers.get("Host") == host
                and self.headers.get("Origin", f"http://{host}") == f"http://{host}"
            )
            if is_own and secrets.compare_digest(token.encode(), live.token.encode()):
                return True
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `ruc open` printed")
            return False

        def _send_json(self, content: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
            self._send(json.dumps(content).encode(), "application/json", status)

        def _refuse(self, status: HTTPStatus, text: str) -> None:
            self.close_connection = True
            self._send(f"{text}\n".encode(), "text/plain; charset=utf-8", status)

        def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(content)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Resource-Policy": "same-origin",
            }.items():
                self.send_header(name, value)
            try:
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError as error:  # a window was closed while it waited
                self.close_connection = True
                logger.debug("%s went away: %s", self.path, error)

        def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 (of the base class)
            logger.debug(format, *values)

    return Handler
