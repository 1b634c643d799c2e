"""Inside the simulator: stores bring every word to memory where the descriptor says, in whole bursts."""

from collections import deque
from typing import Any

import cocotb
import numpy as np

from bitlathe.hls.program import Space, StoreMove
from bitlathe.hls.program.moves import bursts, pixel_positions
from bitlathe.rtl_tb.descriptors import ADVANCE, BASES, drive_spaces, move_bits, random_move, space_range
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import Sink, Source, check_burst, quiet, run

INPUTS = (
    *("clear_i", "stop_i", "now_i", "profile_on_i", "desc_valid_i", "desc_i"),
    *("desc_index_i", "desc_advance_i"),
    *("store_ready_i", "store_rvalid_i", "store_rdata_i", "burst_ready_i", "word_ready_i", "written_i"),
)
READ_LATENCY = 3


def scratchpad_word(line: int, bank: int) -> int:
    """What the simulated scratchpad holds."""
    return (line << 8 | bank) * 0x0101_0001


class Scratchpad:
    """Answers reads after three cycles, and refuses some."""

    def __init__(self, dut: Any, rng: np.random.Generator, stall: float) -> None:
        self.dut, self.rng, self.stall = dut, rng, stall
        self.pipeline: deque[int | None] = deque([None] * READ_LATENCY)
        self.open = True
        self.reads: list[tuple[int, int]] = []
        self.cycles: list[int] = []
        self.now = 0

    def drive(self) -> None:
        self.open = self.rng.random() >= self.stall
        self.dut.store_ready_i.value = int(self.open)
        answer = self.pipeline.popleft()
        self.dut.store_rvalid_i.value = int(answer is not None)
        self.dut.store_rdata_i.value = answer or 0

    def sample(self) -> None:
        answer = None
        if self.open and int(self.dut.store_valid_o.value):
            place = int(self.dut.store_line_o.value), int(self.dut.store_bank_o.value)
            self.reads.append(place)
            self.cycles.append(self.now)
            answer = scratchpad_word(*place)
        self.pipeline.append(answer)
        self.now += 1


class WriteSide:
    """Takes bursts and, a little later, all words of one without a gap; answers later still."""

    def __init__(self, dut: Any, rng: np.random.Generator, stall: float, word_bytes: int) -> None:
        self.dut, self.rng, self.stall, self.word_bytes = dut, rng, stall, word_bytes
        self.legal: range | None = None
        self.open = self.taking = self.answering = False
        self.bursts: list[tuple[int, int]] = []
        self.beats_left: deque[int] = deque()
        self.answers: deque[int] = deque()  # cycle each answer is due
        self.words: list[int] = []
        self.now = 0

    def drive(self) -> None:
        self.open = self.rng.random() >= self.stall and len(self.beats_left) < 4
        self.dut.burst_ready_i.value = int(self.open)
        self.taking = bool(self.beats_left) and self.rng.random() >= self.stall
        self.dut.word_ready_i.value = int(self.taking)
        self.answering = bool(self.answers) and self.answers[0] <= self.now
        self.dut.written_i.value = int(self.answering)
        if self.answering:
            self.answers.popleft()

    def sample(self) -> None:
        if self.taking:
            self.words.append(int(self.dut.word_o.value))
            self.beats_left[0] -= 1
            if not self.beats_left[0]:
                self.beats_left.popleft()
                self.answers.append(self.now + 9)
        if self.open and int(self.dut.burst_valid_o.value):
            burst = int(self.dut.burst_address_o.value), int(self.dut.burst_beats_o.value)
            check_burst(*burst, self.word_bytes, self.legal)
            self.bursts.append(burst)
            self.beats_left.append(burst[1])
        self.now += 1


class Bench:
    """Descriptors in; bursts, words and completions out."""

    def __init__(self, dut: Any, rng: np.random.Generator, stall: float) -> None:
        self.dut, self.rng = dut, rng
        self.pi, self.banks, self.lines = int(dut.PI.value), int(dut.Banks.value), int(dut.BankLines.value)
        self.descriptors = Source(dut, "desc_valid_i", "desc_ready_o", rng, stall)
        self.scratchpad = Scratchpad(dut, rng, stall)
        self.memory = WriteSide(dut, rng, stall, self.pi)
        self.completions = Sink(dut, "done_o", None, ("index_o",), rng)
        self.records = Sink(dut, "record_valid_o", "record_ready_i", ("record_o",), rng, stall)
        self.sent = 0
        self.expected_reads: list[tuple[int, int]] = []
        self.expected_bursts: list[tuple[int, int]] = []

    @classmethod
    async def start(cls, dut: Any, *, stall: float = 0.0, profile: bool = False) -> "Bench":
        """A bench after reset."""
        quiet(dut, INPUTS)
        bench = cls(dut, random_generator(), stall)
        drive_spaces(dut)
        await reset(dut)
        dut.profile_on_i.value = int(profile)
        return bench

    def store(self, **changes: int) -> None:
        """Queue a random STORE, changed, and what it must do."""
        space = Space(int(self.rng.integers(Space.OUTPUT, Space.SCRATCH + 1)))
        move = random_move(self.rng, banks=self.banks, lines=self.lines, word_bytes=self.pi, space=space)
        store = StoreMove(**(move | changes))
        bits = move_bits(store)
        advance = ADVANCE[Space(store.space)] // self.pi
        self.descriptors.queue.append({"desc_i": bits, "desc_index_i": self.sent, "desc_advance_i": advance})
        self.sent += 1
        base = BASES[Space(store.space)] + ADVANCE[Space(store.space)]
        self.expected_reads += pixel_positions(store, self.banks)
        self.expected_bursts += [(burst.address, burst.beats) for burst in bursts(store, base, self.pi)]

    @property
    def agents(self) -> list[Any]:
        return [self.descriptors, self.scratchpad, self.memory, self.completions, self.records]

    async def run(self, completions: int) -> None:
        """Run until as many descriptors are complete."""
        await run(self.dut, self.agents, lambda: len(self.completions.items) >= completions)

    def check(self) -> None:
        """Check that everything was read and written, in order, and nothing else was."""
        assert self.scratchpad.reads == self.expected_reads
        assert self.memory.bursts == self.expected_bursts
        mask = (1 << (8 * self.pi)) - 1
        assert self.memory.words == [scratchpad_word(*place) & mask for place in self.expected_reads]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3], profile=[False, True])
