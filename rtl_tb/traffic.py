"""Sources, sinks and memories around a module: each drives after a clock edge and looks before the next.

Sampling in the read-only phase before an edge sees the same values in every simulator.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from bitlathe.hls.program.moves import BURST_BEATS, PAGE_BYTES
from bitlathe.hls.sim.memory import PATIENCE_CYCLES, WriteOrder


class Agent(Protocol):
    """Something that takes part in every clock cycle."""

    def drive(self) -> None:
        """Set the module's inputs for this cycle."""

    def sample(self) -> None:
        """Look at the settled signals of this cycle."""


async def run(dut: Any, agents: Sequence[Agent], done: Callable[[], bool], limit: int = 20_000) -> int:
    """Clock cycles until `done` holds; an assertion fails after `limit`."""
    for cycle in range(limit):
        if done():
            return cycle
        for agent in agents:
            agent.drive()
        await ReadOnly()
        for agent in agents:
            agent.sample()
        await RisingEdge(dut.clk_i)
    raise AssertionError(f"not done after {limit} cycles")


def quiet(dut: Any, names: Iterable[str]) -> None:
    """Set inputs to 0."""
    for name in names:
        getattr(dut, name).value = 0


def word_at(address: int, word_bytes: int) -> int:
    """The word that the simulated memory holds at an address; every one differs."""
    return (address * 0x9E3779B97F4A7C15F39CC0605CEDC835 >> 7) & ((1 << (8 * word_bytes)) - 1)


class Source:
    """Offers items (signal name -> value) over valid and ready; an item stays until it is taken."""

    def __init__(self, dut: Any, valid: str, ready: str, rng: np.random.Generator, idle: float = 0.0) -> None:
        self.dut, self.valid, self.ready = dut, getattr(dut, valid), getattr(dut, ready)
        self.rng, self.idle = rng, idle
        self.queue: deque[Mapping[str, int]] = deque()
        self.offered: Mapping[str, int] | None = None
        self.taken = 0

    def drive(self) -> None:
        if self.offered is None and self.queue and self.rng.random() >= self.idle:
            self.offered = self.queue.popleft()
            for name, value in self.offered.items():
                getattr(self.dut, name).value = value
        self.valid.value = int(self.offered is not None)

    def sample(self) -> None:
        if self.offered is not None and int(self.ready.value):
            self.offered, self.taken = None, self.taken + 1

    @property
    def empty(self) -> bool:
        return self.offered is None and not self.queue


class Sink:
    """Takes what is offered, with a stall now and then; keeps the values of `names` and the cycle."""

    def __init__(
        self,
        dut: Any,
        valid: str,
        ready: str | None,
        names: Sequence[str],
        rng: np.random.Generator,
        stall: float = 0.0,
    ) -> None:
        self.valid, self.ready = getattr(dut, valid), getattr(dut, ready) if ready else None
        self.handles = [getattr(dut, name) for name in names]
        self.rng, self.stall = rng, stall
        self.items: list[tuple[int, ...]] = []
        self.cycles: list[int] = []
        self.now, self.open = 0, True

    def drive(self) -> None:
        if self.ready is not None:
            self.open = self.rng.random() >= self.stall
            self.ready.value = int(self.open)

    def sample(self) -> None:
        if int(self.valid.value) and self.open:
            self.items.append(tuple(int(handle.value) for handle in self.handles))
            self.cycles.append(self.now)
        self.now += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPorts:
    """Names of the signals of a read channel.

    `beats` holds a burst's beats less `beats_bias`; without it every burst has that many.
    """

    valid: str
    ready: str
    address: str
    beats: str | None
    beats_bias: int
    rvalid: str
    rready: str | None
    rdata: str
    rerror: str
    error_value: int
    rlast: str | None = None


@dataclass(slots=True, kw_only=True)
class _Beat:
    address: int
    due: int
    last: bool
    error: bool


