"""Inside the simulator: every beat reaches whoever asked for it; the bus sees legal, stable requests."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import ReadMemory, ReadPorts, Sink, Source, quiet, run, word_at

BUS = ReadPorts(
    valid="m_axi_arvalid",
    ready="m_axi_arready",
    address="m_axi_araddr",
    beats="m_axi_arlen",
    beats_bias=1,
    rvalid="m_axi_rvalid",
    rready="m_axi_rready",
    rdata="m_axi_rdata",
    rerror="m_axi_rresp",
    error_value=2,
    rlast="m_axi_rlast",
)
INPUTS = (
    *("stop_i", "fetch_valid_i", "fetch_address_i", "fetch_beats_i", "load_valid_i", "load_address_i"),
    *(
        "load_beats_i",
        "load_rready_i",
        "m_axi_arready",
        "m_axi_rvalid",
        "m_axi_rdata",
        "m_axi_rresp",
        "m_axi_rlast",
    ),
)
OUTSTANDING = 8


class Stable:
    """A request on the bus stays as it is until it is taken."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.waiting: tuple[int, int] | None = None

    def drive(self) -> None:
        pass

    def sample(self) -> None:
        valid, ready = int(self.dut.m_axi_arvalid.value), int(self.dut.m_axi_arready.value)
        request = (int(self.dut.m_axi_araddr.value), int(self.dut.m_axi_arlen.value)) if valid else None
        assert self.waiting is None or request == self.waiting, "the request changed while it waited"
        self.waiting = request if valid and not ready else None


class Bench:
    """Two requesters, a memory, two takers."""

    def __init__(self, dut: Any, rng: np.random.Generator, stall: float) -> None:
        self.dut, self.rng, self.pi = dut, rng, int(dut.PI.value)
        self.fetch = Source(dut, "fetch_valid_i", "fetch_ready_o", rng, 0.7)
        self.load = Source(dut, "load_valid_i", "load_ready_o", rng, stall)
        self.memory = ReadMemory(dut, BUS, rng, word_bytes=self.pi, stall=stall, latency=20)
        self.fetched = Sink(dut, "fetch_rvalid_o", None, ("rdata_o", "rerror_o"), rng)
        self.loaded = Sink(dut, "load_rvalid_o", "load_rready_i", ("rdata_o", "rerror_o"), rng, stall)
        self.expected: dict[str, list[tuple[int, int]]] = {"fetch": [], "load": []}

    @classmethod
    async def start(cls, dut: Any, *, stall: float = 0.0) -> "Bench":
        """A bench after reset."""
        quiet(dut, INPUTS)
        await reset(dut)
        return cls(dut, random_generator(), stall)

    @property
    def agents(self) -> list[Any]:
        return [self.fetch, self.load, self.memory, self.fetched, self.loaded, Stable(self.dut)]

    def ask(self, who: str, beats: int) -> int:
        """Queue a burst; returns its address."""
        address = (
            int(self.rng.integers(1 << 28)) << 12 | int(self.rng.integers(4096 // self.pi - 16)) * self.pi
        )
        source = self.fetch if who == "fetch" else self.load
        source.queue.append({f"{who}_address_i": address, f"{who}_beats_i": beats})
        places = range(address, address + beats * self.pi, self.pi)
        self.expected[who] += [
            (word_at(place, self.pi), int(place in self.memory.broken)) for place in places
        ]
        return address

    async def reset(self) -> None:
        """Reset the module alone: the requesters forget their requests, the memory still answers them."""
        for source, sink in ((self.fetch, self.fetched), (self.load, self.loaded)):
            source.queue.clear()
            source.offered = None
            sink.items.clear()
        self.expected = {"fetch": [], "load": []}
        quiet(self.dut, ("rst_ni", "fetch_valid_i", "load_valid_i"))
        for _ in range(3):
            await RisingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    @property
    def complete(self) -> bool:
        return len(self.fetched.items) + len(self.loaded.items) == sum(map(len, self.expected.values()))

    def check(self) -> None:
        """Both requesters got all of their beats, in order."""
        assert self.fetched.items == self.expected["fetch"]
        assert self.loaded.items == self.expected["load"]


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def every_beat_reaches_whom_asked_for_it(dut, stall):
    bench = await Bench.start(dut, stall=stall)
    for _ in range(60):
        bench.ask("load" if bench.rng.random() < 0.7 else "fetch", int(bench.rng.integers(1, 17)))
    await run(dut, bench.agents, lambda: bench.complete)
    bench.check()
    assert 4 <= bench.memory.most_flying <= OUTSTANDING


@cocotb.test()
async def bursts_in_flight_hide_the_latency(dut):
    bench = await Bench.start(dut)
    for _ in range(40):
        bench.ask("load", 16)
    await run(dut, bench.agents, lambda: bench.complete)
    bench.check()
    assert bench.loaded.cycles[-1] - bench.loaded.cycles[0] + 1 == 40 * 16


@cocotb.test()
async def the_fetch_goes_first(dut):
    bench = await Bench.start(dut)
    bench.fetch.idle = 0.0
    addresses = [bench.ask("load", 16), bench.ask("fetch", 8)]
    await run(dut, bench.agents, lambda: bench.complete)
    assert [address for address, _ in bench.memory.bursts] == addresses[::-1]


@cocotb.test()
async def an_error_response_travels_with_its_beat(dut):
    bench = await Bench.start(dut, stall=0.2)
    first = bench.ask("load", 8)
    bench.memory.broken = {first + 3 * bench.pi}
    bench.expected["load"][3] = (bench.expected["load"][3][0], 1)
    bench.ask("fetch", 8)
    await run(dut, bench.agents, lambda: bench.complete)
    bench.check()


@cocotb.test()
async def a_stop_drains_what_is_in_flight_and_asks_for_no_more(dut):
    bench = await Bench.start(dut)
    bench.loaded.stall = 1.0
    for _ in range(20):
        bench.ask("load", 16)
    await run(dut, bench.agents, lambda: len(bench.memory.bursts) == OUTSTANDING)
    dut.stop_i.value = 1
    await run(dut, bench.agents, lambda: not int(dut.busy_o.value), limit=400)
    assert not bench.memory.beats
    assert len(bench.memory.bursts) <= OUTSTANDING + 1


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def beats_of_before_a_reset_are_taken_and_dropped(dut, stall):
    bench = await Bench.start(dut, stall=stall)
    for asked in range(20):
        bench.ask("load" if asked % 3 else "fetch", 8)
    await run(dut, bench.agents, lambda: len(bench.memory.bursts) == 5)
    await bench.reset()
    assert bench.memory.beats
    await run(dut, bench.agents, lambda: not bench.memory.beats)
    await run(dut, bench.agents, lambda: not int(dut.busy_o.value), limit=3)
    for _ in range(30):
        bench.ask("load", 16)
    await run(dut, bench.agents, lambda: bench.complete)
    bench.check()
    assert bench.memory.most_flying <= OUTSTANDING
