"""Inside the simulator: descriptors reach their units in order, when they may; faults stop a run cleanly."""

from collections import deque
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from bitlathe.hls.program import DESCRIPTOR_BYTES, NO_WAIT, Descriptor, ErrorCode, Opcode, Space
from bitlathe.rtl_tb.fetch.programs import (
    STRIDES,
    UNITS,
    WAITS,
    bad_programs,
    descriptor,
    encode,
    random_program,
)
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import ReadMemory, ReadPorts, quiet, run

PROGRAM = 0x12_3456_7FC0  # the header ends a page
INPUTS = (
    *(
        "start_i",
        "abort_i",
        "program_i",
        "space_base_i",
        "profile_i",
        "inputs_i",
        "resident_i",
        "read_ready_i",
        "rvalid_i",
    ),
    *("rdata_i", "rerror_i", "flying_i", "load_ready_i", "load_busy_i", "load_done_i", "exec_ready_i"),
    *("exec_busy_i", "exec_done_i", "exec_bad_field_i", "exec_beyond_i", "exec_index_i"),
    *("store_ready_i", "store_busy_i", "store_done_i", "profile_busy_i"),
    *("record_ready_i", "error_i", "error_codes_i", "error_indices_i"),
)


class Unit:
    """Takes descriptors, at most `depth` at once, and completes them in order after a random time."""

    def __init__(self, dut: Any, name: str, rng: np.random.Generator, depth: int, longest: int) -> None:
        self.rng, self.depth, self.longest = rng, depth, longest
        handle = {
            key: getattr(dut, f"{name}_{key}")
            for key in ("valid_o", "ready_i", "desc_o", "index_o", "busy_i", "done_i")
        }
        self.handle = handle
        self.skip = dut.load_skip_o if name == "load" else None
        self.advance = None if name == "exec" else getattr(dut, f"{name}_advance_o")
        self.working: deque[int] = deque()  # cycle each is complete
        self.taken: list[tuple[int, int, bool]] = []  # index, descriptor, skipped
        self.advances: list[int] = []
        self.counts_at: list[tuple[int, int, int]] = []
        self.units: list[Unit] = []
        self.done = 0  # as last shown to the module
        self.finishing = False
        self.cycles: list[int] = []
        self.now = 0

    def drive(self) -> None:
        self.finishing = bool(self.working) and self.working[0] <= self.now
        self.handle["done_i"].value = int(self.finishing)
        self.handle["busy_i"].value = int(bool(self.working))
        self.handle["ready_i"].value = int(len(self.working) < self.depth)

    def sample(self) -> None:
        if int(self.handle["valid_o"].value) and len(self.working) < self.depth:
            skipped = bool(self.skip is not None and int(self.skip.value))
            self.taken.append((int(self.handle["index_o"].value), int(self.handle["desc_o"].value), skipped))
            self.advances.append(0 if self.advance is None else int(self.advance.value))
            self.counts_at.append((self.units[0].done, self.units[1].done, self.units[2].done))
            self.cycles.append(self.now)
            last = self.working[-1] if self.working else self.now
            self.working.append(max(last, self.now) + 1 + int(self.rng.integers(self.longest)))
        self.now += 1

    def settle(self) -> None:
        """Count what was completed in the cycle before; after every unit has looked at the counts."""
        if self.finishing:
            self.working.popleft()
            self.done += 1
            self.finishing = False


class Settle:
    """Advances the units' counts together, and the memory's sign of life."""

    def __init__(self, bench: "Bench") -> None:
        self.bench = bench

    def drive(self) -> None:
        self.bench.dut.flying_i.value = int(bool(self.bench.memory.beats))

    def sample(self) -> None:
        for unit in self.bench.units:
            unit.settle()
        if int(self.bench.dut.record_valid_o.value):
            self.bench.ends.append(int(self.bench.dut.record_o.value) & 0xFFFF)


