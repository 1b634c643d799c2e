"""A simulated engine that runs compiled networks: codes in, codes and cycles out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.program import Program
from bitlathe.hls.program.registers import ABORT, FLAG_WEIGHTS_RESIDENT, OFFSETS, START
from bitlathe.hls.sim.build import engine_model
from bitlathe.hls.sim.deadline import deadline_cycles, drain_cycles
from bitlathe.hls.sim.faults import (
    EngineTimeout,
    ProtocolViolation,
    describe,
    fault,
    violation_message,
    violation_words,
)
from bitlathe.hls.sim.memory import (
    READABLE,
    WRITABLE,
    DdrRegion,
    RunBuffer,
    SimulatedDdr,
    lay_out,
    total_bytes,
)
from bitlathe.hls.sim.model import Counters, Model
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.arrays import only
from bitlathe.model.graph.errors import FormatError, ShapeError

POISON = 0xA5  # what memory holds that nobody wrote


class InputPacking(Protocol):
    """Layout of the input's codes in memory."""

    def pack(self, codes: NDArray[np.integer[Any]], /) -> NDArray[np.uint8]:
        """Bytes (N, bytes) of codes (N, C, H, W)."""


class OutputPacking(Protocol):
    """Layout of an output's codes in memory."""

    def unpack(self, data: NDArray[np.uint8], /) -> NDArray[np.integer[Any]]:
        """Codes (N, C, H, W) of the bytes (N, bytes) of all outputs."""


class CompiledNetwork(Protocol):
    """The parts of a compiled network that are needed to run it."""

    @property
    def program(self) -> Program: ...
    @property
    def weights(self) -> bytes: ...
    @property
    def input_layout(self) -> InputPacking: ...
    @property
    def output_layouts(self) -> Sequence[OutputPacking]: ...
    @property
    def scratch_bytes(self) -> int: ...


OutputCodes = tuple[NDArray[np.integer[Any]], ...]  # (N, C, H, W) of every output


