"""Inside the simulator: a compiled network's integers are the reference's, and the engine keeps to its bus.

The network, its inputs, the share of stalled cycles and the order of writes come in the environment variables
below.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.program import ErrorCode, Opcode
from bitlathe.hls.program.moves import BURST_BEATS
from bitlathe.hls.program.registers import DONE, FLAG_WEIGHTS_RESIDENT, IDLE, OFFSETS, START
from bitlathe.hls.sim.engine import OutputCodes, unpacked
from bitlathe.hls.sim.memory import RunBuffer, WriteOrder
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.files.archive import read_graph
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.reference import evaluate_outputs
from bitlathe.rtl_tb.engine.memory import BASE, LOW_BASE, BufferMemory
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import WriteGate

GRAPH_VARIABLE = "BITLATHE_BENCH_GRAPH"  # path of a graph's file
CODES_VARIABLE = "BITLATHE_BENCH_CODES"  # path of an .npy file, input codes (N, C, H, W)
STALL_VARIABLE = "BITLATHE_BENCH_STALL"  # chance in percent that a channel pauses in a cycle
ORDER_VARIABLE = "BITLATHE_BENCH_ORDER"  # name of a WriteOrder; unset: addresses and data as they come
HLS_VARIABLE = (
    "BITLATHE_BENCH_HLS"  # set for a core made by HLS, which writes no profile and may have 32 address bits
)

CLOCK_NS = 10
PARAMETERS = ("PI", "PO", "PP", "Banks", "BankLines", "WeightLines")
FIELDS = ("pi", "po", "pp", "banks", "bank_lines", "weight_lines")
RULES = (
    "AR changed before it was taken",
    "AW changed before it was taken",
    "W changed before it was taken",
    "control B changed before it was taken",
    "control R changed before it was taken",
    "a read burst is too long, crosses 4 KiB or is not of whole words",
    "a write burst is too long, crosses 4 KiB or is not of whole words",
    "WLAST was not on a burst's last beat",
    "a write strobe was off",
)


QUEUED = 8 * BURST_BEATS  # addresses, or words of all bursts that may be outstanding


def pauses(rng: np.random.Generator, share: float) -> Iterator[bool]:
    """True in a random `share` of the cycles, without end."""
    while True:
        yield from (rng.random(1024) < share).tolist()


def bunches() -> Iterator[bool]:
    """True except for a few cycles now and then: what is held back is then sent in a bunch."""
    while True:
        yield from [True] * 150 + [False] * 16


class Bench:
    """The engine between a memory that holds a network and a master that starts it."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, random_generator()
        self.graph = read_graph(Path(os.environ[GRAPH_VARIABLE]))
        self.codes: IntArray = np.load(os.environ[CODES_VARIABLE])
        sizes = {name: int(getattr(dut, top).value) for name, top in zip(FIELDS, PARAMETERS, strict=True)}
        self.compiled: Compiled = compile_graph(self.graph, EngineConfiguration(**sizes))
        self.made_by_hls = bool(os.environ.get(HLS_VARIABLE))
        base = LOW_BASE if self.made_by_hls else BASE
        self.memory = BufferMemory.of(self.compiled, len(self.codes), self.rng, base)
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)  # a line for every burst
        clocked = {"reset_active_level": False}
        bus, control = AxiBus.from_prefix(dut, "m_axi"), AxiLiteBus.from_prefix(dut, "s_axi_control")
        self.slave = AxiSlave(bus, dut.clk_i, dut.rst_ni, target=self.memory, **clocked)
        self.master = AxiLiteMaster(control, dut.clk_i, dut.rst_ni, **clocked)
        self.stall = int(os.environ[STALL_VARIABLE]) / 100
        self._stall(self.stall)

    async def keep_order(self) -> None:
        """Take write addresses and data in the order asked for, and answer in bunches."""
        gate, writes = WriteGate(self.dut, WriteOrder[os.environ[ORDER_VARIABLE]]), self.slave.write_if
        for channel in (writes.aw_channel, writes.w_channel):
            channel.clear_pause_generator()
            channel.queue_occupancy_limit = (
                QUEUED  # its own limit of two would hold back what the order takes
            )
        writes.b_channel.set_pause_generator(bunches())
        while True:
            await FallingEdge(self.dut.clk_i)
            gate.look()
            pause_address, pause_data = self.rng.random(2) < self.stall
            writes.aw_channel.pause = bool(not gate.address or pause_address)
            writes.w_channel.pause = bool(not gate.data or pause_data)

    def _stall(self, share: float) -> None:
        sides = (self.slave, self.master)
        for interface in [side.write_if for side in sides] if share else []:
            for channel in (interface.aw_channel, interface.w_channel, interface.b_channel):
                channel.set_pause_generator(pauses(self.rng, share))
        for interface in [side.read_if for side in sides] if share else []:
            for channel in (interface.ar_channel, interface.r_channel):
                channel.set_pause_generator(pauses(self.rng, share))

    async def set(self, register: str, value: int) -> None:
        await self.master.write_dword(OFFSETS[register], value)

    async def get(self, register: str) -> int:
        return int(await self.master.read_dword(OFFSETS[register]))

    async def prepare(self) -> None:
        """Interrupts on, no profile; addresses and sizes of every other buffer."""
        for register, value in (("GIE", 1), ("IER", 1), ("PROFILE_LO", 0), ("PROFILE_HI", 0)):
            await self.set(register, value)
        for buffer in (
            RunBuffer.PROGRAM,
            RunBuffer.WEIGHTS,
            RunBuffer.INPUT,
            RunBuffer.OUTPUT,
            RunBuffer.SCRATCH,
        ):
            await self.set_address(buffer)
            if buffer is not RunBuffer.PROGRAM:
                await self.set(f"{buffer.name}_BYTES", self.memory.regions[buffer].size)
        await self.set("INPUTS", len(self.codes))

    async def set_address(self, buffer: RunBuffer) -> None:
        address = self.memory.address(buffer)
        await self.set(f"{buffer.name}_LO", address & 0xFFFF_FFFF)
        await self.set(f"{buffer.name}_HI", address >> 32)

    async def start(self, codes: IntArray, *, flags: int) -> OutputCodes:
        """Codes (N, C, H, W) of every output of one start."""
        self.memory.fill(RunBuffer.INPUT, self._input_bytes(codes))
        before = self.memory.protected()
        await self.set("FLAGS", flags)
        await self.set("CTRL", START)
        await with_timeout(RisingEdge(self.dut.irq_o), self._limit(), "ns")
        await self.set("ISR", 1)
        assert self.memory.strays == []
        error, place = await self.get("ERROR"), await self.get("ERROR_INDEX")
        assert not error, f"{ErrorCode(error).name} at descriptor {place}"
        assert np.array_equal(self.memory.protected(), before), "memory of others was written"
        return unpacked(self.compiled, self.memory.view(RunBuffer.OUTPUT).reshape(len(codes), -1))

    async def check_registers(self, runs: int) -> int:
        """Cycles of the run, after its other registers were found right."""
        assert await self.get("CTRL") & (DONE | IDLE) == DONE | IDLE
        assert not await self.get("CTRL") & DONE, "reading did not clear done"
        assert await self.get("RUNS") == runs
        assert await self.get("IDENTITY") == self.compiled.program.configuration.identity
        cycles = await self.get("CYCLES_LO") | await self.get("CYCLES_HI") << 32
        assert cycles > 0 and not int(self.dut.irq_o.value)
        return cycles

    def check_profile(self, cycles: int) -> None:
        """Every descriptor but END ran within the run."""
        words = self.memory.view(RunBuffer.PROFILE).view(np.uint32).reshape(len(self._opcodes()), -1)[:-1]
        assert np.all(words[:, 0] <= words[:, 1]) and words[:, 1].max() <= cycles

    def check_bus(self) -> None:
        broken = int(self.dut.broken_o.value)
        assert not broken, "; ".join(rule for bit, rule in enumerate(RULES) if broken >> bit & 1)

    def weights_stay(self) -> bool:
        """Every load of weights is skipped when they are resident."""
        loads = [entry for entry in self.compiled.program.descriptors if entry.opcode is Opcode.LOAD_WEIGHTS]
        return all(entry.once for entry in loads)

    def _opcodes(self) -> list[Opcode]:
        return [entry.opcode for entry in self.compiled.program.descriptors]

    def _input_bytes(self, codes: IntArray) -> bytes:
        packed = self.compiled.input_layout.pack(codes).reshape(len(codes), -1)
        rows = np.zeros((len(codes), self.compiled.program.input_stride), np.uint8)
        rows[:, : packed.shape[1]] = packed
        return rows.tobytes()

    def _limit(self) -> int:
        """Nanoseconds after which a start hangs: many times what the compiler predicts."""
        return CLOCK_NS * (20_000 + 20 * len(self.codes) * self.compiled.predicted.cycles)


def _are_equal(made: OutputCodes, wanted: OutputCodes) -> bool:
    return all(np.array_equal(*pair) for pair in zip(made, wanted, strict=True))


@cocotb.test()
async def a_network_gives_the_references_integers_twice(dut: Any) -> None:
    bench = Bench(dut)
    await reset(dut)
    if ORDER_VARIABLE in os.environ:
        cocotb.start_soon(bench.keep_order())
    await bench.prepare()
    codes = bench.codes
    first = await bench.start(codes, flags=0)
    assert _are_equal(first, evaluate_outputs(bench.graph, codes))
    await bench.check_registers(1)
    read = bench.memory.bytes_read[RunBuffer.WEIGHTS]
    assert read >= len(bench.compiled.weights)

    if not bench.made_by_hls:
        await bench.set_address(RunBuffer.PROFILE)
    second = await bench.start(codes[::-1], flags=FLAG_WEIGHTS_RESIDENT)
    assert _are_equal(second, evaluate_outputs(bench.graph, codes[::-1]))
    cycles = await bench.check_registers(2)
    if not bench.made_by_hls:
        bench.check_profile(cycles)
    assert not bench.weights_stay() or bench.memory.bytes_read[RunBuffer.WEIGHTS] == read
    bench.check_bus()
