"""The agent with a worker that holds the simulated engine: bit-exact, and alive whatever happens to that."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from board_bundles import bundle_folder

from bitlathe.board.bundle import Bundle, open_bundle
from bitlathe.board.client import Agent
from bitlathe.board.errors import AgentError, BundleError, DeviceError, EngineHung
from bitlathe.board.local import simulated_agent
from bitlathe.board.pool import Pool
from bitlathe.board.process import WorkerProcess

needs.package("pynq")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """ResNet-8 for the PYNQ-Z2."""
    return open_bundle(bundle_folder("pynq-z2"))


@pytest.fixture(scope="module")
def simulated() -> Iterator[Agent]:
    """An agent of a simulated PYNQ-Z2."""
    with simulated_agent("pynq-z2") as agent:
        yield agent


def test_a_bundle_is_measured_bit_exact_and_again_the_same(simulated: Agent, bundle: Bundle) -> None:
    first = simulated.measure(bundle, 2)
    assert (first.images, first.mismatches, first.clock_mhz) == (2, 0, 142.857143)
    assert simulated.measure(bundle, 2) == first


def test_two_agents_as_a_pool_measure_what_one_does(simulated: Agent, bundle: Bundle) -> None:
    bundles = [bundle, open_bundle(bundle_folder("pynq-z2", "resnet20"))] * 2
    alone = [simulated.measure(each, 1) for each in bundles]
    with simulated_agent("pynq-z2") as other:
        assert Pool([simulated, other]).measure_all(bundles, 1) == alone


def test_an_error_of_the_runner_arrives_as_its_own_kind_and_the_next_job_works(
    simulated: Agent, bundle: Bundle
) -> None:
    with pytest.raises(DeviceError, match="this is pynq-z2"):
        simulated.measure(open_bundle(bundle_folder("zcu104")), 1)
    with pytest.raises(BundleError, match="9 images asked for"):
        simulated.measure(bundle, 9)
    assert simulated.measure(bundle, 1).mismatches == 0


def test_a_hanging_engine_is_named_and_the_next_job_works(bundle: Bundle) -> None:
    with simulated_agent("pynq-z2", ["--hang", "R:400", "--hang-loads", "1"]) as agent:
        with pytest.raises(
            EngineHung, match=r"engine hangs: not done after \d+ cycles, its array at descriptor"
        ):
            agent.measure(bundle, 1)
        assert agent.measure(bundle, 1).mismatches == 0


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    """A worker of a simulated board that may be silent for some seconds."""
    made = WorkerProcess(
        ["--simulated", "pynq-z2"], silence_seconds=300
    )  # a loaded machine takes long to load it
    yield made
    made.kill()


def test_a_killed_worker_fails_its_job_and_the_next_works(worker: WorkerProcess, bundle: Bundle) -> None:
    assert worker.measure(bundle.folder, 1).mismatches == 0
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL)).start()
    with pytest.raises(AgentError, match="the worker died"):
        worker.measure(bundle.folder, 1)
    assert worker.measure(bundle.folder, 1).mismatches == 0


def test_a_silent_worker_is_killed_and_the_next_job_works(worker: WorkerProcess, bundle: Bundle) -> None:
    assert worker.measure(bundle.folder, 1).mismatches == 0
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    worker._silence_seconds = 0.5
    with pytest.raises(EngineHung, match=r"silent for 0\.5 s and was killed"):
        worker.measure(bundle.folder, 1)
    worker._silence_seconds = 300
    assert worker.measure(bundle.folder, 1).mismatches == 0


def test_an_agent_killed_in_mid_run_is_named_and_its_worker_ends(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.board.client.PAUSE_SECONDS", 0)
    with simulated_agent("pynq-z2", ["--stall-percent", "61"]) as agent:
        pid = _pid_listening(agent.port)
        threading.Timer(1.0, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(AgentError, match="cannot be reached"):
            while True:
                agent.measure(bundle, 3)
    assert _workers_gone(b"--stall-percent\x0061")


def _pid_listening(port: int) -> int:
    """Process that holds the listening socket of a port, by /proc."""
    wanted = f"{port:04X}"
    inodes = [
        line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{wanted} 0" in line
    ]
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if any(str(link.readlink()) == f"socket:[{inode}]" for inode in inodes):
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nothing listens on {port}")


def _workers_gone(words: bytes) -> bool:
    """Whether no worker with these words in its command line is left within some seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        workers = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_worker(path, words)]
        if not workers:
            return True
        time.sleep(0.1)
    return False


def _is_worker(cmdline: Path, words: bytes) -> bool:
    try:
        command = cmdline.read_bytes()
    except OSError:
        return False
    return b"bitlathe.board.worker" in command and words in command
