"""The agent: a board's door for a search loop. Bundles in, measurements out, over HTTP on the loopback.

    PUT  /files/SHA256          one file of a bundle
    POST /jobs                  {"id", "manifest", "images"} -> 202 job, or 409 {"missing": [SHA256, ...]}
    GET  /jobs/ID?wait=SECONDS  {"state", "result" or "error"}
    GET  /status                {"board", "waiting", "most_bytes"}

Every request carries `Authorization: Bearer TOKEN`. Files are kept by digest and never sent twice.
"""

from __future__ import annotations

import argparse
import hmac
import json
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, urlsplit

from bitlathe.board.errors import AgentError, AgentLost, BoardError, BundleError
from bitlathe.board.fields import Fields
from bitlathe.board.jobs import Job, Jobs
from bitlathe.board.manifest import parse_manifest
from bitlathe.board.overlay import board_here
from bitlathe.board.process import WorkerProcess
from bitlathe.board.sim.options import add_options, command_line
from bitlathe.board.store import Store

_LOG = logging.getLogger(__name__)
DEFAULT_PORT = 8377
LOOPBACK = "127.0.0.1"
MOST_JOB_BYTES = 8 << 20
MOST_CONNECTIONS = 16
MOST_DRAINED = 16 << 20  # of a refused request, so that its client reads why instead of a reset
SOCKET_SECONDS = 30.0
LONGEST_WAIT = 20.0  # seconds that a request for a job's end is held open
SHORTEST_TOKEN = 16
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")


