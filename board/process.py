"""The worker process as its parent sees it: asked, watched, killed when silent, started again."""

from __future__ import annotations

import json
import logging
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bitlathe.board.check_report import CheckReport
from bitlathe.board.errors import AgentError, BoardError, EngineHung, error_named
from bitlathe.board.fields import JsonFields
from bitlathe.board.measurement import Measurement

_LOG = logging.getLogger(__name__)
_ENDED = ""  # what a reader puts when the process has closed its stdout
ENDING_SECONDS = 5.0  # that a process which has closed its stdout takes to end


class WorkerProcess:
    """A worker that is started when it is needed; it may be silent for `silence_seconds`."""

    def __init__(self, arguments: Sequence[str], silence_seconds: float) -> None:
        self._command = [sys.executable, "-m", "bitlathe.board.worker", *arguments]
        self._silence_seconds = silence_seconds
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    @property
    def pid(self) -> int | None:
        """Number of the process, None while none runs."""
        return self._process.pid if self._process else None

    def measure(self, folder: Path, images: int | None) -> Measurement:
        """Measure a bundle's folder; raises what the runner raised, else EngineHung or AgentError."""
        return Measurement.from_json(self._ask({"folder": str(folder), "images": images}))

    def check(self, folder: Path, images: int | None) -> CheckReport:
        """Look at the board with a bundle's folder; raises as `measure`."""
        return CheckReport.from_json(self._ask({"folder": str(folder), "images": images, "check": True}))

    def _ask(self, request: dict[str, object]) -> JsonFields:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            _LOG.info("worker %d is gone before the request", process.pid)
        return self._answer()

    def kill(self) -> None:
        """End the process; the next request starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)

    def _answer(self) -> JsonFields:
        while True:
            try:
                line = self._lines.get(timeout=self._silence_seconds)
            except queue.Empty:
                self.kill()
                raise EngineHung(
                    f"the worker was silent for {self._silence_seconds:g} s and was killed: the device "
                    "hangs; the next job loads it again, and if that hangs too switch the board off and on"
                ) from None
            if not line.endswith("\n"):  # it has ended, perhaps in mid-line
                raise AgentError(
                    f"the worker died ({self._end()}); the agent's log says why, the next job starts another"
                )
            answer = JsonFields.parse(line, "worker")
            if "result" in answer.values:
                return answer.fields("result")
            if "error" in answer.values:
                raise _raised(answer.fields("error"))

    def _end(self) -> str:
        """How the process ended, which is over after this."""
        process = self._process
        assert process is not None
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_SECONDS)
        status = process.returncode
        self.kill()
        if status is None:
            return "it has closed its stdout"
        return f"status {status}" if status >= 0 else f"signal {-status}, {signal.strsignal(-status)}"

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.kill()
        self._lines = queue.Queue()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        return self._process


def _raised(fields: JsonFields) -> BoardError:
    return error_named(fields.text("kind"), fields.text("message"))


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.put(line)
    except (OSError, ValueError):  # closed while it was read
        _LOG.debug("worker %d was closed", process.pid)
    lines.put(_ENDED)


def _close(stream: object) -> None:
    try:
        stream.close()  # type: ignore[attr-defined]  # a text stream of a process
    except OSError:
        _LOG.debug("a pipe to the worker was broken")
