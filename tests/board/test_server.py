"""The agent answers whoever is honest, whatever others do meanwhile; each fault is one clear answer."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_bundle import small_bundle, small_manifest
from stand_in_agent import (
    TOKEN,
    StandIn,
    client_of,
    connect,
    full_disk,
    head,
    job_text,
    raw,
    rest_of,
    serving,
    status_of,
    until,
)

from bitlathe.board.client import Agent
from bitlathe.board.door import DoorLimits
from bitlathe.board.errors import AgentError, BundleError, StoreFull
from bitlathe.board.server import AgentServer

MIB = 1 << 20
STATUS = head("GET", "/status", 0)


@pytest.fixture
def stand_in() -> StandIn:
    """What answers in a worker's place."""
    return StandIn()


@pytest.fixture
def server(tmp_path: Path, stand_in: StandIn) -> Iterator[AgentServer]:
    """An agent that takes files of up to 8 MiB."""
    with serving(tmp_path / "store", stand_in, 8 * MIB) as made:
        yield made


@pytest.fixture
def agent(server: AgentServer) -> Agent:
    """Its client."""
    return client_of(server)


@pytest.fixture
def clean_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of a test, in which there must be neither a traceback nor a line that is two."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    for record in caplog.records:
        assert record.exc_info is None, record.getMessage()
        assert record.getMessage().isprintable()


# ---- at once, and slowly


def test_twelve_uploads_of_3_mib_at_once_are_all_taken(agent: Agent, server: AgentServer) -> None:
    contents = [bytes([number]) * (3 * MIB) for number in range(12)]
    begin = threading.Barrier(12)

    def send(content: bytes) -> int:
        begin.wait(20)
        request = head("PUT", f"/files/{sha256(content).hexdigest()}", len(content))
        return status_of(raw(agent, request + content))

    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(send, contents)) == [201] * 12
    files = list(server.store._files.iterdir())
    assert len(files) == 2 and sum(path.stat().st_size for path in files) == 6 * MIB


def test_an_upload_that_sends_one_byte_of_8_mib_removes_nothing(agent: Agent, server: AgentServer) -> None:
    content = b"kept"
    agent._ask("PUT", f"/files/{sha256(content).hexdigest()}", content)
    with connect(agent, head("PUT", "/files/" + "0" * 64, 8 * MIB) + b"x"):
        other = b"another"
        agent._ask("PUT", f"/files/{sha256(other).hexdigest()}", other)
        kept = {path.name for path in server.store._files.iterdir()}
        assert {sha256(content).hexdigest(), sha256(other).hexdigest()} < kept


@pytest.mark.parametrize("count", [16, 100])
@pytest.mark.parametrize("first", [b"", b"GET /status HTTP/1.1\r\nX: ", b"PUT /files/0 HTTP/1.1\r\n"])
def test_an_honest_request_is_answered_beside_slow_ones(
    tmp_path: Path, stand_in: StandIn, count: int, first: bytes
) -> None:
    limits = DoorLimits(head_seconds=60)
    with serving(tmp_path, stand_in, limits=limits) as server, ExitStack() as stack:
        agent = client_of(server)
        slow = [stack.enter_context(connect(agent, first)) for _ in range(count)]
        for connection in slow[-16:]:
            connection.sendall(b"G")
            began = time.monotonic()
            assert agent.status().board == "pynq-z2"
            assert time.monotonic() - began < limits.head_seconds / 2


def test_who_has_waited_longest_makes_way_and_is_told(tmp_path: Path, stand_in: StandIn) -> None:
    with serving(tmp_path, stand_in, limits=DoorLimits(of_one_address=2)) as server, ExitStack() as stack:
        agent = client_of(server)
        slow = [stack.enter_context(connect(agent, b"GET /")) for _ in range(3)]
        answer = rest_of(slow[0])
        assert status_of(answer) == 408 and b"others came while this request was not whole" in answer
        slow[2].sendall(STATUS[5:])
        assert status_of(rest_of(slow[2])) == 200


