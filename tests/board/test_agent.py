"""The agent runs what it is given, refuses what it must, and outlives whatever happens to its worker."""

from __future__ import annotations

import fcntl
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import needs
import pytest
from small_bundle import small_bundle, small_manifest
from stand_in_agent import TOKEN, StandIn, client_of, head, job_text, raw, serving

from bitlathe.board.agent import SHORTEST_TOKEN, read_token
from bitlathe.board.agent import main as serve
from bitlathe.board.bundle import open_bundle
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError, BundleError, DeviceError
from bitlathe.board.local import agents_at, simulated_agent
from bitlathe.board.manifest import Manifest
from bitlathe.board.measurement import Measurement
from bitlathe.board.pool import Pool
from bitlathe.board.server import AgentServer
from bitlathe.board.store import FileStore

needs.package("pynq")


@pytest.fixture
def stand_in() -> StandIn:
    """What answers in a worker's place."""
    return StandIn()


@pytest.fixture
def server(tmp_path: Path, stand_in: StandIn) -> Iterator[AgentServer]:
    """An agent that takes files of up to 4 MiB."""
    with serving(tmp_path / "store", stand_in) as made:
        yield made


@pytest.fixture
def agent(server: AgentServer) -> Agent:
    """Its client."""
    return client_of(server)


# ---- with a stand-in for the worker


def test_only_files_that_are_not_there_are_sent(agent: Agent, server: AgentServer, tmp_path: Path) -> None:
    first, second = small_bundle(tmp_path), small_bundle(tmp_path, network="other")
    assert agent.measure(first).network == "small"
    assert server.store.missing(second.manifest) == []
    assert agent.measure(second).network == "other"


