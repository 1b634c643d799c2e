"""Settings of a simulation: the memory's timing, and deliberate faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from bitlathe.board.fields import JsonFields

OVERLAY_KIND = "simulated overlay"


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
        """The timing that plain values describe; BundleError where they do not."""
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
    """Deliberate faults."""

    hang: tuple[MemoryChannel, int] | None = None  # a channel falls silent after that many handshakes
    hang_loads: int = 1 << 30  # overlays loaded with the fault; later ones are sound
    refuse_reads: tuple[int, int] | None = None  # bytes low..high-1 of the buffers' memory answer DECERR
    refuse_writes: tuple[int, int] | None = None
    clock_stuck: bool = False  # writes to the clock registers have no effect
    identity: int | None = None  # what the register IDENTITY reads
    crystal: float = 1.0  # share of the crystal that pynq assumes
    keeps_state: bool = False  # writing the bitstream again resets nothing
    lost_flushes: int | None = None  # those after so many carry nothing
    lost_invalidates: int | None = None
    wrong_bit: int | None = None  # byte of the buffers' memory whose lowest bit arrives wrong
    no_interrupt: bool = False  # the line to the processor is cut
    deaf_to_abort: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSettings:
    """A simulated board's own properties; None takes the overlay's."""

    memory: MemoryTiming | None = None
    memory_changes: Mapping[str, int] = field(default_factory=dict)  # fields of it that differ
    memory_bytes: int | None = None  # for buffers; the board's where None
    memory_base: int = 0x1000_0000
    access_cycles: int = (
        100  # fabric cycles that a register access takes: about a microsecond of bus and Python
    )
    faults: Faults = field(default_factory=Faults)

    def memory_of(self, overlay: MemoryTiming) -> MemoryTiming:
        """The memory's timing behind an engine whose overlay has `overlay`."""
        return replace(self.memory or overlay, **self.memory_changes)