def test_a_head_has_one_deadline_however_its_bytes_come(tmp_path: Path, stand_in: StandIn) -> None:
    with serving(tmp_path, stand_in, limits=DoorLimits(head_seconds=0.3)) as server:
        with connect(client_of(server)) as connection:
            assert _drips(connection, b"GET /status HTTP/1.1\r\n" + b"X: y\r\n" * 1000) == 408
        with connect(client_of(server)) as connection:
            assert status_of(rest_of(connection)) == 408


def test_a_body_has_one_deadline_however_its_bytes_come(tmp_path: Path, stand_in: StandIn) -> None:
    limits = DoorLimits(body_seconds=0.3, body_rate=1 << 30)
    with serving(tmp_path, stand_in, limits=limits) as server:
        for request in (head("PUT", "/files/" + "0" * 64, 4096), head("POST", "/jobs", 4096)):
            with connect(client_of(server), request) as connection:
                assert _drips(connection, bytes(4096)) == 408
        assert list(server.store._files.iterdir()) == []


def test_senders_that_fall_silent_in_a_body_give_up_their_places(tmp_path: Path, stand_in: StandIn) -> None:
    limits = DoorLimits(guests=4, idle_seconds=0.1, refused_seconds=0.1)
    most = 256 * MIB
    with serving(tmp_path, stand_in, most, limits) as server, ExitStack() as stack:
        agent = client_of(server)
        begun = [head("PUT", f"/files/{number:064x}", most) + b"x" for number in range(4)]
        for silent in [stack.enter_context(connect(agent, text)) for text in begun]:
            answer = rest_of(silent)
            assert status_of(answer) == 408 and b"came too slowly" in answer
        until(lambda: not server.door._guests)
        assert agent.status().board == "pynq-z2"
        assert list(server.store._files.iterdir()) == [] and not server.store._uploads


def _drips(connection: socket.socket, text: bytes) -> int:
    """Status of the answer that ends the sending of a text, one byte every few milliseconds."""
    connection.settimeout(0.01)
    for byte in text:
        connection.sendall(bytes([byte]))
        try:
            answer = connection.recv(1 << 16)
        except TimeoutError:
            continue
        return status_of(answer)
    raise AssertionError("all was sent, and nothing was answered")


def test_a_refused_body_is_not_waited_for(tmp_path: Path, stand_in: StandIn) -> None:
    limits = DoorLimits(refused_seconds=0.1)
    with serving(tmp_path, stand_in, limits=limits) as server:
        with connect(client_of(server), head("PUT", "/files/" + "0" * 64, 8 * MIB, "wrong")) as connection:
            assert status_of(rest_of(connection)) == 401
        until(lambda: not server.door._strangers and not server.door._guests)


