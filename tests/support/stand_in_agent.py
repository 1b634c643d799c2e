"""An agent on the loopback with a stand-in for its worker, and clients that say what a test wants."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from small_bundle import RESULT

from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.client import Agent
from bitlathe.board.jobs import Jobs
from bitlathe.board.measurement import Measurement
from bitlathe.board.server import AgentServer, DoorLimits
from bitlathe.board.store import FileStore

TOKEN = "a token of the tests"


class StandIn:
    """In a worker's place: answers when it is let, and raises what a test puts in `raises` first."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.raises: list[BaseException] = []
        self.ran: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    def measure(self, folder: Path, images: int | None) -> Measurement:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.may_answer.wait()
        network = open_bundle(folder).manifest.network
        self.ran.append(network)
        self.at_once -= 1
        if self.raises:
            raise self.raises.pop(0)
        return replace(RESULT, network=network)


@contextmanager
def serving(
    folder: Path, stand_in: StandIn, most_bytes: int = 4 << 20, limits: DoorLimits | None = None
) -> Iterator[AgentServer]:
    """An agent that keeps its files in a folder, for the time of the block."""
    store = FileStore(folder, most_bytes)
    jobs = Jobs(store, stand_in)  # type: ignore[arg-type]  # a stand-in for the worker
    server = AgentServer(("127.0.0.1", 0), TOKEN, "pynq-z2", store, jobs, limits)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        stand_in.may_answer.set()
        server.shutdown()
        server.server_close()


def client_of(server: AgentServer) -> Agent:
    """An agent's client."""
    return Agent(host="127.0.0.1", port=server.server_address[1], token=TOKEN)


def raw(agent: Agent, text: bytes, *, close: bool = True) -> bytes:
    """The agent's answer to bytes after which the client sends nothing else."""
    with socket.create_connection((agent.host, agent.port), timeout=20) as connection:
        connection.sendall(text)
        if close:
            connection.shutdown(socket.SHUT_WR)
        return rest_of(connection)


def rest_of(connection: socket.socket) -> bytes:
    """All that comes on a connection until its end."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def status_of(answer: bytes) -> int:
    """Status of an answer."""
    return int(answer.split()[1])


def head(method: str, path: str, length: object, token: str = TOKEN) -> bytes:
    """A request without its body."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token}",
        f"Content-Length: {length}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def job_text(bundle: Bundle, number: int = 0) -> bytes:
    """The body that asks for a bundle's job."""
    job = {"id": f"{number:032x}", "manifest": json.loads(bundle.manifest.encode()), "images": None}
    return json.dumps(job).encode()


def connect(agent: Agent, first: bytes = b"") -> socket.socket:
    """A connection on which some bytes were sent."""
    connection = socket.create_connection((agent.host, agent.port), timeout=20)
    connection.sendall(first)
    return connection


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for what other threads bring about; a busy machine takes its time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.005)


def full_disk(*_: object) -> None:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
