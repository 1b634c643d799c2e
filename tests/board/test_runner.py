"""What simulation cannot show of the runner: a process that sleeps, an engine that still writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundle import FILES, small_manifest

from bitlathe.board import bundle as names
from bitlathe.board.bundle import Bundle, write_bundle
from bitlathe.board.errors import EngineFault, EngineHung
from bitlathe.board.runner import ABORT, IDLE, START, Runner, RunSettings

IMAGE = np.zeros((1, 2, 2, 3), np.uint8)
REGISTERS = ("CTRL", "ERROR", "RUNS", "CYCLE_COUNTER", "CYCLES_LO", "CYCLES_HI", "INPUTS", "INPUT_LO",
             "INPUT_HI", "OUTPUT_LO", "OUTPUT_HI")  # fmt: skip


def npy(array: np.ndarray[Any, Any]) -> bytes:
    """Bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle whose images can be packed."""
    files = {
        **FILES,
        names.PREPROCESS: npy(np.zeros((256, 3), np.int8)),
        names.INPUT_INDEX: npy(np.arange(12)),
        names.OUTPUT_INDEX: npy(np.arange(10)),
    }
    return write_bundle(tmp_path, small_manifest(files), files)


class Buffer(np.ndarray[Any, Any]):
    """Memory that remembers what the engine did when it was given back."""

    def flush(self) -> None:
        """Nothing is cached."""

    invalidate = flush

    def freebuffer(self) -> None:
        """Tell the overlay."""
        self.overlay.freed_while_busy.append(not self.overlay.registers["CTRL"] & IDLE)


class StandIn:
    """An overlay whose engine ends a run after so many reads of RUNS; its counter leaps at each read."""

    clock_mhz = 100.0

    def __init__(self, ends_after: int | None, leap: int = 0) -> None:
        self.registers = dict.fromkeys(REGISTERS, 0) | {"CTRL": IDLE}
        self.ends_after, self.leap = ends_after, leap
        self.reads = self.aborts = self.programmed_again = 0
        self.freed_while_busy: list[bool] = []

    def has(self, register: str) -> bool:
        """Whether the engine has a register."""
        return register in self.registers

    def allocate(self, size: int) -> Buffer:
        """Memory whose address is 0."""
        buffer = np.zeros(size, np.uint8).view(Buffer)
        buffer.overlay, buffer.physical_address = self, 0
        return buffer

    def write(self, register: str, value: int) -> None:
        """A start makes it busy, an abort is noted."""
        if (register, value) == ("CTRL", ABORT):
            self.aborts += 1
        else:
            self.registers[register] = value

    def read(self, register: str) -> int:
        """A register; some change by it."""
        if register == "RUNS" and self.registers["CTRL"] == START:
            self.reads += 1
            if self.ends_after is not None and self.reads > self.ends_after:
                self.registers.update(CTRL=IDLE, RUNS=self.registers["RUNS"] + 1)
        if register == "CYCLE_COUNTER":
            self.registers["CYCLE_COUNTER"] += self.leap
        return self.registers[register]

    def program_again(self) -> None:
        """A fresh engine."""
        self.programmed_again += 1
        self.registers["CTRL"] = IDLE


def run(bundle: Bundle, engine: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image on the stand-in."""
    monkeypatch.setattr("bitlathe.board.runner.REST_SECONDS", 0.05)
    with Runner(bundle, RunSettings(deadline_floor=1000), engine) as runner:  # type: ignore[arg-type]
        runner.run(IMAGE)


def test_a_process_that_slept_past_the_deadline_finds_the_run_done(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = StandIn(ends_after=1, leap=1_000_000)  # done between two reads that lie a long sleep apart
    run(bundle, engine, monkeypatch)
    assert (engine.programmed_again, engine.freed_while_busy) == (0, [False, False])


def test_a_process_that_slept_finds_the_end_of_a_run_without_counters(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slept(StandIn):
        """Done between the first read of CTRL, which says busy, and the second."""

        def read(self, register: str) -> int:
            value = super().read(register)
            if register == "CTRL" and value == START:
                self.registers["CTRL"] = IDLE
                clock.append(clock[-1] + 1000.0)
            return value

    clock = [0.0]
    monkeypatch.setattr("bitlathe.board.runner.time.monotonic", lambda: clock[-1])
    engine = Slept(ends_after=None)
    del engine.registers["RUNS"]
    run(bundle, engine, monkeypatch)
    assert (engine.programmed_again, engine.freed_while_busy) == (0, [False, False])


def test_memory_of_an_engine_that_hangs_is_given_back_after_a_new_bitstream(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = StandIn(ends_after=None, leap=1_000_000)
    with pytest.raises(EngineHung, match="not done after"):
        run(bundle, engine, monkeypatch)
    assert engine.aborts > 0
    assert (engine.programmed_again, engine.freed_while_busy) == (1, [False, False])


class Abortable(StandIn):
    """An engine whose run an abort ends, some reads of CTRL later; `error` is what it then says."""

    error = 7

    def read(self, register: str) -> int:
        if register == "CTRL" and self.registers["CTRL"] == START and self._aborting():
            self.reads += 1
            if self.reads > 3:
                self.registers.update(CTRL=IDLE, ERROR=self.error, RUNS=self.registers["RUNS"] + 1)
        return super().read(register)

    def _aborting(self) -> bool:
        return self.aborts > 0


def test_a_run_past_its_deadline_is_aborted_and_the_engine_kept(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Abortable(ends_after=None, leap=1_000_000)
    with pytest.raises(EngineFault, match=r"engine stopped: not done after \d+ cycles; free the memory"):
        run(bundle, engine, monkeypatch)
    assert (engine.aborts, engine.programmed_again, engine.freed_while_busy) == (1, 0, [False, False])


def test_a_run_that_ends_by_itself_before_its_abort_counts(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Abortable(ends_after=None, leap=1_000_000)
    engine.error = 0
    run(bundle, engine, monkeypatch)
    assert (engine.aborts, engine.programmed_again, engine.freed_while_busy) == (1, 0, [False, False])


def test_another_error_that_meets_the_abort_is_told_as_itself(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Abortable(ends_after=None, leap=1_000_000)
    engine.error = 5
    engine.registers["ERROR_INDEX"] = 0
    with pytest.raises(EngineFault, match=r"engine stopped with AXI_READ at descriptor 0"):
        run(bundle, engine, monkeypatch)


def test_an_engine_with_a_register_of_its_own_is_aborted_by_that(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ByHls(Abortable):
        """Its register must be 0 again before the next start."""

        def _aborting(self) -> bool:
            return self.registers["ABORT"] == 1

    engine = ByHls(ends_after=None, leap=1_000_000)
    engine.registers["ABORT"] = 0
    with pytest.raises(EngineFault, match="engine stopped: not done after"):
        run(bundle, engine, monkeypatch)
    assert (engine.aborts, engine.registers["ABORT"], engine.programmed_again) == (0, 0, 0)


def test_memory_of_a_run_that_was_broken_off_is_given_back_after_its_end(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(StandIn):
        def read(self, register: str) -> int:
            if register == "RUNS" and self.registers["CTRL"] == START:
                raise KeyboardInterrupt
            if register == "CTRL" and self.registers["CTRL"] == START:
                self.reads += 1
                if self.reads > 3:
                    self.registers["CTRL"] = IDLE
            return super().read(register)

    engine = Interrupted(ends_after=None)
    with pytest.raises(KeyboardInterrupt):
        run(bundle, engine, monkeypatch)
    assert (engine.programmed_again, engine.freed_while_busy) == (0, [False, False])