def test_strangers_take_no_guests_place_and_guests_no_strangers(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    limits = DoorLimits(guests=1, of_one_address=1)
    with serving(tmp_path / "store", stand_in, limits=limits) as server:
        agent = client_of(server)
        stand_in.may_answer.clear()
        bundle = small_bundle(tmp_path)
        agent._submit(job_text(bundle), bundle)
        until(lambda: not server.door._guests)  # the submission's thread ends after its answer was read
        with connect(agent, head("GET", f"/jobs/{0:032x}?wait=20", 0)) as waiting:
            until(lambda: len(server.door._guests) == 1)
            with connect(agent, b"GET /slow"):
                with pytest.raises(AgentError, match="1 requests are being answered; ask again later"):
                    agent.status()
                stand_in.may_answer.set()
                assert status_of(rest_of(waiting)) == 200
            assert agent.status().board == "pynq-z2"


def test_a_client_asks_again_where_the_agent_is_busy(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    admitted = iter([False, True])
    admit = server.door.admit
    monkeypatch.setattr(server.door, "admit", lambda connection: next(admitted) and admit(connection))
    assert agent.status().board == "pynq-z2"


# ---- requests that are none


REQUESTS = {
    b"GET http://[ HTTP/1.1\r\n\r\n": 400,
    b"GET /status\r\n\r\n": 400,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 400,
    b"\r\n\r\n": 400,
    b"GET /status HTTP/1.1\r\n": 400,
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n": 414,
    b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n": 431,
    b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n": 431,
    b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100 + b"\r\n": 431,
    b"\0" * 70_000: 414,
    head("DELETE", "/status", 0): 405,
    head("HEAD", "/status", 0): 405,
    head("GET", "/%00", 0): 404,
    head("GET", "/jobs/..%2f..", 0): 404,
    head("GET", "/../../etc/passwd", 0): 404,
    head("GET", "/jobs/" + "0" * 32 + "?wait=" + "9" * 5000, 0): 404,
    head("GET", "/jobs/" + "0" * 32 + "?" + "&" * 8000, 0): 404,
    head("GET", "/status", "9" * 5000): 400,
    head("PUT", "/files/" + "0" * 64, "9" * 5000): 400,
    head("PUT", "/files/" + "0" * 64, "9" * 18): 413,
    head("PUT", "/files/" + "0" * 64, "+1") + b"x": 400,
    head("PUT", "/files/" + "0" * 64, "1_000") + b"x" * 1000: 400,
    head("PUT", "/files/" + "0" * 64, "1\r\nContent-Length: 2") + b"xx": 400,
    head("PUT", "/files/" + "0" * 64, "1\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n": 411,
    head("PUT", "/files/" + "0" * 64, 1).replace(b"Content-Length: 1\r\n", b""): 411,
    head("PUT", "/files/%00", 0): 400,
    head("PUT", "/files/" + "0" * 63 + "\n", 0): 400,
    head("POST", "/jobs", 3) + b"nul": 400,
    head("POST", "/jobs", 5001) + b'{"id": ' + b"9" * 4993 + b"}": 400,
    head("POST", "/jobs", 100_000) + b"[" * 100_000: 400,
    head("POST", "/jobs", 10) + b"{": 400,
}


@pytest.mark.parametrize("request_text", REQUESTS, ids=range(len(REQUESTS)))
def test_a_request_that_is_none_is_one_clear_answer(
    request_text: bytes, agent: Agent, clean_log: pytest.LogCaptureFixture
) -> None:
    answer = raw(agent, request_text)
    assert status_of(answer) == REQUESTS[request_text]
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["message"].isprintable() and len(error["message"]) < 400
    assert agent.status().board == "pynq-z2"


def test_a_request_of_plain_line_ends_is_read(agent: Agent) -> None:
    assert status_of(raw(agent, STATUS.replace(b"\r\n", b"\n"))) == 200


def test_a_client_that_says_nothing_or_leaves_is_no_matter(
    agent: Agent, clean_log: pytest.LogCaptureFixture
) -> None:
    assert raw(agent, b"") == b""
    for text in (b"GET", STATUS, head("PUT", "/files/" + "0" * 64, 8 * MIB) + bytes(MIB)):
        connection = connect(agent, text)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset at once
        connection.close()
    assert agent.status().board == "pynq-z2"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, 200),
    text=st.binary(max_size=8),
    length=st.integers(-2, 12) | st.sampled_from(["", "0x1", "1" * 30]),
    body=st.binary(max_size=12),
)
def test_a_damaged_request_is_answered_or_closed_without_a_traceback(
    where: int, text: bytes, length: object, body: bytes, agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    sound = head("POST", "/jobs", length) + body
    answer = raw(agent, sound[:where] + text + sound[where + len(text) :])
    assert 400 <= status_of(answer) < 500
    assert not [record for record in caplog.records if record.exc_info]


# ---- names that come over the network


@pytest.mark.parametrize(
    ("field", "name"),
    [("board", "a\nagent: all is well"), ("board", "../../.."), ("network", "a\x1b[2J"), ("board", "\ud800")],
)
def test_a_name_in_a_job_forges_no_line_of_the_log(
    field: str, name: str, agent: Agent, clean_log: pytest.LogCaptureFixture
) -> None:
    values = json.loads(small_manifest().encode()) | {field: name}
    body = json.dumps({"id": "0" * 32, "manifest": values, "images": 1}).encode()
    with pytest.raises(BundleError, match=f"cannot be the name of a {field}"):
        agent._ask("POST", "/jobs", body)


def test_an_error_of_many_lines_is_one_in_the_log(
    agent: Agent, stand_in: StandIn, clean_log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    stand_in.raises.append(BundleError("x\nagent: all is well\x1b[2J"))
    with pytest.raises(BundleError, match=r"x\\nagent: all is well\\x1b\[2J"):
        agent.measure(small_bundle(tmp_path))
    assert any(r"x\nagent: all is well\x1b" in record.getMessage() for record in clean_log.records)


# ---- disks and jobs


def test_a_full_disk_is_told_and_the_half_removed(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch, clean_log: pytest.LogCaptureFixture
) -> None:
    content = bytes(100_000)
    request = head("PUT", f"/files/{sha256(content).hexdigest()}", len(content)) + content
    with monkeypatch.context() as patched:
        patched.setattr("bitlathe.board.store._write", full_disk)
        answer = raw(agent, request)
    assert status_of(answer) == 507 and b"No space left on device" in answer
    assert list(server.store._files.iterdir()) == []
    assert status_of(raw(agent, request)) == 201


def test_a_disk_too_full_for_a_jobs_folder_fails_the_job_alone(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = small_bundle(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("bitlathe.board.store.os.link", full_disk)
        with pytest.raises(StoreFull, match="No space left on device"):
            agent.measure(bundle)
    assert list(server.store._bundles.iterdir()) == [] and not server.store._held
    assert agent.measure(bundle).network == "small"


def test_a_disk_that_fails_is_told_and_is_not_taken_for_a_client_that_left(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = small_bundle(tmp_path)
    agent.measure(bundle)
    content = b"another file"
    put = head("PUT", f"/files/{sha256(content).hexdigest()}", len(content)) + content
    post = head("POST", "/jobs", len(job_text(bundle))) + job_text(bundle)
    for method, request, done in (("is_file", post, "read"), ("unlink", put, "written")):
        with monkeypatch.context() as patched:
            _fail_under(patched, method, server.store._files)
            answer = raw(agent, request)
        assert status_of(answer) == 507
        assert f"files: cannot be {done} (Input/output error); make room there".encode() in answer
    assert agent.measure(bundle).network == "small"


def _fail_under(patched: pytest.MonkeyPatch, method: str, folder: Path) -> None:
    """Let a method of all paths in a folder raise what a dying disk does."""
    sound = getattr(Path, method)

    def failing(path: Path, *arguments: object, **more: object) -> object:
        if path.parent == folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return sound(path, *arguments, **more)

    patched.setattr(Path, method, failing)


def test_an_error_of_the_system_that_nobody_expected_is_an_answer(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.jobs, "find", full_disk)
    answer = raw(agent, head("GET", f"/jobs/{0:032x}", 0))
    assert status_of(answer) == 500
    assert b"the agent failed (OSError: No space left on device); its log says more" in answer


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), KeyError("x"), MemoryError(), RecursionError(), OSError("x")],
)
def test_a_job_that_raises_anything_fails_alone(
    error: BaseException, agent: Agent, server: AgentServer, stand_in: StandIn, tmp_path: Path
) -> None:
    bundle = small_bundle(tmp_path)
    stand_in.raises.append(error)
    with pytest.raises(AgentError, match=f"the job ended by {type(error).__name__}"):
        agent.measure(bundle)
    assert agent.measure(bundle).network == "small"
    assert not server.store._held and list(server.store._bundles.iterdir()) == []


def test_files_of_a_job_that_waits_are_not_removed(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path / "store", stand_in, most_bytes=1000) as server:
        agent = client_of(server)
        server.store._patience_seconds = 0.05
        monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
        stand_in.may_answer.clear()
        bundle = small_bundle(tmp_path)
        agent._submit(job_text(bundle), bundle)
        content = bytes(900)
        with pytest.raises(AgentError, match="leaves no room for it now"):
            agent._ask("PUT", f"/files/{sha256(content).hexdigest()}", content)
        stand_in.may_answer.set()
        agent._ask("GET", f"/jobs/{0:032x}?wait=20")
        agent._ask("PUT", f"/files/{sha256(content).hexdigest()}", content)
        assert stand_in.ran == ["small"]


def test_a_defect_of_the_server_is_an_answer_and_a_traceback_in_the_log(
    agent: Agent, server: AgentServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(server.jobs), "waiting", property(lambda _: 1 // 0))
        with pytest.raises(AgentError, match=r"the agent failed \(ZeroDivisionError\); its log says more"):
            agent.status()
    assert [record for record in caplog.records if record.exc_info]
    assert agent.status().board == "pynq-z2"
    assert TOKEN not in caplog.text
