"""The DDR a simulated engine sees: its timing, and where the buffers of a run are in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from bitlathe.hls.cycles.model import DdrModel
from bitlathe.model.graph.errors import CapacityError

PAGE_BYTES = 4096
SLOT_UNITS = 1 << 16  # the share of busy cycles is a fraction of this
PATIENCE_CYCLES = 64  # that an order of writes or a bunch of responses waits for one more


class WriteOrder(IntEnum):
    """When a memory takes a write's address and its data; AXI allows all of it (A3.3.1)."""

    ADDRESS_FIRST = 0  # data once their address is taken
    EITHER = 1  # both as they come
    DATA_OFFERED = 2  # an address once its data are offered, data once their address is taken
    DATA_FIRST = 3  # an address once all its data are taken
    ADDRESSES_FIRST = 4  # data once as many addresses as may be are taken, or no further ones come


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedDdr(DdrModel):
    """Timing of the memory behind the AXI4 master; reads and writes have a data channel each, both in order.

    A read burst's first beat is offered `latency` cycles after its address was accepted, or as soon after as
    the bursts before it allow; from then on a beat is offered in a share `busy` of the cycles, evenly spread.
    """

    write_latency: int = 20  # cycles from a write burst's last beat to its response
    outstanding: int = 8  # bursts accepted and not answered, of reads and of writes; Zynq-7000's port takes 8
    write_order: WriteOrder = WriteOrder.ADDRESS_FIRST
    response_bunch: int = 1  # responses to writes that are held back until so many are due
    stall_percent: int = 0  # chance that a channel pauses in a cycle, drawn for each of AR, R, AW, W, B
    seed: int = 0  # of those draws; every start begins with it, so equal starts take equal cycles
    base: int = 0x1000_0000  # address of the first byte

    def __post_init__(self) -> None:
        if self.latency < 1 or self.write_latency < 1 or not 1 <= self.outstanding <= 64:
            raise CapacityError(
                "a DDR model needs latencies of 1 cycle or more and 1 to 64 outstanding bursts"
            )
        if not 1 <= self.response_bunch <= self.outstanding:
            raise CapacityError("a DDR model needs 1 to `outstanding` responses a bunch")
        if not 0 < self.busy <= 1 or not 0 <= self.stall_percent < 100:
            raise CapacityError("a DDR model needs 0 < busy <= 1 and 0 <= stall_percent < 100")
        if self.base % PAGE_BYTES:
            raise CapacityError(f"the DDR's base {self.base:#x} must be a multiple of {PAGE_BYTES}")

    @property
    def slots(self) -> int:
        """Of `SLOT_UNITS` cycles, those that can move a beat."""
        return max(1, round(self.busy * SLOT_UNITS))


class RunBuffer(Enum):
    """A buffer of a run."""

    PROGRAM = "program"
    WEIGHTS = "weights"
    INPUT = "input"
    OUTPUT = "output"
    SCRATCH = "scratch"
    PROFILE = "profile"


WRITABLE = (RunBuffer.OUTPUT, RunBuffer.SCRATCH, RunBuffer.PROFILE)
READABLE = (RunBuffer.PROGRAM, RunBuffer.WEIGHTS, RunBuffer.INPUT, RunBuffer.SCRATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class DdrRegion:
    """Bytes `start`..`start + size - 1` of the DDR, counted from its base."""

    start: int
    size: int

    @property
    def slice(self) -> slice:
        """The region in the array of the DDR's bytes."""
        return slice(self.start, self.start + self.size)


def lay_out(sizes: Mapping[RunBuffer, int]) -> dict[RunBuffer, DdrRegion]:
    """Regions on page boundaries; before, between and after them at least one page that nobody may touch.

    >>> regions = lay_out({RunBuffer.PROGRAM: 64, RunBuffer.INPUT: 4097})
    >>> [(region.start, region.size) for region in regions.values()]
    [(4096, 64), (12288, 4097)]
    """
    regions, start = {}, PAGE_BYTES
    for buffer, size in sizes.items():
        regions[buffer] = DdrRegion(start=start, size=size)
        start += -(-size // PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES
    return regions


def total_bytes(regions: Mapping[RunBuffer, DdrRegion]) -> int:
    """Size of a DDR that holds the regions and a page behind them."""
    return max(-(-(region.start + region.size) // PAGE_BYTES) + 1 for region in regions.values()) * PAGE_BYTES
