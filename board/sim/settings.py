"""What a simulated board is like: which board, its memory's timing, and what goes wrong on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from bitlathe.board.errors import DeviceError
from bitlathe.board.fields import JsonFields

OVERLAY_KIND = "simulated overlay"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardModel:
    """What differs between the boards, as far as pynq sees it."""

    name: str
    architecture: str  # as Linux names the processor
    ip_address: int  # of the engine's registers
    interrupt_address: int  # of the interrupt controller's
    clock_registers: Mapping[int, int]  # address -> value after booting
    crystal: str


# Reset values that the boot image leaves: IO PLL at 1000 MHz of a 50 MHz crystal, FCLK0 at 100 MHz;
# IOPLL at 1500 MHz of a 33.333 MHz crystal, PL0 at 100 MHz. Registers: AMD UG585, UG1087.
_ZYNQ_CLOCKS = {
    0xF800_0100: 26 << 12,
    0xF800_0104: 21 << 12,
    0xF800_0108: 20 << 12,
    0xF800_0120: 2 << 8,
    **{0xF800_0170 + 16 * clock: 5 << 8 | 2 << 20 for clock in range(4)},
}
_ZYNQMP_CLOCKS = {
    0xFF5E_0020: 90 << 8 | 1 << 16,
    0xFF5E_0030: 90 << 8 | 1 << 16,
    **{0xFF5E_00C0 + 4 * clock: 15 << 8 | 1 << 16 | 1 << 24 for clock in range(4)},
    0xFD1A_0020: 72 << 8 | 1 << 16,
    0xFD1A_002C: 64 << 8 | 1 << 16,
    0xFD1A_0038: 90 << 8 | 1 << 16,
    0xFD1A_0060: 1 << 8,
}

BOARDS = {
    board.name: board
    for board in (
        BoardModel(
            name="pynq-z2",
            architecture="armv7l",
            ip_address=0x43C0_0000,
            interrupt_address=0x4180_0000,
            clock_registers=_ZYNQ_CLOCKS,
            crystal="50 MHz",
        ),
        BoardModel(
            name="zcu104",
            architecture="aarch64",
            ip_address=0xA000_0000,
            interrupt_address=0xA001_0000,
            clock_registers=_ZYNQMP_CLOCKS,
            crystal="33.333 MHz",
        ),
    )
}


class MemoryChannel(IntEnum):
    """Channels of the engine's memory port, as the compiled simulator numbers them."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTiming:
    """Timing of the simulated DDR; times in fabric cycles."""

    latency: int = 40  # from a read's address to its first beat
    write_latency: int = 20
    outstanding: int = 8  # bursts
    busy: float = 0.75  # share of cycles that can move a beat
    stall_percent: int = 0  # chance that a channel pauses in a cycle
    seed: int = 0  # of those pauses

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "latency": self.latency,
            "write_latency": self.write_latency,
            "outstanding": self.outstanding,
            "busy": self.busy,
            "stall_percent": self.stall_percent,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, fields: JsonFields) -> MemoryTiming:
        """Timing of plain values; BundleError where they are none."""
        return cls(
            latency=fields.integer("latency", 1, 1 << 20),
            write_latency=fields.integer("write_latency", 1, 1 << 20),
            outstanding=fields.integer("outstanding", 1, 64),
            busy=fields.number("busy"),
            stall_percent=fields.integer("stall_percent", 0, 99),
            seed=fields.integer("seed"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong on purpose."""

    hang: tuple[MemoryChannel, int] | None = None  # a channel falls silent after that many handshakes
    hang_loads: int = 1 << 30  # overlays loaded with the fault; later ones are sound
    refuse_reads: tuple[int, int] | None = None  # bytes low..high-1 of the buffers' memory answer DECERR
    refuse_writes: tuple[int, int] | None = None
    clock_stuck: bool = False  # writes to the clock registers have no effect
    identity: int | None = None  # what the register IDENTITY reads


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """A simulated board's own properties; what stands in the overlay is taken where None."""

    memory: MemoryTiming | None = None
    memory_bytes: int = 64 << 20  # for buffers
    memory_base: int = 0x1000_0000
    access_cycles: int = (
        100  # fabric cycles that a register access takes: about a microsecond of bus and Python
    )
    faults: Faults = field(default_factory=Faults)


def board_model(name: str) -> BoardModel:
    """A board of a name; DeviceError lists the known ones."""
    if name not in BOARDS:
        raise DeviceError(f"no simulated board {name!r}; there are {', '.join(BOARDS)}")
    return BOARDS[name]
