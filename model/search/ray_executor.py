"""Jobs on a Ray cluster; the only module that imports Ray."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bitlathe.model.graph.errors import ToolError
from bitlathe.model.search.executors import RETRIES, Done, workers_died
from bitlathe.model.search.lab import Lab, LabSpec, TrialJob, TrialOutcome

_STARTS = 2  # attempts: a busy machine may exceed Ray's own timeout


class RayExecutor:
    """Jobs as Ray tasks, one processor each. Raises ToolError if Ray is not installed.

    A task is run again elsewhere if its worker dies, even in mid-epoch. Each machine must hold the data set
    and this package.
    """

    def __init__(self, spec: LabSpec, *, workers: int, address: str | None = None) -> None:
        self._ray = _import_ray()
        self._started = not self._ray.is_initialized()
        if self._started:
            self._start(workers, address)
        self._spec = self._ray.put(pickle.dumps(spec))
        self._task = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_run)

    def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
        """Outcomes in the order of the jobs; ToolError if a job's workers keep dying."""
        labels = {self._task.remote(self._spec, job): job.label for job in jobs}
        outcomes: dict[str, TrialOutcome] = {}
        waiting = list(labels)
        while waiting:
            (ready,), waiting = self._ray.wait(waiting, num_returns=1)
            outcomes[labels[ready]] = self._result(ready, labels[ready])
            done(outcomes[labels[ready]])
        return [outcomes[job.label] for job in jobs]

    def close(self) -> None:
        """Stop the cluster if it was started here."""
        if self._started:
            self._ray.shutdown()

    def _start(self, workers: int, address: str | None) -> None:
        if address is not None:
            self._ray.init(address=address, log_to_driver=False)
            return
        paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}  # users' methods
        for attempt in range(1, _STARTS + 1):
            try:
                self._ray.init(
                    num_cpus=workers, include_dashboard=False, log_to_driver=False, runtime_env=paths
                )
                return
            except Exception as error:  # Ray raises a bare Exception
                self._ray.shutdown()
                if attempt == _STARTS:
                    raise ToolError(f"Ray did not start: {error}; choose `executor=local`") from error

    def _result(self, task: Any, label: str) -> TrialOutcome:
        try:
            outcome: TrialOutcome = self._ray.get(task)
        except self._ray.exceptions.WorkerCrashedError as error:
            raise workers_died([label]) from error
        return outcome


def _run(spec: bytes, job: TrialJob) -> TrialOutcome:
    return _lab(spec).run(job)


@lru_cache(maxsize=1)
def _lab(spec: bytes) -> Lab:
    """The lab of a worker process, shared by its tasks."""
    found: LabSpec = pickle.loads(spec)
    return Lab(found)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ToolError(
            "Ray is not installed; pip install 'bitlathe[ray]', or choose `executor=local`"
        ) from error
    return ray
