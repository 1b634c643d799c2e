"""What a running search reports: its progress, and TensorBoard's log."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bitlathe.flow.progress import Advance, Note
from bitlathe.flow.search.listeners import SearchProgress, TensorBoardLog
from bitlathe.model.search import CandidateRecord, EpochRecord, Measures, TrialStage
from bitlathe.model.search.ladder import Audit
from bitlathe.model.train.metrics import TOP1


def measures(accuracy: float) -> Measures:
    return Measures(merit=accuracy, cycles=1000, latency_ms=0.5, macs=100, size_bytes=400, channels=10)


def candidate(epoch: int, method: str, score: float | None) -> CandidateRecord:
    return CandidateRecord(
        epoch=epoch,
        method=method,
        stage=TrialStage.EPOCH,
        score=score,
        measures=None if score is None else measures(score),
        loss=0.25,
        steps=4,
        seconds=2.0,
        failure="it diverged" if score is None else None,
    )


def finished(epoch: int, accuracy: float) -> EpochRecord:
    return EpochRecord(
        epoch=epoch,
        choice="P",
        measures=measures(accuracy),
        candidates=(candidate(epoch, "P", accuracy), candidate(epoch, "Q(4,8)", None)),
        agreement=1.0,
        audits=(Audit(rung="cycle-model", cycles=990, error=-0.01),),
        seconds=4.0,
        removed_channels=3,
    )


def test_a_search_tells_epoch_candidate_and_score() -> None:
    told: list[Note | Advance] = []
    search = SearchProgress(progress=told.append, name="search", epochs=2, metric=TOP1)
    search.epoch_started(1, ["P", "Q(4,8)"])
    search.candidate_scored(candidate(1, "P", 0.875))
    search.candidate_scored(candidate(1, "Q(4,8)", None))
    search.epoch_finished(finished(1, 0.875))
    assert told == [
        Advance("search", 0, 2, "epoch 1: P, Q(4,8)"),
        Advance("search", pytest.approx(1 / 3), 2, "epoch 1: P 0.875"),
        Advance("search", pytest.approx(2 / 3), 2, "epoch 1: Q(4,8) failed"),
        Advance("search", 1, 2, "epoch 1"),
        Note("search epoch 1: P, 87.50 %, 1,000 cycles (P 0.875, Q(4,8) failed; 4 s)"),
    ]


def test_tensorboard_reads_every_winner_and_candidate_and_a_repeated_epoch_once(tmp_path: Path) -> None:
    with TensorBoardLog.at(tmp_path) as log:
        for record in (finished(1, 0.5), finished(2, 0.25), finished(2, 0.75)):  # killed after the second
            log.epoch_started(record.epoch, ["P", "Q(4,8)"])
            for one in record.candidates:
                log.candidate_scored(one)
            log.epoch_finished(record)
    read = EventAccumulator(str(tmp_path)).Reload()
    assert set(read.Tags()["scalars"]) == {
        *(f"winner/{name}" for name in ("merit", "cycles", "latency_ms", "macs", "size_bytes", "channels")),
        "score/epoch/P",
        "loss/epoch/P",
        "probe/agreement",
        "ladder/cycle-model",
    }
    for tag, values in (("winner/merit", (0.5, 0.75)), ("ladder/cycle-model", (-0.01, -0.01))):
        found = read.Scalars(tag)
        assert [event.step for event in found] == [1, 2]
        assert [event.value for event in found] == pytest.approx(values)