@pytest.mark.parametrize("rounds", [2, 4])
def test_files_that_others_displace_are_sent_again(
    rounds: int, agent: Agent, server: AgentServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = small_bundle(tmp_path)
    hold, displaced = server.store.hold, iter(sorted(server.store.missing(bundle.manifest)) * 2)
    left = iter(range(rounds))

    def hold_after_others(manifest: Manifest) -> list[str]:
        if next(left, None) is not None:
            (server.store._files / next(displaced)).unlink(missing_ok=True)
        return hold(manifest)

    monkeypatch.setattr(server.store, "hold", hold_after_others)
    assert agent.measure(bundle).network == "small"


def test_files_that_others_displace_for_ever_are_given_up(
    agent: Agent, server: AgentServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = small_bundle(tmp_path)
    lacking = server.store.missing(bundle.manifest)
    monkeypatch.setattr(server.store, "hold", lambda manifest: lacking)
    with pytest.raises(AgentError, match=r"took the room of the bundle's 4 times; try again later, or start"):
        agent.measure(bundle)


def test_a_bundle_that_an_agent_can_never_keep_is_not_sent(tmp_path: Path, stand_in: StandIn) -> None:
    bundle = small_bundle(tmp_path)
    with serving(tmp_path / "store", stand_in, most_bytes=397) as server:
        with pytest.raises(
            AgentError, match="keeps 397 bytes, the bundle has 398; start it with a larger --mo"
        ):
            client_of(server).measure(bundle)
        assert list(server.store._files.iterdir()) == []


def test_one_job_runs_at_a_time_and_all_are_answered(agent: Agent, stand_in: StandIn, tmp_path: Path) -> None:
    bundles = [small_bundle(tmp_path, network=f"n{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(agent.measure, bundles))
    assert [answer.network for answer in answers] == [f"n{number}" for number in range(6)]
    assert (sorted(stand_in.ran), stand_in.most_at_once) == ([f"n{number}" for number in range(6)], 1)


def test_a_job_asked_for_twice_runs_once(agent: Agent, stand_in: StandIn, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    agent.measure(bundle)
    for _ in range(3):
        agent._ask("POST", "/jobs", job_text(bundle))
    agent._ask("GET", f"/jobs/{'0' * 32}?wait=20")
    assert len(stand_in.ran) == 2


def test_a_full_queue_refuses(agent: Agent, stand_in: StandIn, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    agent.measure(bundle)
    stand_in.may_answer.clear()
    with pytest.raises(AgentError, match="32 jobs are waiting; ask again later"):
        for number in range(40):
            agent._ask("POST", "/jobs", job_text(bundle, number))
    stand_in.may_answer.set()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\xff" * 20])
def test_a_wrong_token_is_refused_before_anything_else(agent: Agent, token: str, tmp_path: Path) -> None:
    for method, path in (
        ("GET", "/status"),
        ("PUT", "/files/" + "0" * 64),
        ("POST", "/jobs"),
        ("GET", "/no"),
    ):
        assert (
            b" 401 " in raw(agent, head(method, path, 0, token).decode().encode("latin-1")).split(b"\r\n")[0]
        )
    with pytest.raises(AgentError, match="the token is missing or wrong"):
        replace(agent, token="another token").measure(small_bundle(tmp_path))


def test_a_missing_token_is_refused(agent: Agent) -> None:
    assert raw(agent, b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.0 401")


def test_an_upload_past_the_limit_is_refused_unread(agent: Agent, server: AgentServer) -> None:
    answer = raw(agent, head("PUT", "/files/" + "0" * 64, (4 << 20) + 1))
    assert answer.startswith(b"HTTP/1.0 413") and b"more than 4194304 bytes; send less" in answer
    assert b" 413 " in raw(agent, head("POST", "/jobs", 9 << 20))
    assert list((server.store._files).iterdir()) == []


@pytest.mark.parametrize("length", ["", "-1", "x", "1e9", "\u0661"])
def test_an_upload_of_no_length_is_refused(agent: Agent, length: str) -> None:
    assert b" 400 " in raw(agent, head("PUT", "/files/" + "0" * 64, length)).split(b"\r\n")[0]


def test_a_truncated_upload_is_refused_and_leaves_nothing(agent: Agent, server: AgentServer) -> None:
    answer = raw(agent, head("PUT", "/files/" + "0" * 64, 1000) + b"only this")
    assert b" 400 " in answer and b"9 of 1000 bytes came" in answer
    assert b" 400 " in raw(agent, head("POST", "/jobs", 1000) + b"{")
    assert list((server.store._files).iterdir()) == []


def test_a_file_under_anothers_digest_is_refused(agent: Agent, server: AgentServer) -> None:
    with pytest.raises(BundleError, match="send it again"):
        agent._ask("PUT", "/files/" + "0" * 64, b"something else")
    assert list((server.store._files).iterdir()) == []


@pytest.mark.parametrize("name", ["../../../etc/evil", "..%2f..%2fevil", "0" * 63, "0" * 63 + "/", "A" * 64])
def test_a_path_out_of_the_store_is_refused(agent: Agent, name: str, tmp_path: Path) -> None:
    answer = raw(agent, head("PUT", f"/files/{name}", 4) + b"evil")
    assert answer.split()[1] in (b"400", b"404")
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


def test_a_path_out_of_a_bundle_is_refused(agent: Agent) -> None:
    values = json.loads(small_manifest().encode())
    values["files"]["../evil"] = {"size": 1, "sha256": "0" * 64}
    with pytest.raises(BundleError, match=r"'\.\./evil' cannot be the name of a file in a bundle"):
        agent._ask("POST", "/jobs", json.dumps({"id": "0" * 32, "manifest": values, "images": 1}).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 3}', b'{"id": "../x"}', b"\xff\xfe"])
def test_a_job_that_is_none_is_refused(agent: Agent, body: bytes) -> None:
    assert raw(agent, head("POST", "/jobs", len(body)) + body).split()[1] in (b"400", b"413")


@pytest.mark.parametrize(
    "text", [b"\x16\x03\x01\x02", b"GET\r\n\r\n", b"DELETE / HTTP/1.1\r\n\r\n", b"\0" * 70000]
)
def test_what_is_no_request_is_refused_and_the_next_works(agent: Agent, text: bytes) -> None:
    assert b" 200 " not in raw(agent, text).split(b"\r\n")[0]
    assert agent.status().board == "pynq-z2"


def test_unknown_paths_and_jobs_are_named(agent: Agent) -> None:
    for method, path, told in (
        ("GET", "/jobs/" + "0" * 32, "no such job"),
        ("GET", "/", "no such job"),
        ("PUT", "/x", "files go to /files/SHA256"),
        ("POST", "/x", "jobs go to /jobs"),
    ):
        with pytest.raises(AgentError, match=told):
            agent._ask(method, path, b"x" if method != "GET" else b"")


def test_the_longest_unused_files_make_room(tmp_path: Path) -> None:
    from hashlib import sha256
    from io import BytesIO

    store = FileStore(tmp_path, 1000)
    contents = [bytes([number]) * 400 for number in range(4)]
    for content in contents:
        store.put(sha256(content).hexdigest(), BytesIO(content), len(content))
        time.sleep(0.01)
    kept = {path.name for path in (tmp_path / "files").iterdir()}
    assert kept == {sha256(content).hexdigest() for content in contents[2:]}


def test_what_a_killed_agent_left_is_cleared(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 1000)
    (store._files / ".part-half").write_bytes(b"x")
    (store._bundles / ".part-half").mkdir()
    FileStore(tmp_path, 1000)
    assert not list(store._files.iterdir()) and not list(store._bundles.iterdir())


def test_a_token_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    token = read_token(path)
    assert len(token) >= 32 and read_token(path) == token
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("x" * 40, 0o644, "others may read the token; chmod 600"),
        ("short", 0o600, f"fewer than {SHORTEST_TOKEN}"),
    ],
)
def test_a_weak_token_is_refused(tmp_path: Path, text: str, mode: int, message: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(AgentError, match=message):
        read_token(path)


@pytest.mark.parametrize("address", ["", "http://", "host:port", "host:99999", "host/path", "a:b:c"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AgentError, match="is not an agent's address; give HOST or HOST:PORT"):
        Agent.at(address, TOKEN)


def test_an_agent_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        agent = Agent(host="127.0.0.1", port=free.getsockname()[1], token=TOKEN)
        with pytest.raises(AgentError, match=r"cannot be reached .*is it running, and the tunnel open\?"):
            agent.status()


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "\u0131" * 70, "."])
def test_a_host_that_can_be_none_is_named(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    with pytest.raises(AgentError, match="cannot be reached"):
        Agent.at(host, TOKEN).status()


def test_a_real_board_needs_a_token() -> None:
    with pytest.raises(AgentError, match="asks for a token"), agents_at(["board"], None):
        pass


def test_an_unknown_simulated_board_is_named() -> None:
    with (
        pytest.raises(DeviceError, match=r"no simulated board 'pynq-z9'; there are .*pynq-z2.*, zcu104"),
        simulated_agent("pynq-z9"),
    ):
        pass


def test_http_errors_carry_no_version_of_ours(agent: Agent) -> None:
    connection = http.client.HTTPConnection(agent.host, agent.port, timeout=10)
    connection.request("GET", "/status")
    assert connection.getresponse().getheader("Server", "").strip() == "bitlathe"
    connection.close()


# ---- the pool


def test_a_pool_answers_in_order_and_leaves_out_who_is_gone(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    gone = replace(agent, port=1)
    bundles = [small_bundle(tmp_path, network=f"n{number}") for number in range(8)]
    pool = Pool([gone, agent])
    assert [answer.network for answer in pool.measure_all(bundles)] == [f"n{number}" for number in range(8)]
    with pytest.raises(AgentError, match="no agent of the pool can be reached any more"):
        Pool([gone, gone]).measure_all(bundles)


def test_a_pool_keeps_an_agent_whose_job_failed(
    agent: Agent, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = small_bundle(tmp_path), small_bundle(tmp_path, network="bad")
    measure = stand_in.measure

    def fail_for_bad(folder: Path, images: int | None) -> Measurement:
        if open_bundle(folder).manifest.network == "bad":
            raise AgentError("the worker died")
        return measure(folder, images)

    monkeypatch.setattr(stand_in, "measure", fail_for_bad)
    pool = Pool([agent])
    for _ in range(2):
        with pytest.raises(AgentError, match="the worker died"):
            pool.measure(bad)
        assert pool.measure(good).network == "small"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "70000"], "cannot listen on 127.0.0.1:70000"),
        (["--port", "-1"], "cannot listen on 127.0.0.1:-1"),
        (["--folder", "file/agent"], "file/agent: keeps no files (Not a directory); choose another --folder"),
    ],
)
def test_an_agent_that_cannot_start_says_why(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(SystemExit, match=re.escape(message)):
        serve(["--folder", "agent", "--token-file", "token", *words])


def test_two_agents_do_not_keep_their_files_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("agent").mkdir()
    with Path("agent/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            SystemExit, match="agent: another agent keeps its files there; choose another --folder"
        ):
            serve(["--folder", "agent", "--token-file", "token", "--port", "70000"])


@pytest.mark.parametrize(
    "words", [["--silence", "nan"], ["--silence", "-1"], ["--most-mib", "0"], ["--most-mib", "x"]]
)
def test_an_option_that_makes_no_sense_is_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        serve(words)
    assert (
        caught.value.code == 2 and f"argument {words[0]}: '{words[1]}', needed a " in capsys.readouterr().err
    )


def test_an_agent_of_an_unknown_board_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"no simulated board 'x'; there are .*pynq-z2.*, zcu104"):
        serve(["--folder", "agent", "--token-file", "token", "--simulated", "x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", ["x" * 20 + "\n" + "y" * 20, "\xff" * 20, "\u20ac" * 20, "x\0" * 20])
def test_a_token_that_no_header_takes_is_refused(tmp_path: Path, token: str) -> None:
    path = tmp_path / "token"
    path.write_text(token)
    path.chmod(0o600)
    with pytest.raises(AgentError, match="the token has characters that no header takes; delete it"):
        read_token(path)
