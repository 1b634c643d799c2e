"""The DDR of the whole-engine bench: buffers, and a record of every access outside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile import Compiled
from bitlathe.hls.sim.memory import READABLE, WRITABLE, DdrRegion, RunBuffer, lay_out, total_bytes

BASE = 0x1_3000_0000  # of the buffers: needs more than 32 address bits
LOW_BASE = 0x3000_0000  # for a core with 32 address bits
Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True, kw_only=True, eq=False)
class BufferMemory:
    """Bytes from `base` on, as a target of cocotbext-axi's AxiSlave."""

    regions: Mapping[RunBuffer, DdrRegion]
    data: Bytes
    base: int
    strays: list[str] = field(default_factory=list)  # accesses outside what the engine may touch
    bytes_read: dict[RunBuffer, int] = field(default_factory=lambda: dict.fromkeys(RunBuffer, 0))

    @classmethod
    def of(cls, compiled: Compiled, inputs: int, rng: np.random.Generator, base: int) -> "BufferMemory":
        """Memory for `inputs` inputs a start, its program and weights in place, random bytes elsewhere."""
        regions = lay_out(_sizes(compiled, inputs))
        data = rng.integers(256, size=total_bytes(regions), dtype=np.uint8)
        memory = cls(regions=regions, data=data, base=base)
        memory.fill(RunBuffer.PROGRAM, compiled.program.encode())
        memory.fill(RunBuffer.WEIGHTS, compiled.weights)
        return memory

    def fill(self, buffer: RunBuffer, content: bytes) -> None:
        """Write the whole of a buffer."""
        self.view(buffer)[:] = np.frombuffer(content, np.uint8)

    def view(self, buffer: RunBuffer) -> Bytes:
        """A buffer's bytes; writing to them writes the memory."""
        return self.data[self.regions[buffer].slice]

    def address(self, buffer: RunBuffer) -> int:
        return self.base + self.regions[buffer].start

    def protected(self) -> Bytes:
        """A copy in which every buffer that the engine may write is zero."""
        copy = self.data.copy()
        for buffer in WRITABLE:
            copy[self.regions[buffer].slice] = 0
        return copy

    async def read(self, address: int, length: int) -> bytes:
        """Bytes of one beat."""
        buffer = self._owner(address, length, READABLE)
        if buffer is None:
            self.strays.append(f"read of {length} bytes at {address:#x}")
            return bytes(length)
        self.bytes_read[buffer] += length
        return self.data[address - self.base :][:length].tobytes()

    async def write(self, address: int, data: bytes) -> None:
        """Store one beat."""
        if self._owner(address, len(data), WRITABLE) is None:
            self.strays.append(f"write of {len(data)} bytes at {address:#x}")
            return
        self.data[address - self.base :][: len(data)] = np.frombuffer(data, np.uint8)

    def _owner(self, address: int, length: int, buffers: tuple[RunBuffer, ...]) -> RunBuffer | None:
        """Which of `buffers` holds the whole access."""
        offset = address - self.base
        for buffer in buffers:
            region = self.regions[buffer]
            if region.start <= offset and offset + length <= region.start + region.size:
                return buffer
        return None


def _sizes(compiled: Compiled, inputs: int) -> dict[RunBuffer, int]:
    program = compiled.program
    return {
        RunBuffer.PROGRAM: len(program.encode()),
        RunBuffer.WEIGHTS: len(compiled.weights),
        RunBuffer.INPUT: inputs * program.input_stride,
        RunBuffer.OUTPUT: inputs * program.output_stride,
        RunBuffer.SCRATCH: compiled.scratch_bytes,
        RunBuffer.PROFILE: len(program.descriptors) * program.configuration.word_bytes,
    }