class AgentServer(ThreadingHTTPServer):
    """The server and what its handlers share."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], token: str, board: str, store: Store, jobs: Jobs) -> None:
        super().__init__(address, Handler)
        self._expected = f"Bearer {token}".encode()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.board = board
        self.store = store
        self.jobs = jobs

    def is_allowed(self, header: str) -> bool:
        """Whether an Authorization header holds the token; takes the same time whatever it holds."""
        return hmac.compare_digest(header.encode("utf-8", "surrogateescape"), self._expected)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or drop it where too many are open."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter; the rest goes to the log."""
        level = logging.INFO if isinstance(sys.exc_info()[1], OSError) else logging.ERROR
        _LOG.log(level, "connection from %s failed", client_address[0], exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = SOCKET_SECONDS
    server_version, sys_version = "bitlathe", ""

    def do_GET(self) -> None:  # the base class looks for these names
        self._serve(self._get)

    def do_PUT(self) -> None:
        self._serve(self._put)

    def do_POST(self) -> None:
        self._serve(self._post)

    @property
    def agent(self) -> AgentServer:
        """The server."""
        return cast(AgentServer, self.server)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests go to the log, not to stderr."""
        _LOG.debug(format, *args)

    def _serve(self, answer: Any) -> None:
        """Check the token before anything else, then answer; our errors become one line of JSON."""
        self._left = 0 if self.command == "GET" else self._length()
        try:
            if not self.agent.is_allowed(self.headers.get("Authorization", "")):
                return self._refuse(HTTPStatus.UNAUTHORIZED, AgentError("the token is missing or wrong"))
            answer(urlsplit(self.path))
        except AgentError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, error)
        except BoardError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error)

    def _get(self, url: Any) -> None:
        if url.path == "/status":
            values = {"board": self.agent.board, "waiting": self.agent.jobs.waiting}
            return self._send(HTTPStatus.OK, {**values, "most_bytes": self.agent.store.most_bytes})
        folder, _, identifier = url.path.rpartition("/")
        job = self.agent.jobs.find(identifier) if folder == "/jobs" else None
        if job is None:
            return self._refuse(HTTPStatus.NOT_FOUND, AgentLost("no such job; the agent was restarted"))
        job.finished.wait(min(LONGEST_WAIT, _seconds(url.query)))
        self._send(HTTPStatus.OK, job.to_json())

    def _put(self, url: Any) -> None:
        folder, _, digest = url.path.rpartition("/")
        if folder != "/files":
            return self._refuse(HTTPStatus.NOT_FOUND, AgentError("files go to /files/SHA256"))
        if not 0 <= self._left <= self.agent.store.most_bytes:
            return self._too_large(self.agent.store.most_bytes)
        length, self._left = self._left, 0
        self.agent.store.put(digest, cast(BinaryIO, self.rfile), length)
        self._send(HTTPStatus.CREATED, {})

    def _post(self, url: Any) -> None:
        if url.path != "/jobs":
            return self._refuse(HTTPStatus.NOT_FOUND, AgentError("jobs go to /jobs"))
        if not 0 < self._left <= MOST_JOB_BYTES:
            return self._too_large(MOST_JOB_BYTES)
        job = _job(self._body())
        missing = self.agent.store.missing(job.manifest)
        if missing and self.agent.jobs.find(job.identifier) is None:
            return self._send(HTTPStatus.CONFLICT, {"missing": missing})
        self._send(HTTPStatus.ACCEPTED, self.agent.jobs.submit(job).to_json())

    def _body(self) -> bytes:
        length, self._left = self._left, 0
        body = self.rfile.read(length)
        if len(body) != length:
            raise BundleError(f"the request ended after {len(body)} of {length} bytes; send it again")
        return body

    def _length(self) -> int:
        """Bytes that follow, -1 when the request does not say."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else -1

    def _too_large(self, most: int) -> None:
        error = BundleError(f"the request has no length, or more than {most} bytes; send less")
        self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)

    def _refuse(self, status: HTTPStatus, error: BoardError) -> None:
        self.close_connection = True
        self._drain()
        self._send(status, {"error": {"kind": type(error).__name__, "message": str(error)}})

    def _drain(self) -> None:
        left = min(max(self._left, 0), MOST_DRAINED)
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)

    def _send(self, status: HTTPStatus, values: dict[str, object]) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def read_token(path: Path) -> str:
    """The token in a file, made where there is none; AgentError when others may read it or it is short."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
        token, mode = path.read_text().strip(), path.stat().st_mode
    except OSError as error:
        raise AgentError(f"{path}: the token cannot be read or made ({error.strerror})") from error
    if mode & 0o077:
        raise AgentError(f"{path}: others may read the token; chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise AgentError(
            f"{path}: the token has fewer than {SHORTEST_TOKEN} characters; delete it for a new one"
        )
    return token


def add_agent_options(parser: argparse.ArgumentParser) -> None:
    """Options of the agent."""
    home = Path.home() / ".bitlathe"
    parser.add_argument(
        "--bind", default=LOOPBACK, help="address to listen on; others than loopback are plain text"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0: any free one")
    parser.add_argument("--token-file", type=Path, default=home / "token", help="made if it is not there")
    parser.add_argument("--folder", type=Path, default=home / "agent", help="where files are kept")
    parser.add_argument("--most-mib", type=int, default=256, help="of files kept, and of one file")
    parser.add_argument("--silence", type=float, default=120, help="seconds until a silent worker is killed")
    parser.add_argument("--simulated", metavar="BOARD", help="serve a simulated board")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin ends")
    add_options(parser)


def run_agent(arguments: argparse.Namespace) -> None:
    """Serve until interrupted; the first line on stdout says where."""
    store = _store(arguments.folder, arguments.most_mib << 20)
    simulated = ["--simulated", arguments.simulated] if arguments.simulated else []
    worker = WorkerProcess([*simulated, *command_line(arguments)], arguments.silence)
    board = arguments.simulated or board_here() or "unknown"
    try:
        token, address = read_token(arguments.token_file), (arguments.bind, arguments.port)
        server = AgentServer(address, token, board, store, Jobs(store, worker))
    except (OSError, OverflowError) as error:  # the latter where the port is none
        raise AgentError(f"cannot listen on {arguments.bind}:{arguments.port} ({error})") from error
    if arguments.bind != LOOPBACK:
        _LOG.warning("listening beyond this machine, unencrypted: prefer an ssh tunnel to the loopback")
    print(json.dumps({"port": server.server_address[1], "board": board}), flush=True)
    if arguments.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server.serve_forever()
    finally:
        worker.kill()


def _store(folder: Path, most_bytes: int) -> Store:
    try:
        return Store(folder, most_bytes)
    except OSError as error:
        raise AgentError(f"{folder}: keeps no files ({error.strerror}); choose another --folder") from error


def main(words: Sequence[str] | None = None) -> None:
    """`python -m bitlathe.board.agent`: what `bitlathe agent` is where only this room is installed."""
    parser = argparse.ArgumentParser(
        prog="python -m bitlathe.board.agent", description=__doc__.partition("\n")[0]
    )
    add_agent_options(parser)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        run_agent(parser.parse_args(words))
    except AgentError as error:
        raise SystemExit(f"bitlathe agent: {error}") from error
    except KeyboardInterrupt:
        _LOG.info("interrupted")


def _job(body: bytes) -> Job:
    fields = Fields.parse(body, "job")
    if not _IDENTIFIER.fullmatch(fields.text("id")):
        raise BundleError("job: id must be 32 hexadecimal digits")
    manifest = parse_manifest(json.dumps(fields.fields("manifest").values))
    images = None if fields.values.get("images") is None else fields.integer("images", 1)
    return Job(identifier=fields.text("id"), manifest=manifest, images=images)


def _seconds(query: str) -> float:
    given = parse_qs(query).get("wait", ["0"])[0]
    return float(given) if given.isascii() and given.isdigit() else 0.0


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
