"""Listeners of a search: one for `progress`, and one that writes a log for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from bitlathe.flow.progress import Advance, Note, Progress
from bitlathe.model.search import CandidateRecord, EpochRecord, TrialStage
from bitlathe.model.train import TaskMetric


@dataclass(slots=True, kw_only=True)
class SearchProgress:
    """Tells `progress` of epochs done, the present candidate and its score, and a line an epoch."""

    progress: Progress
    name: str
    epochs: int
    metric: TaskMetric
    done: float = 0.0  # epochs, and parts of one
    share: float = 0.0  # of an epoch that each candidate takes

    def epoch_started(self, epoch: int, methods: Sequence[str]) -> None:
        """Tell which methods are tried."""
        self.share = 1 / (len(methods) + 1)
        self._tell(epoch - 1, f"epoch {epoch}: {', '.join(methods)}")

    def candidate_scored(self, record: CandidateRecord) -> None:
        """Tell a candidate's score."""
        self._tell(self.done + self.share, f"epoch {record.epoch}: {record.method} {_score(record)}")

    def epoch_finished(self, record: EpochRecord) -> None:
        """Tell of the winner."""
        self._tell(record.epoch, f"epoch {record.epoch}")
        tried = ", ".join(f"{c.method} {_score(c)}" for c in record.candidates if c.stage is TrialStage.EPOCH)
        score = self.metric.said(self.metric.merit(record.measures.merit))
        line = (
            f"{self.name} epoch {record.epoch}: {record.choice}, {score}, "
            f"{record.measures.cycles:,} cycles ({tried}; {record.seconds:.0f} s)"
        )
        self.progress(Note(line))

    def _tell(self, done: float, now: str) -> None:
        self.done = done
        self.progress(Advance(self.name, done, self.epochs, now))


def _score(record: CandidateRecord) -> str:
    return "failed" if record.score is None else f"{record.score:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorBoardLog:
    """Scalars of every candidate and of every winner; a resumed epoch replaces its first attempt."""

    folder: Path

    @classmethod
    @contextmanager
    def at(cls, folder: Path) -> Iterator[TensorBoardLog]:
        """A log in a folder."""
        yield cls(folder=folder)

    def epoch_started(self, epoch: int, methods: Sequence[str]) -> None:
        """Write nothing."""

    def candidate_scored(self, record: CandidateRecord) -> None:
        """Write nothing yet: candidates are written with their epoch, so a killed one leaves nothing."""

    def epoch_finished(self, record: EpochRecord) -> None:
        """Write the epoch."""
        with SummaryWriter(str(self.folder), purge_step=record.epoch) as writer:
            for name, value in record.measures.to_json().items():
                writer.add_scalar(f"winner/{name}", value, record.epoch)
            for candidate in record.candidates:
                if candidate.score is not None:
                    tag = f"{candidate.stage.value}/{candidate.method}"
                    writer.add_scalar(f"score/{tag}", candidate.score, record.epoch)
                    writer.add_scalar(f"loss/{tag}", candidate.loss, record.epoch)
            if record.agreement is not None:
                writer.add_scalar("probe/agreement", record.agreement, record.epoch)
            for audit in record.audits:
                writer.add_scalar(f"ladder/{audit.rung}", audit.error, record.epoch)
            writer.add_text("choice", record.choice, record.epoch)
