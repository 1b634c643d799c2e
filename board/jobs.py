"""Jobs of an agent: one at a time, the others in a queue of bounded length."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from bitlathe.board.errors import AgentError, BoardError
from bitlathe.board.manifest import Manifest
from bitlathe.board.process import WorkerProcess
from bitlathe.board.store import FileStore
from bitlathe.board.text import one_line

_LOG = logging.getLogger(__name__)
MOST_WAITING = 32
MOST_KEPT = 256  # finished jobs whose answers can still be asked for


class FilesMissing(Exception):
    """Some of a job's files are not here yet, which is an answer and not an error."""

    def __init__(self, digests: Sequence[str]) -> None:
        super().__init__(f"{len(digests)} files are missing")
        self.digests = list(digests)


class JobState(Enum):
    """The state of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class MeasureJob:
    """A bundle to measure; `identifier` is the client's, so that asking twice runs once."""

    identifier: str
    manifest: Manifest
    images: int | None
    checks: bool = False  # looks at the board instead of measuring
    state: JobState = JobState.QUEUED
    answer: dict[str, object] = field(default_factory=dict)
    finished: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, object]:
        """Plain values: the state, and the result or the error."""
        return {"id": self.identifier, "state": self.state.value, **self.answer}

    def finish(self, state: JobState, answer: dict[str, object]) -> None:
        """Set the end of the job."""
        self.answer, self.state = answer, state
        self.finished.set()


class Jobs:
    """Runs jobs in the order they came, in a thread of its own."""

    def __init__(self, store: FileStore, worker: WorkerProcess) -> None:
        self._store = store
        self._worker = worker
        self._waiting: deque[MeasureJob] = deque()
        self._known: OrderedDict[str, MeasureJob] = OrderedDict()
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def submit(self, job: MeasureJob) -> MeasureJob:
        """Queue a job, its files held until it ends, or answer the one with its identifier.

        FilesMissing where files are missing, AgentError when the queue is full.
        """
        with self._changed:
            if job.identifier in self._known:
                return self._known[job.identifier]
            if len(self._waiting) >= MOST_WAITING:
                raise AgentError(f"{MOST_WAITING} jobs are waiting; ask again later")
            missing = self._store.hold(job.manifest)
            if missing:
                raise FilesMissing(missing)
            self._known[job.identifier] = job
            self._waiting.append(job)
            self._forget()
            self._changed.notify()
        return job

    def find(self, identifier: str) -> MeasureJob | None:
        """A job by its identifier."""
        with self._changed:
            return self._known.get(identifier)

    def _forget(self) -> None:
        """Drop the oldest finished jobs."""
        finished = [name for name, job in self._known.items() if job.finished.is_set()]
        for name in finished[: max(0, len(finished) - MOST_KEPT)]:
            del self._known[name]

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
                job.state = JobState.RUNNING
            self._run(job)

    def _run(self, job: MeasureJob) -> None:
        """Run a job; whatever it raises ends the job and never this thread."""
        try:
            with self._store.folder(job.manifest) as folder:
                ask = self._worker.check if job.checks else self._worker.measure
                result = ask(folder, job.images)
            state = JobState.DONE
            answer: dict[str, object] = {"result": result.to_json()}
        except BaseException as error:
            state, answer = JobState.FAILED, {"error": _told(job, error)}
        self._store.let_go(job.manifest)
        job.finish(state, answer)


def _told(job: MeasureJob, error: BaseException) -> dict[str, object]:
    """The error of a job as the client gets it; it is logged too."""
    if isinstance(error, BoardError):
        kind, message = type(error).__name__, one_line(str(error))
        _LOG.warning("job %s of %s failed: %s", job.identifier, job.manifest.name, message)
    else:
        kind, message = AgentError.__name__, one_line(f"the job ended by {type(error).__name__}: {error}")
        _LOG.error("job %s of %s failed", job.identifier, job.manifest.name, exc_info=error)
    return {"kind": kind, "message": message}
