"""C simulation of the HLS engine on compiled networks."""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.program import Descriptor, ErrorCode
from bitlathe.hls.program.registers import FLAG_WEIGHTS_RESIDENT
from bitlathe.hls.sim.engine import POISON, CompiledNetwork, OutputCodes, unpacked
from bitlathe.hls.sim.faults import EngineStopped, fault
from bitlathe.hls.target.config import Target
from bitlathe.hls.vitis.csim_library import Types, csim_library
from bitlathe.model.graph.arrays import Bytes, only
from bitlathe.model.graph.errors import BitlatheError, FormatError, ToolError

MESSAGE_BYTES = 1024


class SimulationError(BitlatheError):
    """The simulated engine deadlocked, left tokens in a stream, or accessed memory that no engine may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """Register values of one start, addresses aside."""

    inputs: int
    flags: int = 0
    weights_bytes: int
    input_bytes: int
    output_bytes: int
    scratch_bytes: int
    profile: int = 0

    @classmethod
    def of(cls, network: CompiledNetwork, inputs: int = 1, *, resident: bool = False) -> "Arguments":
        """Those of a start of a network, whose weights may be in the engine from the start before."""
        return cls(
            inputs=inputs,
            flags=FLAG_WEIGHTS_RESIDENT if resident else 0,
            weights_bytes=len(network.weights),
            input_bytes=inputs * network.program.input_stride,
            output_bytes=inputs * network.program.output_stride,
            scratch_bytes=network.scratch_bytes,
        )

    def values(self) -> list[int]:
        """In the order that csim.cpp takes them."""
        return [
            self.inputs,
            self.flags,
            self.weights_bytes,
            self.input_bytes,
            self.output_bytes,
            self.scratch_bytes,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Registers after a start."""

    error: int
    error_index: int
    runs: int
    identity: int
    version: int
    cycles: int  # tokens moved between streams: C simulation knows no other time


class HlsEngine:
    """The HLS engine of one target. Its stores belong to the library: all of one target share them."""

    def __init__(self, target: Target, types: Types = Types.PLAIN) -> None:
        """Compile the engine where it is not compiled yet; ToolError without a compiler, or hls4ml for AP."""
        self._target = target
        self._library, self._lock = _load(csim_library(target, types))

    def start(
        self,
        program: Bytes,
        weights: Bytes,
        input: Bytes,
        output: Bytes,
        scratch: Bytes,
        arguments: Arguments,
        abort: NDArray[np.uint32] | None = None,
    ) -> Status:
        """One start on the given memory; SimulationError for what no engine may do.

        `abort` is the register ABORT, a word that the run itself may change; without it nobody aborts.
        """
        results = (ctypes.c_uint32 * 5)()
        cycles = ctypes.c_uint64()
        message = ctypes.create_string_buffer(MESSAGE_BYTES)
        buffers = [array.ctypes.data for array in (program, weights, input, output, scratch)]
        values = (ctypes.c_uint32 * 6)(*arguments.values())
        aborts = np.zeros(1, np.uint32) if abort is None else abort
        with self._lock:
            failed = self._library.bitlathe_csim(
                *buffers,
                arguments.profile,
                values,
                aborts.ctypes.data,
                results,
                ctypes.byref(cycles),
                message,
                MESSAGE_BYTES,
            )
        if failed:
            raise SimulationError(f"C simulation of {self._target.name}: {message.value.decode()}")
        registers = dict(zip(Status.__slots__, results, strict=False))
        return Status(**registers, cycles=cycles.value)

    def check(self, descriptor: Descriptor) -> ErrorCode:
        """What the engine finds wrong with a descriptor before it does anything."""
        return ErrorCode(self._library.bitlathe_csim_check(aligned(descriptor.encode()).ctypes.data))

    def run(
        self, network: CompiledNetwork, codes: NDArray[np.integer[Any]], *, inputs_per_start: int = 1
    ) -> NDArray[np.integer[Any]]:
        """Codes (N, C, H, W) of the one output, as `run_outputs`."""
        return only(self.run_outputs(network, codes, inputs_per_start=inputs_per_start))

    def run_outputs(
        self, network: CompiledNetwork, codes: NDArray[np.integer[Any]], *, inputs_per_start: int = 1
    ) -> OutputCodes:
        """Codes (N, C, H, W) of every output, of inputs (N, C, H, W), weights resident after the first start.

        Raises EngineStopped, SimulationError, or FormatError for a network of another configuration.
        """
        if network.program.configuration != self._target.engine:
            raise FormatError(f"program for {network.program.configuration}; compile it for this target")
        packed = np.ascontiguousarray(network.input_layout.pack(codes)).reshape(len(codes), -1)
        memory = _Memory(network, inputs_per_start)
        done = [
            self._start(network, memory, packed[first : first + inputs_per_start], resident=first > 0)
            for first in range(0, len(codes), inputs_per_start)
        ]
        return unpacked(network, np.concatenate(done))

    def _start(self, network: CompiledNetwork, memory: "_Memory", packed: Bytes, *, resident: bool) -> Bytes:
        """Output bytes (inputs, bytes) of one start."""
        program, inputs = network.program, len(packed)
        memory.input[: inputs * program.input_stride].reshape(inputs, -1)[:, : packed.shape[1]] = packed
        memory.output[:] = POISON
        arguments = Arguments.of(network, inputs, resident=resident)
        buffers = (memory.program, memory.weights, memory.input, memory.output, memory.scratch)
        status = self.start(*buffers, arguments)
        if status.error != ErrorCode.NONE:
            raise fault(status.error, status.error_index, program)
        return memory.output[: inputs * program.output_stride].reshape(inputs, -1).copy()


class _Memory:
    """Buffers of a network, in the widest word's alignment."""

    def __init__(self, network: CompiledNetwork, inputs: int) -> None:
        program = network.program
        self.program = aligned(network.program.encode())
        self.weights = aligned(network.weights)
        self.input = aligned(bytes([POISON]) * (inputs * program.input_stride))
        self.output = aligned(bytes([POISON]) * (inputs * program.output_stride))
        self.scratch = aligned(bytes([POISON]) * network.scratch_bytes)


def aligned(content: bytes) -> Bytes:
    """A writable array of the bytes at an address that any word suits."""
    room = np.zeros(len(content) + 64, np.uint8)
    first = -room.ctypes.data % 64
    array = room[first : first + len(content)]
    array[:] = np.frombuffer(content, np.uint8)
    return array


@cache
def _load(path: Path) -> tuple[ctypes.CDLL, Lock]:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ToolError(f"cannot load {path}: {error}; delete it to build it again") from error
    pointer = ctypes.c_void_p
    library.bitlathe_csim.argtypes = [
        *[pointer] * 5,
        ctypes.c_uint64,
        ctypes.POINTER(ctypes.c_uint32),
        pointer,
        ctypes.POINTER(ctypes.c_uint32),
        ctypes.POINTER(ctypes.c_uint64),
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    library.bitlathe_csim.restype = ctypes.c_int
    library.bitlathe_csim_check.argtypes = [pointer]
    library.bitlathe_csim_check.restype = ctypes.c_uint32
    return library, Lock()


__all__ = ["Arguments", "EngineStopped", "HlsEngine", "SimulationError", "Status", "Types", "csim_library"]