async def every_word_lands_where_its_descriptor_says(dut, stall, profile):
    bench = await Bench.start(dut, stall=stall, profile=profile)
    for _ in range(15):
        bench.store()
    await bench.run(15)
    bench.check()
    assert [index for (index,) in bench.completions.items] == list(range(15))
    await run(dut, bench.agents, lambda: len(bench.records.items) == (15 if profile else 0))
    assert [record & 0xFFFF for (record,) in bench.records.items] == (list(range(15)) if profile else [])


@cocotb.test()
async def a_store_reads_and_sends_a_word_a_cycle(dut):
    bench = await Bench.start(dut)
    bench.store(segment_words=256, segments=1, row_words=256, line=0, space=Space.OUTPUT, offset=0)
    await bench.run(1)
    bench.check()
    assert bench.scratchpad.cycles[0] == 1, "cycles from a descriptor to its first read"
    assert bench.scratchpad.cycles[-1] - bench.scratchpad.cycles[0] <= 256 + 8
    assert bench.memory.now <= 256 + 50


@cocotb.test()
async def done_waits_for_the_last_answer(dut):
    bench = await Bench.start(dut)
    bench.store(segment_words=1, segments=1)
    await run(dut, bench.agents, lambda: bool(bench.memory.words))
    assert not bench.completions.items
    await bench.run(1)
    assert not bench.memory.answers


@cocotb.test()
@cocotb.parametrize(fault=["space", "line"])
async def a_store_out_of_bounds_writes_nothing_beyond(dut, fault):
    bench = await Bench.start(dut)
    bench.memory.legal = legal = space_range(Space.OUTPUT)
    room = len(legal) - ADVANCE[Space.OUTPUT]
    shape = {
        "space": Space.OUTPUT,
        "segment_words": 20,
        "segments": 2,
        "segment_stride": 20 * bench.pi,
        "plane": 0,
    }
    wrong = {
        "space": {"offset": room - 24 * bench.pi, "line": 0, "row_words": 20},
        "line": {
            "offset": 0,
            "line": bench.lines - 1,
            "bank": 0,
            "row_words": 1,
            "row_line": 1,
            "row_bank": 0,
        },
    }[fault]
    bench.store(**(shape | wrong))
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    assert int(dut.index_o.value) == 0
    assert all(line < bench.lines for line, _ in bench.scratchpad.reads)
    await recovers(bench)


async def recovers(bench: Bench) -> None:
    """After the stop: bursts begun are finished; then the unit is cleared and works again."""
    dut, memory = bench.dut, bench.memory
    dut.stop_i.value = 1
    quiet_until = memory.now + 8
    await run(
        dut, bench.agents, lambda: not memory.beats_left and not memory.answers and memory.now >= quiet_until
    )
    dut.clear_i.value = 1
    cleared = memory.now + 1
    await run(dut, bench.agents, lambda: memory.now >= cleared)
    dut.clear_i.value = dut.stop_i.value = 0
    memory.legal = None  # the next store may go to another space
    for seen in (
        bench.scratchpad.reads,
        memory.bursts,
        memory.words,
        bench.expected_reads,
        bench.expected_bursts,
    ):
        seen.clear()
    bench.store()
    await bench.run(1)
    bench.check()


@cocotb.test()
async def a_stop_in_the_middle_leaves_no_burst_without_its_words(dut):
    bench = await Bench.start(dut, stall=0.2)
    bench.store(segment_words=200, segments=1, row_words=200, line=0, offset=0)
    await run(dut, bench.agents, lambda: len(bench.memory.bursts) >= 4)
    expected = bench.expected_reads[: sum(beats for _, beats in bench.memory.bursts)]
    await recovers_with(bench, expected)


async def recovers_with(bench: Bench, expected: list[tuple[int, int]]) -> None:
    words = bench.memory.words
    bench.dut.stop_i.value = 1
    await run(bench.dut, bench.agents, lambda: not bench.memory.beats_left)
    mask = (1 << (8 * bench.pi)) - 1
    assert words == [scratchpad_word(*place) & mask for place in expected]
    await recovers(bench)
