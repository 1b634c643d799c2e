"""A worker may end, be killed, speak nonsense or raise anything: its job fails alone, by name."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_bundle import RESULT, small_bundle

from bitlathe.board import worker as worker_module
from bitlathe.board.bundle import Bundle
from bitlathe.board.errors import AgentError, BundleError, EngineHung
from bitlathe.board.process import WorkerProcess
from bitlathe.board.worker import Worker

ANSWER = json.dumps({"result": RESULT.to_json()})
SOUND = f"print({ANSWER!r}, flush=True); sys.stdin.readline()"
ENDS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": r"the worker died \(signal 9, Killed\)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)": r"the worker died \(signal 15, Terminated\)",
    "sys.exit(3)": r"the worker died \(status 3\)",
    f"print({ANSWER[:40]!r}, end=''); sys.exit(0)": r"the worker died \(status 0\)",
    "import os; os.close(1); sys.stdin.readline()": "the worker died",
    "sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()": "the worker died",
}


def process(program: str, silence_seconds: float = 20) -> WorkerProcess:
    """A worker that reads a request and then runs a program."""
    made = WorkerProcess([], silence_seconds)
    made._command = [sys.executable, "-c", f"import sys; sys.stdin.readline(); {program}"]
    return made


@pytest.mark.parametrize("program", ENDS)
def test_a_worker_that_ends_fails_its_job_and_the_next_runs(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bitlathe.board.process.ENDING_SECONDS", 1)
    worker = process(program)
    with pytest.raises(AgentError, match=ENDS[program]):
        worker.measure(tmp_path, 1)
    worker._command = process(SOUND)._command
    assert worker.measure(tmp_path, 1) == RESULT
    worker.kill()


def test_a_worker_that_speaks_nonsense_is_named(tmp_path: Path) -> None:
    worker = process("print('nonsense', flush=True); sys.stdin.readline()")
    with pytest.raises(BundleError, match="worker: is not JSON"):
        worker.measure(tmp_path, 1)
    worker.kill()


def test_a_worker_that_says_nothing_is_killed(tmp_path: Path) -> None:
    worker = process("sys.stdin.readline()", silence_seconds=0.2)
    with pytest.raises(EngineHung, match=r"silent for 0\.2 s and was killed"):
        worker.measure(tmp_path, 1)
    assert worker.pid is None


@pytest.mark.parametrize(
    "error", [SystemExit(2), KeyError("x"), MemoryError(), RecursionError(), OSError("y")]
)
def test_a_job_that_raises_anything_is_answered_and_the_worker_goes_on(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = io.StringIO()
    worker = Worker(answers)
    bundle = small_bundle(tmp_path)
    monkeypatch.setattr(worker_module, "LoadedOverlay", _raising(error))
    request = json.dumps({"folder": str(bundle.folder), "images": 1})
    for _ in range(2):
        worker.serve(request)
    told = [json.loads(line)["error"] for line in answers.getvalue().splitlines()]
    assert len(told) == 2 and told[0] == told[1]
    assert told[0]["kind"] == "AgentError"
    assert told[0]["message"].startswith(f"the job ended by {type(error).__name__}: ")


def _raising(error: BaseException) -> Callable[[Bundle], None]:
    def load(_: Bundle) -> None:
        raise error

    return load
