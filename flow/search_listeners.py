"""What hears of a search: a progress bar on stderr, and a log for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID
from torch.utils.tensorboard import SummaryWriter

from bitlathe.flow.output import note, percent, progress
from bitlathe.model.search import CandidateRecord, EpochRecord, TrialStage


@dataclass(slots=True, kw_only=True)
class ProgressBar:
    """Epochs done, the present candidate and its score, and the time left."""

    bars: Progress
    task: TaskID
    name: str
    share: float = 0.0  # of an epoch that each candidate takes

    @classmethod
    @contextmanager
    def of(cls, name: str, epochs: int) -> Iterator[ProgressBar]:
        """A bar for the time of the block."""
        with progress() as bars:
            yield cls(bars=bars, task=bars.add_task(name, total=epochs), name=name)

    def epoch_started(self, epoch: int, methods: Sequence[str]) -> None:
        """Show which methods are tried."""
        self.share = 1 / (len(methods) + 1)
        self.bars.update(
            self.task, completed=epoch - 1, description=f"{self.name} {epoch}: {', '.join(methods)}"
        )

    def candidate_scored(self, record: CandidateRecord) -> None:
        """Show a candidate's score."""
        score = "failed" if record.score is None else f"{record.score:.4g}"
        self.bars.update(self.task, description=f"{self.name} {record.epoch}: {record.method} {score}")
        self.bars.advance(self.task, self.share)

    def epoch_finished(self, record: EpochRecord) -> None:
        """One line that stays, in a log too."""
        self.bars.update(self.task, completed=record.epoch)
        tried = ", ".join(
            f"{c.method} {'failed' if c.score is None else f'{c.score:.4g}'}"
            for c in record.candidates
            if c.stage is TrialStage.EPOCH
        )
        note(
            f"{self.name} epoch {record.epoch}: {record.choice}, {percent(record.measures.accuracy)}, "
            f"{record.measures.cycles:,} cycles ({tried}; {record.seconds:.0f} s)"
        )


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
        """Nothing to write."""

    def candidate_scored(self, record: CandidateRecord) -> None:
        """Written with its epoch, so that a killed one leaves nothing behind."""

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