class Bench:
    """A program in memory, three units, and what they took."""

    def __init__(self, dut: Any, stall: float, longest: int) -> None:
        self.dut, self.rng, self.pi = dut, random_generator(), int(dut.PI.value)
        self.program = b""
        ports = ReadPorts(
            valid="read_valid_o",
            ready="read_ready_i",
            address="read_address_o",
            beats=None,
            beats_bias=DESCRIPTOR_BYTES // self.pi,
            rvalid="rvalid_i",
            rready=None,
            rdata="rdata_i",
            rerror="rerror_i",
            error_value=1,
        )
        self.memory = ReadMemory(
            dut, ports, self.rng, word_bytes=self.pi, stall=stall, latency=20, contents=self.contents
        )
        depths = {"load": 3, "exec": 1, "store": 1}
        self.units = [Unit(dut, name, self.rng, depth, longest) for name, depth in depths.items()]
        for unit in self.units:
            unit.units = self.units
        self.ends: list[int] = []

    @classmethod
    async def start(cls, dut: Any, *, stall: float = 0.0, longest: int = 30) -> "Bench":
        """A bench after reset."""
        quiet(dut, INPUTS)
        dut.record_ready_i.value = 1
        await reset(dut)
        return cls(dut, stall, longest)

    @property
    def agents(self) -> list[Any]:
        return [self.memory, *self.units, Settle(self)]

    def contents(self, address: int) -> int:
        place = address - PROGRAM
        return int.from_bytes(self.program[place : place + self.pi], "little")

    async def begin(
        self, program: bytes, *, inputs: int = 1, resident: bool = False, profile: int = 0
    ) -> None:
        """Put a program in memory and start it."""
        dut = self.dut
        self.program = program
        self.memory.legal = range(PROGRAM, PROGRAM + len(program))
        self.ends.clear()
        for unit in self.units:
            unit.working.clear()
            for seen in (unit.taken, unit.advances, unit.counts_at, unit.cycles):
                seen.clear()
            unit.done = 0
        dut.program_i.value, dut.inputs_i.value = PROGRAM, inputs
        dut.resident_i.value, dut.profile_i.value = int(resident), profile
        dut.start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0

    async def finish(self) -> None:
        """Run until done."""
        watch = Watch(self)
        await run(self.dut, [*self.agents, watch], lambda: watch.done)

    async def result(self, program: bytes, **arguments: Any) -> tuple[int, int]:
        """(error code, descriptor at fault) of a run."""
        await self.begin(program, **arguments)
        await self.finish()
        return int(self.dut.error_code_o.value), int(self.dut.error_index_o.value)

    async def still_works(self) -> None:
        """Check that the next start runs its program to the end."""
        self.memory.broken.clear()
        self.dut.error_i.value = 0
        program = random_program(self.rng, 6)
        assert await self.result(encode(program)) == (ErrorCode.NONE, 0xFFFF_FFFF)
        self.check(program, inputs=1, resident=False)

    def check(self, program: list[Descriptor], *, inputs: int, resident: bool) -> None:
        """Every unit took its descriptors, in order, whole, when it was allowed to."""
        sizes = [sum(UNITS.get(one.opcode) == unit for one in program) for unit in range(len(self.units))]
        for unit_number, unit in enumerate(self.units):
            expected = [
                (number, index, one)
                for number in range(inputs)
                for index, one in enumerate(program)
                if UNITS.get(one.opcode) == unit_number
            ]
            assert [index for index, _, _ in unit.taken] == [index for _, index, _ in expected]
            for place, (number, _, one) in enumerate(expected):
                before = [number * size for size in sizes]
                self.check_one(unit, place, one, before, resident or number > 0)
                space = getattr(one, "space", 0)
                strides = {Space.INPUT: STRIDES["input_stride"], Space.OUTPUT: STRIDES["output_stride"]}
                assert unit.advances[place] == strides.get(Space(space), 0) * number // self.pi

    def check_one(self, unit: Unit, place: int, one: Descriptor, before: list[int], resident: bool) -> None:
        _, bits, skipped = unit.taken[place]
        kept = (1 << len(unit.handle["desc_o"].value)) - 1
        assert bits == int.from_bytes(one.encode(), "little") & kept
        assert skipped == (resident and one.once)
        reached = zip(before, one.waits, unit.counts_at[place], strict=True)
        assert skipped or all(base + wait <= count for base, wait, count in reached)


