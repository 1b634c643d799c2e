"""Inside the simulator: registers read back; start, done and the interrupt behave as ap_ctrl_hs."""

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from bitlathe.hls.program import PROGRAM_VERSION
from bitlathe.hls.program.registers import (
    ABORT,
    ADDRESS_BITS,
    DONE,
    IDLE,
    OFFSETS,
    READY,
    REGISTERS,
    START,
    Access,
)
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import quiet

INPUTS = ("done_i", "error_code_i", "error_index_i", "cycles_i", "exec_index_i")
ARGUMENTS = [register.name for register in REGISTERS if register.access is Access.READ_WRITE]
# Bits that a register keeps; the others read 0.
KEPT = {"FLAGS": 1} | {name: 0xFF for name in ARGUMENTS if name.endswith("_HI")}


class Bench:
    """An AXI4-Lite master on the registers, and the pulses of start and abort."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, random_generator()
        bus = AxiLiteBus.from_prefix(dut, "s_axi_control")
        self.master = AxiLiteMaster(bus, dut.clk_i, dut.rst_ni, reset_active_level=False)
        self.starts = self.aborts = 0

    @classmethod
    async def start(cls, dut: Any, *, stall: bool = False) -> "Bench":
        """A bench after reset, the engine idle."""
        quiet(dut, INPUTS)
        dut.idle_i.value = 1
        bench = cls(dut)
        if stall:
            for channel in (bench.master.write_if.b_channel, bench.master.read_if.r_channel):
                channel.set_pause_generator(itertools.cycle([1, 1, 0]))
            for channel in (bench.master.write_if.aw_channel, bench.master.write_if.w_channel):
                channel.set_pause_generator(
                    bool(pause) for pause in np.random.default_rng(1).integers(0, 2, 10_000)
                )
        await reset(dut)
        cocotb.start_soon(bench.count_pulses())
        return bench

    async def count_pulses(self) -> None:
        while True:
            await RisingEdge(self.dut.clk_i)
            self.starts += int(self.dut.start_o.value)
            self.aborts += int(self.dut.abort_o.value)

    async def read(self, name: str) -> int:
        return await self.master.read_dword(OFFSETS[name])

    async def write(self, name: str, value: int) -> None:
        await self.master.write_dword(OFFSETS[name], value)

    async def done(self) -> None:
        """One cycle of done."""
        self.dut.done_i.value = 1
        await RisingEdge(self.dut.clk_i)
        self.dut.done_i.value = 0
        await RisingEdge(self.dut.clk_i)


@cocotb.test()
@cocotb.parametrize(stall=[False, True])
async def arguments_read_back_and_reach_the_engine(dut, stall):
    bench = await Bench.start(dut, stall=stall)
    values = {name: int(bench.rng.integers(1 << 32)) for name in ARGUMENTS}
    for name, value in values.items():
        await bench.write(name, value)
    for name, value in values.items():
        assert await bench.read(name) == value & KEPT.get(name, 0xFFFFFFFF), name
    address = {
        name[:-3]: (values[f"{name[:-3]}_HI"] & 0xFF) << 32 | values[name]
        for name in ARGUMENTS
        if name.endswith("_LO")
    }
    spaces = ("WEIGHTS", "INPUT", "OUTPUT", "SCRATCH")
    assert int(dut.program_o.value) == address["PROGRAM"] and int(dut.profile_o.value) == address["PROFILE"]
    assert int(dut.space_base_o.value) == sum(
        address[name] << (40 * place) for place, name in enumerate(spaces)
    )
    sizes = [values[f"{name}_BYTES"] for name in spaces]
    assert int(dut.space_bytes_o.value) == sum(size << (32 * place) for place, size in enumerate(sizes))
    assert int(dut.inputs_o.value) == values["INPUTS"] and int(dut.resident_o.value) == values["FLAGS"] & 1
    assert bench.starts == 0


@cocotb.test()
async def single_bytes_can_be_written(dut):
    bench = await Bench.start(dut)
    await bench.write("PROGRAM_LO", 0x11223344)
    await bench.master.write(OFFSETS["PROGRAM_LO"] + 1, b"\xaa\xbb")
    assert await bench.read("PROGRAM_LO") == 0x11BBAA44
    await bench.write("PROGRAM_HI", 0x55)
    await bench.master.write(OFFSETS["PROGRAM_HI"] + 1, b"\xaa")
    assert await bench.read("PROGRAM_HI") == 0x55


@cocotb.test()
async def status_passes_through(dut):
    bench = await Bench.start(dut)
    dut.error_code_i.value, dut.error_index_i.value = 4, 0xFFFF_FFFF
    dut.cycles_i.value, dut.exec_index_i.value = 0x1234_5678_9ABC_DEF0, 77
    names = ("ERROR", "ERROR_INDEX", "CYCLES_LO", "CYCLES_HI", "EXEC_INDEX", "IDENTITY", "VERSION", "RUNS")
    values = [4, 0xFFFF_FFFF, 0x9ABC_DEF0, 0x1234_5678, 77, int(dut.Identity.value), PROGRAM_VERSION, 0]
    for name, value in zip(names, values, strict=True):
        await bench.write(name, 0xDEAD_BEEF)
        assert await bench.read(name) == value, name
    first, second = await bench.read("CYCLE_COUNTER"), await bench.read("CYCLE_COUNTER")
    assert 0 < second - first < 20


@cocotb.test()
async def an_offset_without_a_register_reads_zero(dut):
    bench = await Bench.start(dut)
    beside = set(range(0, 256, 4)) - set(OFFSETS.values())
    # A register's offset with one more address bit set is not a register's: nothing is seen twice.
    aliases = {offset | 1 << bit for offset in OFFSETS.values() for bit in range(8, ADDRESS_BITS)}
    for offset in beside | aliases:
        await bench.master.write_dword(offset, 0xFFFF_FFFF)
        assert await bench.master.read_dword(offset) == 0, hex(offset)
    assert bench.starts == bench.aborts == 0
    assert [await bench.read(name) for name in ("GIE", "IER", "ISR")] == [0, 0, 0]


@cocotb.test()
async def start_is_a_pulse_and_done_is_cleared_by_reading(dut):
    bench = await Bench.start(dut)
    assert await bench.read("CTRL") == IDLE
    await bench.write("CTRL", START)
    assert bench.starts == 1
    dut.idle_i.value = 0
    assert await bench.read("CTRL") == START
    await bench.done()
    dut.idle_i.value = 1
    assert await bench.read("CTRL") == DONE | READY | IDLE
    assert await bench.read("CTRL") == IDLE
    assert await bench.read("RUNS") == 1
    assert bench.starts == 1


@cocotb.test()
async def abort_is_a_pulse_of_its_own(dut):
    bench = await Bench.start(dut)
    dut.idle_i.value = 0
    await bench.write("CTRL", ABORT)
    assert (bench.starts, bench.aborts) == (0, 1)
    assert await bench.read("CTRL") == START, "busy, and the bit of abort reads 0"
    await bench.master.write(OFFSETS["CTRL"], b"\xff")
    await bench.write("GIE", ABORT)
    assert (bench.starts, bench.aborts) == (1, 1)


@cocotb.test()
@cocotb.parametrize(first=["aw", "w"])
async def address_and_data_may_come_in_either_order(dut, first):
    bench = await Bench.start(dut)
    late = bench.master.write_if.w_channel if first == "aw" else bench.master.write_if.aw_channel
    for value in (0x1234, 0x5678):
        late.pause = True
        writing = cocotb.start_soon(bench.write("INPUTS", value))
        for _ in range(20):
            await RisingEdge(dut.clk_i)
            assert not int(dut.s_axi_control_bvalid.value), "answered before both were there"
        late.pause = False
        await writing
        assert int(dut.inputs_o.value) == value


@cocotb.test()
async def the_interrupt_follows_its_enables_and_is_toggled_off(dut):
    bench = await Bench.start(dut)
    await bench.done()
    assert await bench.read("ISR") == 0, "not enabled"
    await bench.write("IER", 1)
    await bench.done()
    assert await bench.read("ISR") == 1 and int(dut.irq_o.value) == 0
    await bench.write("GIE", 1)
    assert int(dut.irq_o.value) == 1
    await bench.write("ISR", 1)
    assert int(dut.irq_o.value) == 0 and await bench.read("ISR") == 0
    await bench.done()
    assert int(dut.irq_o.value) == 1 and await bench.read("RUNS") == 3


@cocotb.test()
async def a_done_in_the_cycle_of_a_read_is_not_lost(dut):
    bench = await Bench.start(dut)
    for delay in range(8):
        reading = cocotb.start_soon(bench.read("CTRL"))
        for _ in range(delay):
            await RisingEdge(dut.clk_i)
        await bench.done()
        seen = await reading | await bench.read("CTRL")
        assert seen & DONE, f"done {delay} cycles after the read began"