class ReadMemory:
    """Answers bursts in order, a beat no earlier than `latency` cycles after its burst, stalling at random.

    Checks that a burst is legal and inside `legal`; a beat from an address in `broken` is an error.
    """

    def __init__(
        self,
        dut: Any,
        ports: ReadPorts,
        rng: np.random.Generator,
        *,
        word_bytes: int,
        stall: float = 0.0,
        latency: int = 8,
        contents: Callable[[int], int] | None = None,
    ) -> None:
        self.ports, self.rng, self.word_bytes, self.stall, self.latency = (
            ports,
            rng,
            word_bytes,
            stall,
            latency,
        )
        self.handle = {name: getattr(dut, getattr(ports, name)) for name in _handles(ports)}
        self.contents = contents or (lambda address: word_at(address, word_bytes))
        self.legal: range | None = None
        self.broken: set[int] = set()
        self.bursts: list[tuple[int, int]] = []  # address, beats
        self.burst_cycles: list[int] = []
        self.beats: deque[_Beat] = deque()
        self.offering, self.open, self.now = False, True, 0
        self.most_flying = 0

    def drive(self) -> None:
        self.open = self.rng.random() >= self.stall
        self.handle["ready"].value = int(self.open)
        due = bool(self.beats) and self.beats[0].due <= self.now
        self.offering = self.offering or (due and self.rng.random() >= self.stall)
        self.handle["rvalid"].value = int(self.offering)
        if self.offering:
            beat = self.beats[0]
            self.handle["rdata"].value = self.contents(beat.address)
            self.handle["rerror"].value = self.ports.error_value if beat.error else 0
            if "rlast" in self.handle:
                self.handle["rlast"].value = int(beat.last)

    def sample(self) -> None:
        if self.open and int(self.handle["valid"].value):
            beats = int(self.handle["beats"].value) if "beats" in self.handle else 0
            self._accept(int(self.handle["address"].value), beats + self.ports.beats_bias)
        if self.offering and ("rready" not in self.handle or int(self.handle["rready"].value)):
            self.beats.popleft()
            self.offering = False
        self.most_flying = max(self.most_flying, sum(beat.last for beat in self.beats))
        self.now += 1

    def _accept(self, address: int, beats: int) -> None:
        check_burst(address, beats, self.word_bytes, self.legal)
        self.bursts.append((address, beats))
        self.burst_cycles.append(self.now)
        for beat in range(beats):
            place = address + beat * self.word_bytes
            due = self.now + self.latency + beat
            last = beat == beats - 1
            self.beats.append(_Beat(address=place, due=due, last=last, error=place in self.broken))


def _handles(ports: ReadPorts) -> list[str]:
    names = ["valid", "ready", "address", "rvalid", "rdata", "rerror"]
    return names + [name for name in ("beats", "rready", "rlast") if getattr(ports, name) is not None]


class WriteGate:
    """Decides in which cycles a memory takes write addresses and data of `m_axi`, by its order.

    Look once a cycle at the settled signals; `address` and `data` hold for the next one.
    """

    def __init__(self, dut: Any, order: WriteOrder, *, outstanding: int = 8) -> None:
        self.order, self.outstanding = order, outstanding
        names = ("awvalid", "awready", "wvalid", "wready", "bvalid", "bready")
        self.handle = {name: getattr(dut, f"m_axi_{name}") for name in names}
        self.last = dut.m_axi_wlast
        self.addresses = self.bursts = self.answers = 0  # taken, taken whole, given
        self.most_ahead = 0  # bursts of data without their address
        self.quiet, self.data_turn = 0, False
        self._open(False)

    def look(self) -> None:
        """Count what is handed over in this cycle, and decide on the next one."""
        level = {name: int(handle.value) for name, handle in self.handle.items()}
        self.addresses += level["awvalid"] & level["awready"]
        takes_data = level["wvalid"] & level["wready"]
        self.bursts += int(self.last.value) if takes_data else 0  # without reset, so unknown before
        self.answers += level["bvalid"] & level["bready"]
        self.most_ahead = max(self.most_ahead, self.bursts - self.addresses)
        self.quiet = 0 if level["awvalid"] else self.quiet + 1
        self._open(bool(level["wvalid"] and not takes_data))

    def _open(self, data_wait: bool) -> None:
        behind = self.addresses - self.bursts  # bursts whose data are not all taken
        is_full = self.addresses - self.answers >= self.outstanding
        self.data_turn = behind > 0 and (self.data_turn or is_full or self.quiet > PATIENCE_CYCLES)
        self.address, self.data = {
            WriteOrder.ADDRESS_FIRST: (True, behind > 0),
            WriteOrder.EITHER: (True, self.bursts - self.answers < self.outstanding),
            WriteOrder.DATA_OFFERED: (behind == 0 and data_wait, behind > 0),
            # A second address may slip in before a pause of the sink takes effect; its data then come next.
            WriteOrder.DATA_FIRST: (behind < 0, behind >= 0),
            WriteOrder.ADDRESSES_FIRST: (True, self.data_turn),
        }[self.order]


def check_burst(address: int, beats: int, word_bytes: int, legal: range | None) -> None:
    """Fail on a burst that AXI or the buffer forbids."""
    end = address + beats * word_bytes
    assert 1 <= beats <= BURST_BEATS, f"burst of {beats} beats at {address:#x}"
    assert address % word_bytes == 0, f"burst at {address:#x} is not aligned to a word"
    assert address // PAGE_BYTES == (end - 1) // PAGE_BYTES, f"burst {address:#x}..{end:#x} crosses a page"
    assert legal is None or legal.start <= address <= end <= legal.stop, (
        f"burst {address:#x}..{end:#x} is out of bounds"
    )
