"""Outcomes kept on disk until their epoch is over, so that a killed epoch does not train them twice."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bitlathe.model.graph.errors import DataError
from bitlathe.model.search.executors import Done, Executor
from bitlathe.model.search.lab import TrialJob, TrialOutcome
from bitlathe.model.train.files import read_tensors, write_tensors


class KeptOutcomes:
    """Runs jobs of one epoch by an executor, and each one that was finished before by reading its file."""

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
        """Forget all: the epoch is in the checkpoint."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, job: TrialJob) -> TrialOutcome | None:
        try:
            return TrialOutcome(**read_tensors(self._path(job)))
        except (DataError, TypeError):  # none yet, or half of one
            return None

    def _path(self, job: TrialJob) -> Path:
        word = re.sub(r"[^A-Za-z0-9]+", "-", job.label).strip("-")
        return self._folder / f"{word}-{job.until:g}.pt"