class Watch:
    """Sees the end of the run."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.done = bench, False

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        self.done = self.done or bool(int(self.bench.dut.done_o.value))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3], resident=[False, True], inputs=[1, 3])
async def every_descriptor_reaches_its_unit_in_order_when_it_may(dut, stall, resident, inputs):
    bench = await Bench.start(dut, stall=stall)
    for length in (0, 1, 30):
        program = random_program(bench.rng, length)
        arguments = {"inputs": inputs, "resident": resident, "profile": 0x8000}
        assert await bench.result(encode(program), **arguments) == (ErrorCode.NONE, 0xFFFF_FFFF)
        bench.check(program, inputs=inputs, resident=resident)
        assert bench.ends == [length], "the last input's END leaves a record"


@cocotb.test()
async def the_next_inputs_descriptors_wait_for_no_more_than_they_say(dut):
    bench = await Bench.start(dut, longest=200)
    free = dict.fromkeys(WAITS, NO_WAIT)
    program = [
        descriptor(Opcode.LOAD, **free | {"wait_exec": -1}),  # of the input before, all EXECs but one
        descriptor(Opcode.EXEC, **free | {"wait_load": 1}),
        descriptor(Opcode.EXEC, **free),
        descriptor(Opcode.STORE, **free | {"wait_exec": 2}),
        descriptor(Opcode.END),
    ]
    assert await bench.result(encode(program), inputs=8) == (ErrorCode.NONE, 0xFFFF_FFFF)
    bench.check(program, inputs=8, resident=False)
    execs_done = [counts[1] for counts in bench.units[0].counts_at]
    assert any(done < 2 * number for number, done in enumerate(execs_done)), "no load went ahead"


@cocotb.test()
async def the_first_descriptor_reaches_its_unit_four_cycles_after_its_last_beat(dut):
    bench = await Bench.start(dut)
    program = [descriptor(Opcode.LOAD), descriptor(Opcode.END)]
    before = bench.memory.now
    await bench.begin(encode(program))
    await bench.finish()
    beats = 2 * DESCRIPTOR_BYTES // bench.pi
    assert bench.memory.burst_cycles[0] == before
    last_beat = bench.memory.burst_cycles[0] + bench.memory.latency + beats - 1
    assert bench.units[0].cycles[0] == last_beat + 4


@cocotb.test()
async def descriptors_that_are_buffered_follow_without_delay(dut):
    bench = await Bench.start(dut, longest=1)
    load = bench.units[0]
    load.depth = 0
    program = [descriptor(Opcode.LOAD_WEIGHTS) for _ in range(12)]
    await bench.begin(encode([*program, descriptor(Opcode.END)]))
    await run(dut, bench.agents, lambda: load.now >= 200)
    assert len(bench.memory.bursts) == 1 + 1 + 4, "the header, one pending, four buffered"
    load.depth = 3
    await bench.finish()
    assert np.diff(load.cycles)[:4].tolist() == [3, 3, 3, 3]


@cocotb.test()
async def every_illegal_program_is_refused_and_the_next_start_works(dut):
    bench = await Bench.start(dut)
    sizes = {
        "word_bytes": bench.pi,
        "po": int(dut.PO.value),
        "pp": int(dut.PP.value),
        "banks": int(dut.Banks.value),
    }
    for number, (program, code, index) in enumerate(bad_programs(bench.rng, **sizes)):
        assert await bench.result(program) == (code, index), f"illegal program {number}"
        if number % 8 == 0:
            await bench.still_works()


@cocotb.test()
@cocotb.parametrize(argument=["inputs", "program", "profile", "space"])
async def an_impossible_argument_stops_the_run(dut, argument):
    bench = await Bench.start(dut)
    program = encode(random_program(bench.rng, 3))
    await bench.begin(
        program, inputs=0 if argument == "inputs" else 1, profile=1 if argument == "profile" else 0
    )
    if argument == "program":
        dut.program_i.value = PROGRAM + 8
    if argument == "space":
        dut.space_base_i.value = 1 << 80
    await bench.finish()
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == (ErrorCode.BAD_FIELD, 0xFFFF_FFFF)
    dut.space_base_i.value = 0
    await bench.still_works()


@cocotb.test()
@cocotb.parametrize(place=[0, 1, 3])
async def a_read_error_names_the_descriptor_it_hit(dut, place):
    bench = await Bench.start(dut, stall=0.2)
    program = encode(random_program(bench.rng, 5))
    bench.memory.broken = {PROGRAM + place * DESCRIPTOR_BYTES + 2 * bench.pi}
    index = place - 1 if place else 0xFFFF_FFFF
    assert await bench.result(program) == (ErrorCode.AXI_READ, index)
    await bench.still_works()


@cocotb.test()
@cocotb.parametrize(wait=WAITS)
async def waits_that_nothing_can_meet_stop_the_run(dut, wait):
    bench = await Bench.start(dut)
    program = [descriptor(Opcode.LOAD), descriptor(Opcode.STORE, **{wait: 9}), descriptor(Opcode.END)]
    assert await bench.result(encode(program)) == (ErrorCode.BAD_FIELD, 1)
    await bench.still_works()


@cocotb.test()
async def a_wait_may_look_ahead(dut):
    bench = await Bench.start(dut)
    program = [descriptor(Opcode.EXEC, wait_load=1), descriptor(Opcode.LOAD), descriptor(Opcode.END)]
    assert await bench.result(encode(program)) == (ErrorCode.NONE, 0xFFFF_FFFF)
    bench.check(program, inputs=1, resident=False)


@cocotb.test()
@cocotb.parametrize(source=[0, 1, 2])
async def a_units_error_stops_the_run(dut, source):
    bench = await Bench.start(dut)
    await bench.begin(encode(random_program(bench.rng, 40)))
    await run(dut, bench.agents, lambda: len(bench.units[0].taken) >= 2)
    dut.error_codes_i.value = 0x060405
    dut.error_indices_i.value = 0x0033_0022_0011
    dut.error_i.value = 1 << source
    await bench.finish()
    expected = [(0x05, 0x11), (0x04, 0x22), (0x06, 0x33)][source]
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == expected
    await bench.still_works()


@cocotb.test()
async def an_abort_ends_the_run_and_not_the_next(dut):
    bench = await Bench.start(dut)
    await bench.begin(encode(random_program(bench.rng, 40)))
    await run(dut, bench.agents, lambda: len(bench.units[0].taken) >= 2)
    dut.abort_i.value = 1
    await bench.finish()
    dut.abort_i.value = 0
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == (ErrorCode.ABORTED, 0xFFFF_FFFF)
    await bench.still_works()


@cocotb.test()
@cocotb.parametrize(source=[0, 2])
async def an_error_that_comes_first_or_with_the_abort_is_told(dut, source):
    bench = await Bench.start(dut)
    await bench.begin(encode(random_program(bench.rng, 40)))
    await run(dut, bench.agents, lambda: len(bench.units[0].taken) >= 2)
    dut.error_codes_i.value = 0x060405
    dut.error_i.value = 1 << source
    dut.abort_i.value = 1
    await bench.finish()
    dut.abort_i.value = 0
    assert int(dut.error_code_o.value) == [0x05, None, 0x06][source]
    await bench.still_works()


@cocotb.test()
async def an_abort_while_idle_is_ignored(dut):
    bench = await Bench.start(dut)
    dut.abort_i.value = 1
    await run(dut, bench.agents, lambda: bench.memory.now > 20)
    dut.abort_i.value = 0
    assert int(dut.idle_o.value) and not int(dut.stop_o.value)
    await bench.still_works()


@cocotb.test()
@cocotb.parametrize(code=[ErrorCode.BAD_FIELD, ErrorCode.OUT_OF_BOUNDS])
async def an_exec_that_is_refused_as_it_begins_stops_the_run(dut, code):
    bench = await Bench.start(dut)
    await bench.begin(encode(random_program(bench.rng, 40)))
    await run(dut, bench.agents, lambda: len(bench.units[1].taken) >= 2)
    pulse = dut.exec_bad_field_i if code is ErrorCode.BAD_FIELD else dut.exec_beyond_i
    dut.exec_index_i.value, pulse.value = 0x1234, 1
    await RisingEdge(dut.clk_i)
    pulse.value = 0
    await bench.finish()
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == (code, 0x1234)
    await bench.still_works()


@cocotb.test()
async def a_start_while_busy_is_ignored(dut):
    bench = await Bench.start(dut)
    program = random_program(bench.rng, 8)
    await bench.begin(encode(program))
    await run(
        dut, bench.agents, lambda: bool(bench.units[0].taken or bench.units[1].taken or bench.units[2].taken)
    )
    dut.start_i.value = 1
    await bench.finish()
    dut.start_i.value = 0
    bench.check(program, inputs=1, resident=False)


@cocotb.test()
async def a_reset_in_the_middle_of_a_run_leaves_an_engine_that_works(dut):
    bench = await Bench.start(dut)
    await bench.begin(encode(random_program(bench.rng, 20)))
    await run(dut, bench.agents, lambda: bool(bench.units[0].taken))
    await run(dut, bench.agents, lambda: not bench.memory.beats)
    quiet(dut, INPUTS)
    dut.rst_ni.value = 0
    await RisingEdge(dut.clk_i)
    dut.rst_ni.value = dut.record_ready_i.value = 1
    await bench.still_works()