def unpacked(network: CompiledNetwork, data: NDArray[np.uint8]) -> OutputCodes:
    """Codes of every output of bytes (N, bytes)."""
    return tuple(layout.unpack(data) for layout in network.output_layouts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The results of a run."""

    outputs: OutputCodes
    cycles: tuple[int, ...]  # of each start; with one input a start, the latency of each input
    profile: NDArray[np.uint32] | None  # (descriptors, 2) first and last cycle; of the last input
    counters: Counters  # of all starts

    @property
    def codes(self) -> NDArray[np.integer[Any]]:
        """Codes (N, C, H, W) of the one output; ShapeError where there are several."""
        return only(self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A network in the simulated memory."""

    network: CompiledNetwork
    memory: NDArray[np.uint8]
    regions: dict[RunBuffer, DdrRegion]
    inputs: int  # room for this many a start

    def bytes(self, buffer: RunBuffer) -> NDArray[np.uint8]:
        return self.memory[self.regions[buffer].slice]


class SimulatedEngine:
    """One engine and its memory. Weights stay in the engine from start to start of the same network."""

    def __init__(
        self,
        configuration: EngineConfiguration,
        ddr: SimulatedDdr,
        *,
        library: Path | None = None,
        random_seed: int = 0,
    ) -> None:
        """An engine out of reset; `library` is another model with the engine's ports, if given."""
        self._configuration = configuration
        self._ddr = ddr
        self._loaded: _Loaded | None = None
        self._resident = False
        idle = np.full(4096, POISON, np.uint8)
        self.model = Model(library or engine_model(configuration), idle, ddr, random_seed=random_seed)
        self._wake()

    def close(self) -> None:
        """Free the model."""
        self.model.close()

    def load(self, network: CompiledNetwork, inputs_per_start: int = 1) -> None:
        """Place a network in fresh memory; the engine itself keeps whatever state it has.

        Done by `run` where needed. FormatError when it was compiled for another configuration.
        """
        if network.program.configuration != self._configuration:
            raise FormatError(
                f"program for {network.program.configuration}, engine of {self._configuration}; "
                "compile it again"
            )
        self._settle()
        regions = lay_out(_sizes(network, inputs_per_start))
        memory = np.full(total_bytes(regions), POISON, np.uint8)
        self._loaded = _Loaded(network=network, memory=memory, regions=regions, inputs=inputs_per_start)
        self._loaded.bytes(RunBuffer.PROGRAM)[:] = np.frombuffer(network.program.encode(), np.uint8)
        self._loaded.bytes(RunBuffer.WEIGHTS)[:] = np.frombuffer(network.weights, np.uint8)
        self._resident = False
        self._attach(self._loaded)

    def run(
        self,
        network: CompiledNetwork,
        codes: NDArray[np.integer[Any]],
        *,
        profile: bool = False,
        inputs_per_start: int = 1,
        deadline: int | None = None,
    ) -> RunResult:
        """Run inputs (N, C, H, W), `inputs_per_start` of them a start, with the weights of the start before.

        `deadline` bounds a start's cycles (default: several times what the program needs). Raises
        EngineStopped, EngineTimeout or ProtocolViolation, after which the engine is ready for the next run: a
        run past its deadline is aborted, or where the memory is silent ended by a reset.
        """
        if not len(codes) or inputs_per_start < 1:
            raise ShapeError(f"{len(codes)} inputs, {inputs_per_start} a start: give at least one")
        if (
            self._loaded is None
            or self._loaded.network is not network
            or self._loaded.inputs < inputs_per_start
        ):
            self.load(network, inputs_per_start)
        self._settle()
        loaded = self._ready()
        packed = np.ascontiguousarray(network.input_layout.pack(codes)).reshape(len(codes), -1)
        self.model.counters(clear=True)
        self._write_pair("PROFILE", self._address(loaded, RunBuffer.PROFILE) if profile else 0)
        starts = [
            packed[first : first + inputs_per_start] for first in range(0, len(codes), inputs_per_start)
        ]
        done = [self._start(loaded, start, deadline) for start in starts]
        return RunResult(
            outputs=unpacked(network, np.concatenate([output for output, _ in done])),
            cycles=tuple(cycles for _, cycles in done),
            profile=_profile(loaded) if profile else None,
            counters=self.model.counters(),
        )

    def abort(self) -> bool:
        """End the run under way; False where it does not end because the memory is silent."""
        self._resident = False
        self._set("CTRL", ABORT)
        self.model.run(drain_cycles(self._ddr))
        if not self.model.interrupt:
            return False
        self._acknowledge()
        self._check_bus()
        return True

    def reset(self) -> None:
        """Reset the engine; the next start loads the weights again.

        Answers to earlier requests may come during or after the reset; the next start waits for them.
        """
        self.model.reset()
        self._resident = False
        self._wake()
        if self._loaded is not None:
            self._write_addresses(self._loaded)

    def span(self, buffer: RunBuffer) -> tuple[int, int]:
        """First address and size of a buffer of the loaded network."""
        region = self._ready().regions[buffer]
        return self._ddr.base + region.start, region.size

    def bytes_of(self, buffer: RunBuffer) -> NDArray[np.uint8]:
        """A buffer's bytes in the memory, as a view."""
        return self._ready().bytes(buffer)

    # ---- one start

    def _ready(self) -> _Loaded:
        if self._loaded is None:
            raise FormatError("the simulated memory holds no network yet; load one first")
        return self._loaded

    def _start(
        self, loaded: _Loaded, packed: NDArray[np.uint8], deadline: int | None
    ) -> tuple[NDArray[np.uint8], int]:
        """Output bytes (inputs, bytes) and cycles of one start."""
        inputs, program = len(packed), loaded.network.program
        _rows(loaded, RunBuffer.INPUT, program.input_stride, inputs)[:, : packed.shape[1]] = packed
        loaded.bytes(RunBuffer.OUTPUT)[:] = POISON
        self._write_sizes(loaded, inputs)
        self.model.seed(self._ddr.seed)
        self._set("FLAGS", FLAG_WEIGHTS_RESIDENT if self._resident else 0)
        self._set("CTRL", START)
        self._wait(program, deadline or deadline_cycles(program, self._ddr, inputs))
        self._check(program)
        self._resident = True
        output = _rows(loaded, RunBuffer.OUTPUT, program.output_stride, inputs)
        return output.copy(), self._read_pair("CYCLES")

    def _wait(self, program: Program, deadline: int) -> None:
        self.model.run(deadline)
        if not self.model.interrupt:
            place = describe(program, self._get("EXEC_INDEX"))
            broken = violation_words(self.model.counters().broken)
            if not self.abort():
                self.reset()
            raise EngineTimeout(
                f"not done after {deadline} cycles, at {place}{broken}; the memory or the engine hangs, "
                "or the deadline is short"
            )
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Clear the interrupt and the done bit."""
        self._set("ISR", 1)
        self._get("CTRL")

    def _settle(self) -> None:
        """Wait for answers to requests from before a reset: the engine would take them for new ones."""
        if not self.model.settle(drain_cycles(self._ddr)):
            raise EngineTimeout(
                "the memory is silent: it has not answered all bursts from before the reset; let it answer "
                "(Model.clear_injections), or make another engine"
            )

    def _check(self, program: Program) -> None:
        code = self._get("ERROR")
        self._resident = self._resident and not code
        self._check_bus()
        if code:
            raise fault(code, self._get("ERROR_INDEX"), program)

    def _check_bus(self, *, owed: bool = False) -> None:
        """ProtocolViolation for a broken rule; `owed`: the memory may have bursts to answer."""
        counters = self.model.counters()
        statistics = {**counters.statistics, **({"outstanding": 0} if owed else {})}
        message = violation_message(counters.broken, statistics)
        if message:
            raise ProtocolViolation(message)

    # ---- registers

    def _wake(self) -> None:
        """Let a done start raise the interrupt line; ProtocolViolation when the reset was not a quiet one."""
        self._check_bus(owed=True)
        self._set("GIE", 1)
        self._set("IER", 1)

    def _attach(self, loaded: _Loaded) -> None:
        self.model.attach(loaded.memory, self._ddr.base)
        for write, buffers in ((False, READABLE), (True, WRITABLE)):
            for buffer in buffers:
                low = self._address(loaded, buffer)
                self.model.allow(low, low + loaded.regions[buffer].size, write=write)
        self._write_addresses(loaded)

    def _write_addresses(self, loaded: _Loaded) -> None:
        for register, buffer in (
            ("PROGRAM", RunBuffer.PROGRAM),
            ("WEIGHTS", RunBuffer.WEIGHTS),
            ("INPUT", RunBuffer.INPUT),
            ("OUTPUT", RunBuffer.OUTPUT),
            ("SCRATCH", RunBuffer.SCRATCH),
        ):
            self._write_pair(register, self._address(loaded, buffer))

    def _write_sizes(self, loaded: _Loaded, inputs: int) -> None:
        program = loaded.network.program
        for register, value in (
            ("INPUTS", inputs),
            ("WEIGHTS_BYTES", loaded.regions[RunBuffer.WEIGHTS].size),
            ("INPUT_BYTES", inputs * program.input_stride),
            ("OUTPUT_BYTES", inputs * program.output_stride),
            ("SCRATCH_BYTES", loaded.regions[RunBuffer.SCRATCH].size),
        ):
            self._set(register, value)

    def _address(self, loaded: _Loaded, buffer: RunBuffer) -> int:
        return self._ddr.base + loaded.regions[buffer].start

    def _set(self, register: str, value: int) -> None:
        self.model.write(OFFSETS[register], value)

    def _get(self, register: str) -> int:
        return self.model.read(OFFSETS[register])

    def _write_pair(self, register: str, value: int) -> None:
        self._set(f"{register}_LO", value & 0xFFFF_FFFF)
        self._set(f"{register}_HI", value >> 32)

    def _read_pair(self, register: str) -> int:
        return self._get(f"{register}_LO") | self._get(f"{register}_HI") << 32


def _sizes(network: CompiledNetwork, inputs: int) -> dict[RunBuffer, int]:
    program = network.program
    return {
        RunBuffer.PROGRAM: len(program.encode()),
        RunBuffer.WEIGHTS: len(network.weights),
        RunBuffer.INPUT: inputs * program.input_stride,
        RunBuffer.OUTPUT: inputs * program.output_stride,
        RunBuffer.SCRATCH: network.scratch_bytes,
        RunBuffer.PROFILE: len(program.descriptors) * program.configuration.word_bytes,
    }


def _rows(loaded: _Loaded, buffer: RunBuffer, stride: int, inputs: int) -> NDArray[np.uint8]:
    """View (inputs, stride) of the first inputs' bytes."""
    return loaded.bytes(buffer)[: inputs * stride].reshape(inputs, stride)


def _profile(loaded: _Loaded) -> NDArray[np.uint32]:
    words = loaded.bytes(RunBuffer.PROFILE).view(np.uint32)
    return words.reshape(len(loaded.network.program.descriptors), -1)[:, :2].copy()
