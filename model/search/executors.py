"""Run the jobs of an epoch in this process or in others on this machine, with equal outcomes."""

from __future__ import annotations

import multiprocessing
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from bitlathe.model.graph.errors import DataError, ToolError
from bitlathe.model.search.lab import Lab, LabSpec, TrialJob, TrialOutcome
from bitlathe.model.train.files import read_tensors, write_tensors

RETRIES = 2  # how often a job is given to a new worker after its own died

Done = Callable[[TrialOutcome], None]


class Executor(Protocol):
    """Runs jobs; must be closed after use."""

    def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
        """Outcomes in the order of the jobs; `done` is called with each as it arrives."""

    def close(self) -> None:
        """Release processes."""


class Sequential:
    """One job after the other in this process."""

    def __init__(self, lab: Lab, advance: Callable[[], None] = lambda: None) -> None:
        self._lab, self._advance = lab, advance

    def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
        """Outcomes in the order of the jobs."""
        outcomes = []
        for job in jobs:
            outcomes.append(self._lab.run(job, self._advance))
            done(outcomes[-1])
        return outcomes

    def close(self) -> None:
        """Nothing to release."""


class LocalProcesses:
    """Jobs in parallel processes on this machine, each with its own lab."""

    def __init__(self, spec: LabSpec, workers: int) -> None:
        self._spec, self._workers = spec, workers
        self._pool = self._new_pool()

    def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
        """Outcomes in the order of the jobs; ToolError if workers keep dying."""
        outcomes: dict[str, TrialOutcome] = {}
        for _ in range(RETRIES + 1):
            missing = [job for job in jobs if job.label not in outcomes]
            if not self._collect(missing, outcomes, done):
                return [outcomes[job.label] for job in jobs]
            self.close()
            self._pool = self._new_pool()
        raise workers_died(job.label for job in jobs if job.label not in outcomes)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def _collect(self, jobs: Sequence[TrialJob], outcomes: dict[str, TrialOutcome], done: Done) -> bool:
        """Fill `outcomes`; True if a worker died before all arrived."""
        futures: list[Future[TrialOutcome]] = []
        try:
            futures.extend(self._pool.submit(_run, job) for job in jobs)
            for future in as_completed(futures):
                outcome = future.result()
                outcomes[outcome.label] = outcome
                done(outcome)
        except BrokenProcessPool:
            return True
        return False

    def _new_pool(self) -> ProcessPoolExecutor:
        # a fork would copy locks held by torch's threads
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self._workers, mp_context=context, initializer=_open_lab, initargs=(self._spec,)
        )


def workers_died(labels: Iterable[str]) -> ToolError:
    """Error for jobs that no worker survived."""
    return ToolError(
        f"search: the workers of {', '.join(labels)} died {RETRIES + 1} times; they may need more memory, "
        "give fewer `workers` and `resume=True`"
    )


_labs: list[Lab] = []  # the one lab of a worker process


def _open_lab(spec: LabSpec) -> None:
    _labs[:] = [Lab(spec)]


def _run(job: TrialJob) -> TrialOutcome:
    return _labs[0].run(job)


class KeptOutcomes:
    """Keeps outcomes on disk until their epoch is over, so that a killed epoch does not train them twice.

    Runs the jobs of one epoch by an executor, or reads the file of a job that was finished before.
    """

    def __init__(self, folder: Path, executor: Executor) -> None:
        self._folder, self._executor = folder, executor

    def run(self, jobs: Sequence[TrialJob], done: Done) -> list[TrialOutcome]:
        """Outcomes in the order of the jobs."""
        found = {job.label: outcome for job in jobs if (outcome := self._read(job)) is not None}
        for outcome in found.values():
            done(outcome)
        missing = [job for job in jobs if job.label not in found]
        paths = {job.label: self._path(job) for job in missing}

        def keep(outcome: TrialOutcome) -> None:
            write_tensors(paths[outcome.label], asdict(outcome))
            done(outcome)

        made = self._executor.run(missing, keep) if missing else []
        found.update((outcome.label, outcome) for outcome in made)
        return [found[job.label] for job in jobs]

    def clear(self) -> None:
        """Delete all, once the epoch is in the checkpoint."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, job: TrialJob) -> TrialOutcome | None:
        try:
            return TrialOutcome(**read_tensors(self._path(job)))
        except (DataError, TypeError):  # missing or incomplete
            return None

    def _path(self, job: TrialJob) -> Path:
        word = re.sub(r"[^A-Za-z0-9]+", "-", job.label).strip("-")
        return self._folder / f"{word}-{job.until:g}.pt"
