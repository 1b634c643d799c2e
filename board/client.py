"""The host's side: one agent, or several as a pool."""

from __future__ import annotations

import http.client
import json
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from bitlathe.board import names
from bitlathe.board.agent import DEFAULT_PORT
from bitlathe.board.bundle import Bundle
from bitlathe.board.check_report import CheckReport
from bitlathe.board.errors import AgentError, AgentLost, BoardError, error_named
from bitlathe.board.fields import JsonFields
from bitlathe.board.measurement import Measurement
from bitlathe.board.server import LONGEST_WAIT
from bitlathe.board.text import one_line

_LOG = logging.getLogger(__name__)
TRIES = 3
ROUNDS = 4  # of sending what a job lacks
PAUSE_SECONDS = 0.5  # before the second try, doubled each time
STEP_SECONDS = LONGEST_WAIT + 20.0  # for a piece of a body to leave, and for each part of the answer to come
PIECE_BYTES = 1 << 16
MOST_ANSWER_BYTES = 64 << 20
_PASSING = (http.client.REQUEST_TIMEOUT, http.client.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """An agent's description of itself."""

    board: str
    waiting: int
    most_bytes: int

    def __post_init__(self) -> None:
        names.BOARD.check(self.board, "agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent at an address. Every request is safe to repeat, so broken connections are tried again."""

    host: str
    port: int
    token: str
    timeout_seconds: float = 600.0  # for one measurement, its time in the queue included

    @classmethod
    def at(cls, address: str, token: str) -> Agent:
        """Agent at HOST or HOST:PORT; AgentError for anything else."""
        try:
            parts = urlsplit(f"//{address.removeprefix('http://')}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or parts.path:
            raise AgentError(f"{address!r} is not an agent's address; give HOST or HOST:PORT")
        return cls(host=host, port=port or DEFAULT_PORT, token=token)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def status(self) -> AgentStatus:
        """The agent's description of itself."""
        fields = self._ask("GET", "/status")[1]
        return AgentStatus(
            board=fields.text("board"),
            waiting=fields.integer("waiting"),
            most_bytes=fields.integer("most_bytes"),
        )

    def measure(self, bundle: Bundle, images: int | None = None) -> Measurement:
        """Send what the agent lacks of a bundle, run it there, and wait for its measurement.

        Raises what the runner raised there, or AgentError.
        """
        return Measurement.from_json(self._done(bundle, {"images": images}))

    def check(self, bundle: Bundle, images: int | None = None) -> CheckReport:
        """Look at the board with a bundle; raises as `measure`."""
        return CheckReport.from_json(self._done(bundle, {"images": images, "check": True}))

    def _done(self, bundle: Bundle, asked: dict[str, object]) -> JsonFields:
        """The result of a job on a bundle."""
        identifier = uuid.uuid4().hex
        job = {"id": identifier, "manifest": json.loads(bundle.manifest.encode()), **asked}
        deadline = time.monotonic() + self.timeout_seconds
        fields = self._submit(json.dumps(job).encode(), bundle)
        while fields.text("state") not in ("done", "failed"):
            if time.monotonic() > deadline:
                raise AgentLost(f"agent {self}: no answer in {self.timeout_seconds:g} s; look at its log")
            fields = self._ask("GET", f"/jobs/{identifier}?wait={LONGEST_WAIT:.0f}")[1]
        if fields.text("state") == "failed":
            raise _error(fields)
        return fields.fields("result")

    def _submit(self, job: bytes, bundle: Bundle) -> JsonFields:
        """Ask for a job and send what the agent lacks for it, again where others took its room meanwhile."""
        status, fields = self._ask("POST", "/jobs", job)
        for _ in range(ROUNDS):
            if status != http.client.CONFLICT:
                return fields
            self._upload(fields.texts("missing"), bundle)
            status, fields = self._ask("POST", "/jobs", job)
        if status != http.client.CONFLICT:
            return fields
        raise AgentError(
            f"agent {self}: others' files took the room of the bundle's {ROUNDS} times; try again later, "
            "or start it with a larger --most-mib"
        )

    def _upload(self, digests: Sequence[str], bundle: Bundle) -> None:
        """Send files of a bundle that the agent lacks; AgentError where it cannot keep the bundle at all."""
        files = {entry.sha256: (name, entry.size) for name, entry in bundle.manifest.files.items()}
        needed, most = sum(size for _, size in files.values()), self.status().most_bytes
        if needed > most:
            raise AgentError(
                f"agent {self}: keeps {most} bytes, the bundle has {needed}; start it with a larger "
                "--most-mib"
            )
        for digest in digests:
            if digest not in files:
                raise AgentError(f"agent {self}: asks for a file that its bundle does not have")
            self._ask("PUT", f"/files/{digest}", bundle.bytes(files[digest][0]))

    def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, JsonFields]:
        """Status and fields of an answer; what may pass is tried again: a lost connection, a busy agent."""
        pauses = [PAUSE_SECONDS * 2**attempt for attempt in range(TRIES - 1)]
        while True:
            try:
                status, fields = self._ask_once(method, path, body)
            except (OSError, http.client.HTTPException, UnicodeError) as error:  # the last of a host's name
                failure: BoardError = self._lost(error)
                passes = True
            else:
                if status < http.client.BAD_REQUEST or status == http.client.CONFLICT:
                    return status, fields
                failure, passes = _error(fields), status in _PASSING
            if not passes or not pauses:
                raise failure
            _LOG.info("agent %s: %s %s failed: %s", self, method, path, failure)
            time.sleep(pauses.pop(0))

    def _ask_once(self, method: str, path: str, body: bytes) -> tuple[int, JsonFields]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=STEP_SECONDS)
        try:
            headers = {
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }
            connection.connect()
            with suppress(BrokenPipeError, ConnectionResetError):  # why may have been answered before
                connection.request(method, path, _pieces(body), headers)
            response = connection.getresponse()
            content = response.read(MOST_ANSWER_BYTES)
            if response.length:
                raise http.client.IncompleteRead(content, response.length)
        finally:
            connection.close()
        return response.status, JsonFields.parse(content, f"agent {self}")

    def _lost(self, error: Exception) -> AgentLost:
        return AgentLost(
            f"agent {self} cannot be reached ({type(error).__name__}: {one_line(str(error))}); "
            "is it running, and the tunnel open?"
        )


def _pieces(body: bytes) -> Iterator[memoryview]:
    """A body in pieces: a socket's timeout is for all bytes that it is given at once, however they go."""
    view = memoryview(body)
    return (view[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))


def _error(fields: JsonFields) -> BoardError:
    error = fields.fields("error")
    return error_named(error.text("kind"), error.text("message"))
