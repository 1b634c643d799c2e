"""An upload that is refused, or goes slowly, is answered all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path

import pytest
from stand_in_agent import StandIn, client_of, connect, full_disk, head, rest_of, serving, status_of

from bitlathe.board.client import Agent
from bitlathe.board.door import DoorLimits
from bitlathe.board.errors import BundleError

MIB = 1 << 20


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """The client of an agent that takes files of up to 8 MiB."""
    with serving(tmp_path / "store", StandIn(), 8 * MIB) as server:
        yield client_of(server)


@pytest.mark.parametrize("status", [413, 507, 503])
def test_a_refused_upload_of_64_mib_is_read_to_its_end_and_answered(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 8 * MIB if status == 413 else 64 * MIB
    limits = DoorLimits(guests=0 if status == 503 else 64)
    monkeypatch.setattr("bitlathe.board.store._write", full_disk)
    request = head("PUT", "/files/" + "0" * 64, 64 * MIB)
    with (
        serving(tmp_path, StandIn(), most, limits) as server,
        connect(client_of(server), request) as connection,
    ):
        for _ in range(64):
            connection.sendall(bytes(MIB))
        assert status_of(rest_of(connection)) == status


def test_a_client_reads_why_it_was_cut_off(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitlathe.board.server.Connection._drain", lambda handler: None)
    with pytest.raises(BundleError, match="67108864 bytes are more than 8388608 bytes; send less"):
        agent._ask("PUT", "/files/" + "0" * 64, bytes(64 * MIB))


class _Line:
    """A connection that sends 64 KiB a second, by a clock of its own, and answers at the end."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self.seconds = 0.0

    def sendall(self, data: Sized) -> None:
        """Take bytes, with the one deadline for all of them that a socket has."""
        needed = len(data) / (1 << 16)
        if needed > self._timeout:
            raise TimeoutError
        self.seconds += needed

    def makefile(self, mode: str) -> BytesIO:
        """The answer."""
        return BytesIO(b"HTTP/1.0 201 Created\r\nContent-Length: 2\r\n\r\n{}")

    def close(self) -> None:
        """End."""


def test_a_client_has_no_deadline_for_a_whole_upload_that_goes_steadily(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[_Line] = []

    def to_line(connection: HTTPConnection) -> None:
        lines.append(_Line(connection.timeout))
        connection.sock = lines[-1]

    monkeypatch.setattr(HTTPConnection, "connect", to_line)
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    assert agent._ask("PUT", "/files/" + "0" * 64, bytes(64 * MIB))[0] == 201
    assert len(lines) == 1 and lines[0].seconds > 1000
