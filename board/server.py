"""The agent's HTTP server: one request a connection, the token first, every error one line of JSON."""

from __future__ import annotations

import hmac
import io
import json
import logging
import socket
import socketserver
import sys
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs

from bitlathe.board import names
from bitlathe.board.door import ClientGone, Door, DoorLimits, TimedStream, TooSlow, talking
from bitlathe.board.errors import AgentError, AgentLost, BoardError, BundleError, StoreFull
from bitlathe.board.fields import JsonFields
from bitlathe.board.jobs import FilesMissing, Jobs, MeasureJob
from bitlathe.board.manifest import MANIFEST, manifest_of
from bitlathe.board.request import Refusal, Request, parse_head
from bitlathe.board.store import FileStore
from bitlathe.board.text import one_line

_LOG = logging.getLogger(__name__)
MOST_HEAD = 16 << 10  # bytes of a request's head
MOST_JOB_BYTES = 8 << 20
MOST_DRAINED = 16 << 20  # of what a stranger still sends when it is refused
LONGEST_WAIT = 20.0  # seconds that a request for a job's end is held open
_CHUNK = 1 << 16
_STATUS: tuple[tuple[type[BoardError], HTTPStatus], ...] = (  # the first kind that fits decides
    (StoreFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (AgentError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BoardError, HTTPStatus.BAD_REQUEST),
)

Answer = tuple[HTTPStatus, dict[str, object]]


class AgentServer(socketserver.ThreadingTCPServer):
    """The server and what its handlers share."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # connections that the kernel holds until they are accepted

    def __init__(
        self,
        address: tuple[str, int],
        token: str,
        board: str,
        store: FileStore,
        jobs: Jobs,
        limits: DoorLimits | None = None,
    ) -> None:
        super().__init__(address, Connection)
        self._expected = f"Bearer {token}".encode()
        self.limits = limits or DoorLimits()
        self.door = Door(self.limits)
        self.board = board
        self.store = store
        self.jobs = jobs

    def is_allowed(self, header: str) -> bool:
        """Whether an Authorization header holds the token; takes the same time whatever it holds."""
        return hmac.compare_digest(header.encode("utf-8", "surrogateescape"), self._expected)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread."""
        self.door.enter(request, client_address[0])
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self.door.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; log everything else."""
        error = sys.exc_info()[1]
        if isinstance(error, ClientGone):
            _LOG.info("connection from %s ended: %s", client_address[0], error)
        else:
            _LOG.error("connection from %s failed", client_address[0], exc_info=error)


class Connection(socketserver.BaseRequestHandler):
    """One connection: its request is read, answered, and the connection closed."""

    request: socket.socket

    def setup(self) -> None:
        """Before the request."""
        self._stream = TimedStream(self.request, self.agent.limits.idle_seconds)
        self._file = io.BufferedReader(self._stream, _CHUNK)
        self._unread: int | None = None  # bytes that a refused request may still send; None: nobody knows
        self._is_trusted = False  # has the token, and does not come too slowly

    @property
    def agent(self) -> AgentServer:
        """The server."""
        return cast(AgentServer, self.server)

    def handle(self) -> None:
        """Read, answer; our errors become one line of JSON."""
        try:
            lines = self._head()
            if lines:
                self._send(*self._answer(parse_head(lines)))
        except Refusal as refusal:
            self._refuse(refusal.status, refusal.error)
        except TooSlow:
            self._is_trusted = False  # what is left would come as slowly
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, AgentError("the request came too slowly; send it again"))
        except BoardError as error:
            self._refuse(next(status for kind, status in _STATUS if isinstance(error, kind)), error)
        except ClientGone:
            raise
        except Exception as error:
            _LOG.exception("a request failed by a defect")
            kind, reason = type(error).__name__, isinstance(error, OSError) and error.strerror
            told = f"{kind}: {reason}" if reason else kind
            why = AgentError(f"the agent failed ({told}); its log says more")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, why)

    # ---- the head

    def _head(self) -> list[bytes]:
        """Lines of the head without their ends; none where the client says nothing at all."""
        self._stream.grant(self.agent.limits.head_seconds)
        lines: list[bytes] = []
        left = MOST_HEAD
        while line := self._file.readline(left):
            left -= len(line)
            if not line.endswith(b"\n"):
                break
            line = line[:-1].removesuffix(b"\r")
            if lines and not line:
                return lines
            lines.append(line)
        if not left:
            raise _too_long(lines)
        if not self.agent.door.is_open(self.request):
            raise Refusal(
                HTTPStatus.REQUEST_TIMEOUT, "others came while this request was not whole; send it again"
            )
        if lines or line:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the request ended in its head; send it again")
        return []

    def _answer(self, request: Request) -> Answer:
        """Check the token before anything else, then do what is asked."""
        self._unread = request.length or 0
        if not self.agent.is_allowed(request.authorization):
            raise Refusal(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong")
        self._is_trusted = True
        if not self.agent.door.admit(self.request):
            raise AgentError(f"{self.agent.limits.guests} requests are being answered; ask again later")
        methods = {"GET": self._get, "PUT": self._put, "POST": self._post}
        if request.method not in methods:
            raise Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, f"there is no {request.method}; use GET, PUT or POST"
            )
        return methods[request.method](request)

    # ---- what can be asked

    def _get(self, request: Request) -> Answer:
        if request.path == "/status":
            values = {"board": self.agent.board, "waiting": self.agent.jobs.waiting}
            return HTTPStatus.OK, {**values, "most_bytes": self.agent.store.most_bytes}
        folder, _, identifier = request.path.rpartition("/")
        job = self.agent.jobs.find(identifier) if folder == "/jobs" else None
        if job is None:
            raise Refusal(HTTPStatus.NOT_FOUND, AgentLost("no such job; the agent was restarted"))
        job.finished.wait(min(LONGEST_WAIT, _seconds(request.query)))
        return HTTPStatus.OK, job.to_json()

    def _put(self, request: Request) -> Answer:
        folder, _, digest = request.path.rpartition("/")
        if folder != "/files":
            raise Refusal(HTTPStatus.NOT_FOUND, "files go to /files/SHA256")
        names.DIGEST.check(digest, folder)
        self.agent.store.put(digest, self, self._body_length(request, self.agent.store.most_bytes))
        return HTTPStatus.CREATED, {}

    def _post(self, request: Request) -> Answer:
        if request.path != "/jobs":
            raise Refusal(HTTPStatus.NOT_FOUND, "jobs go to /jobs")
        length = self._body_length(request, MOST_JOB_BYTES)
        body = self.read(length)
        if len(body) != length:
            raise BundleError(f"the request ended after {len(body)} of {length} bytes; send it again")
        try:
            return HTTPStatus.ACCEPTED, self.agent.jobs.submit(_job(body)).to_json()
        except FilesMissing as error:
            return HTTPStatus.CONFLICT, {"missing": error.digests}

    # ---- bodies and answers

    def _body_length(self, request: Request, most: int) -> int:
        """Bytes of the body; its time starts now."""
        if request.length is None:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the request has no Content-Length; send it with one")
        if request.length > most:
            error = BundleError(f"{request.length} bytes are more than {most} bytes; send less")
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
        self._stream.grant(self.agent.limits.seconds_for(request.length))
        return request.length

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes of the body, fewer where it ends."""
        content = self._file.read(size)
        self._unread = max(0, (self._unread or 0) - len(content))
        return content

    def _send(self, status: HTTPStatus, values: dict[str, object]) -> None:
        body = json.dumps(values).encode()
        head = (
            f"HTTP/1.0 {status.value} {status.phrase}",
            "Server: bitlathe",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        with talking():
            self.request.settimeout(self.agent.limits.answer_seconds)
            self.request.sendall("\r\n".join([*head, "", ""]).encode() + body)

    def _refuse(self, status: HTTPStatus, error: BoardError) -> None:
        level = logging.WARNING if status == HTTPStatus.INSUFFICIENT_STORAGE else logging.DEBUG
        _LOG.log(level, "answered %d: %s", status, one_line(str(error)))
        self._send(status, {"error": {"kind": type(error).__name__, "message": str(error)}})
        self._drain()

    def _drain(self) -> None:
        """Read what a refused client still sends: it would get a reset instead of the answer.

        A client that has the token may send all that it announced, in the time that the largest file gets.
        """
        limits = self.agent.limits
        left = MOST_DRAINED if self._unread is None else self._unread
        if self._is_trusted:
            seconds = limits.seconds_for(min(left, self.agent.store.most_bytes))
        else:
            left, seconds = min(left, MOST_DRAINED), limits.refused_seconds
        self._stream.grant(seconds)
        with talking():
            self.request.shutdown(socket.SHUT_WR)
        try:
            while left > 0 and (chunk := self._file.read1(_CHUNK)):
                left -= len(chunk)
        except TooSlow:
            _LOG.debug("what was refused came too slowly to be read to its end")


def _too_long(lines: list[bytes]) -> Refusal:
    if lines:
        message = f"the request's headers have more than {MOST_HEAD} bytes; send less"
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
    return Refusal(
        HTTPStatus.REQUEST_URI_TOO_LONG, f"the request begins with {MOST_HEAD} bytes without a line end"
    )


def _job(body: bytes) -> MeasureJob:
    fields = JsonFields.parse(body, "job")
    names.JOB.check(fields.text("id"), "job")
    images = None if fields.values.get("images") is None else fields.integer("images", 1)
    manifest = manifest_of(JsonFields.of(fields.fields("manifest").values, MANIFEST))
    checks = "check" in fields.values and fields.flag("check")
    return MeasureJob(identifier=fields.text("id"), manifest=manifest, images=images, checks=checks)


def _seconds(query: str) -> float:
    given = parse_qs(query).get("wait", ["0"])[0]
    return float(given) if given.isascii() and given.isdigit() else 0.0
