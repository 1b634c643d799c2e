"""Inside the simulator: stores and profile words reach memory whole, whatever order it takes them in."""

from collections import deque
from typing import Any

import cocotb
import numpy as np

from bitlathe.hls.sim.memory import PATIENCE_CYCLES, WriteOrder
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import Sink, Source, WriteGate, check_burst, quiet, run

INPUTS = (
    *("stop_i", "store_valid_i", "store_address_i", "store_beats_i", "store_data_i", "profile_valid_i"),
    *("profile_address_i", "profile_data_i", "m_axi_awready", "m_axi_wready", "m_axi_bresp", "m_axi_bvalid"),
)
OUTSTANDING = 8


class Memory:
    """The bus's write side: takes addresses and data in its own order, answers whole bursts later, in order.

    Answers come in bunches of `bunch`, or when the oldest one has waited long.
    """

    def __init__(
        self, dut: Any, rng: np.random.Generator, stall: float, word_bytes: int, order: WriteOrder, bunch: int
    ) -> None:
        self.dut, self.rng, self.stall, self.word_bytes, self.bunch = dut, rng, stall, word_bytes, bunch
        self.gate = WriteGate(dut, order)
        self.words: dict[int, int] = {}
        self.broken: set[int] = set()  # addresses of bursts that are answered with an error
        self.bursts: list[tuple[int, int]] = []
        self.data: list[list[int]] = [[]]  # words of each burst; the last one is not complete
        self.answers: deque[tuple[int, bool]] = deque()
        self.spurious = 0  # answers to give that nobody waits for
        self.waiting: dict[str, tuple[int, ...]] = {}
        self.address_open = self.data_open = self.answering = self.bunch_goes = False
        self.now = self.flying = self.most_flying = 0

    def drive(self) -> None:
        self.address_open = self.gate.address and self.rng.random() >= self.stall
        self.data_open = self.gate.data and self.rng.random() >= self.stall
        self.dut.m_axi_awready.value = int(self.address_open)
        self.dut.m_axi_wready.value = int(self.data_open)
        self.answering = self._answer_goes()
        self.dut.m_axi_bvalid.value = int(self.answering or self.spurious > 0)
        self.dut.m_axi_bresp.value = 3 if self.spurious or (self.answering and self.answers[0][1]) else 0

    def sample(self) -> None:
        if self.spurious:
            self.spurious -= 1
        elif self.answering:
            self.answers.popleft()
            self.flying -= 1
        whole = self._whole
        self._data()
        self._address()
        for burst in range(whole, self._whole):
            self._complete(burst)
        self.most_flying = max(self.most_flying, self.flying)
        self.gate.look()
        self.now += 1

    @property
    def quiet(self) -> bool:
        """Every address has its data, and every burst its answer."""
        return not self.flying and len(self.data) == len(self.bursts) + 1 and not self.data[-1]

    @property
    def _whole(self) -> int:
        """Bursts whose address and data are taken."""
        return min(len(self.bursts), len(self.data) - 1)

    def _answer_goes(self) -> bool:
        due = sum(answer[0] <= self.now for answer in self.answers)
        is_late = due > 0 and self.answers[0][0] + PATIENCE_CYCLES <= self.now
        self.bunch_goes = due > 0 and (self.bunch_goes or is_late or due >= self.bunch)
        return self.bunch_goes

    def _complete(self, burst: int) -> None:
        (address, beats), data = self.bursts[burst], self.data[burst]
        assert len(data) == beats, "WLAST was not on the last beat"
        self.words |= {address + beat * self.word_bytes: word for beat, word in enumerate(data)}
        self.answers.append((self.now + 12, address in self.broken))

    def _address(self) -> None:
        names = ("m_axi_awaddr", "m_axi_awlen")
        taken = self._channel("aw", "m_axi_awvalid", names, self.address_open)
        if taken is not None:
            address, beats = taken[0], taken[1] + 1
            check_burst(address, beats, self.word_bytes, None)
            self.bursts.append((address, beats))
            self.flying += 1

    def _data(self) -> None:
        taken = self._channel(
            "w", "m_axi_wvalid", ("m_axi_wdata", "m_axi_wlast", "m_axi_wstrb"), self.data_open
        )
        if taken is None:
            return
        word, last, strobes = taken
        self.data[-1].append(word)
        assert strobes == (1 << self.word_bytes) - 1
        if last:
            self.data.append([])

    def _channel(self, key: str, valid: str, names: tuple[str, ...], ready: bool) -> tuple[int, ...] | None:
        """The payload that a channel hands over in this cycle; it must stay until then."""
        offered = int(getattr(self.dut, valid).value)
        payload = tuple(int(getattr(self.dut, name).value) for name in names) if offered else None
        before = self.waiting.pop(key, None)
        assert before is None or payload == before, f"{key} changed while it waited"
        if payload is not None and not ready:
            self.waiting[key] = payload
            return None
        return payload


class Words:
    """The store unit's queue: all words of a burst that was taken are there."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.queue = dut, deque[int]()

    def drive(self) -> None:
        self.dut.store_data_i.value = self.queue[0] if self.queue else 0

    def sample(self) -> None:
        if int(self.dut.store_data_ready_o.value):
            self.queue.popleft()


class Profile:
    """The profile's side: an address, then its word, one at a time."""

    def __init__(self, dut: Any, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng
        self.queue: deque[tuple[int, int]] = deque()
        self.address_taken = False

    def drive(self) -> None:
        self.dut.profile_valid_i.value = int(bool(self.queue) and not self.address_taken)
        if self.queue:
            self.dut.profile_address_i.value, self.dut.profile_data_i.value = self.queue[0]

    def sample(self) -> None:
        if self.queue and not self.address_taken:
            self.address_taken = bool(int(self.dut.profile_ready_o.value))
        elif int(self.dut.profile_data_ready_o.value):
            self.queue.popleft()
            self.address_taken = False


class Bench:
    """Stores and profile words in, memory behind the bus."""

    def __init__(
        self, dut: Any, rng: np.random.Generator, stall: float, order: WriteOrder, bunch: int
    ) -> None:
        self.dut, self.rng, self.pi = dut, rng, int(dut.PI.value)
        self.stores = Source(dut, "store_valid_i", "store_ready_o", rng, stall)
        self.words, self.profile = Words(dut), Profile(dut, rng)
        self.memory = Memory(dut, rng, stall, self.pi, order, bunch)
        self.written = Sink(dut, "store_written_o", None, (), rng)
        self.errors = Sink(dut, "error_o", None, ("error_store_o",), rng)
        self.expected: dict[int, int] = {}

    @classmethod
    async def start(
        cls,
        dut: Any,
        *,
        stall: float = 0.0,
        order: WriteOrder = WriteOrder.ADDRESS_FIRST,
        bunch: int = 1,
    ) -> "Bench":
        """A bench after reset."""
        quiet(dut, INPUTS)
        await reset(dut)
        return cls(dut, random_generator(), stall, order, bunch)

    @property
    def agents(self) -> list[Any]:
        return [self.stores, self.words, self.profile, self.memory, self.written, self.errors]

    def data(self) -> int:
        return int.from_bytes(self.rng.bytes(self.pi), "little")

    def address(self) -> int:
        return int(self.rng.integers(1 << 28)) << 12 | int(self.rng.integers(4096 // self.pi - 16)) * self.pi

    def store(self, beats: int) -> int:
        """Queue a burst of a store; returns its address."""
        address = self.address()
        self.stores.queue.append({"store_address_i": address, "store_beats_i": beats})
        for beat in range(beats):
            self.expected[address + beat * self.pi] = data = self.data()
            self.words.queue.append(data)
        return address

    def record(self) -> int:
        """Queue a profile word; returns its address."""
        address = self.address()
        self.expected[address] = data = self.data()
        self.profile.queue.append((address, data))
        return address

    async def run(self) -> None:
        """Run until all is written and answered."""
        done = lambda: self.memory.words == self.expected and self.memory.quiet  # noqa: E731
        await run(self.dut, self.agents, done)


@cocotb.test()
@cocotb.parametrize(order=list(WriteOrder), unkind=[False, True])
async def every_word_is_written_once_where_it_belongs(dut, order, unkind):
    stall, bunch = (0.3, OUTSTANDING) if unkind else (0.0, 1)
    bench = await Bench.start(dut, stall=stall, order=order, bunch=bunch)
    bursts = [int(bench.rng.integers(1, 17)) for _ in range(40)]
    for beats in bursts:
        bench.store(beats)
    for _ in range(15):
        bench.record()
    await bench.run()
    assert len(bench.written.cycles) == 40 and not bench.errors.items
    assert sum(beats for _, beats in bench.memory.bursts) == sum(bursts) + 15
    assert bench.memory.most_flying <= OUTSTANDING
    assert bench.memory.gate.most_ahead > 0 or order is not WriteOrder.DATA_FIRST


@cocotb.test()
async def stores_send_a_beat_a_cycle(dut):
    bench = await Bench.start(dut)
    for _ in range(30):
        bench.store(16)
    await bench.run()
    assert bench.memory.now <= 30 * 16 + 20


@cocotb.test()
@cocotb.parametrize(store=[False, True])
async def an_error_answer_tells_whose_burst_it_was(dut, store):
    bench = await Bench.start(dut)
    places = [bench.record(), bench.store(4), bench.record(), bench.store(3)]
    bench.memory.broken = {places[3 if store else 2]}
    await bench.run()
    assert bench.errors.items == [(int(store),)]


@cocotb.test()
@cocotb.parametrize(order=list(WriteOrder))
async def a_stop_finishes_what_has_begun(dut, order):
    bench = await Bench.start(dut, stall=0.2, order=order)
    for _ in range(20):
        bench.store(16)
    await run(dut, bench.agents, lambda: len(bench.memory.bursts) == 3)
    dut.stop_i.value = 1
    await run(dut, bench.agents, lambda: not int(dut.busy_o.value), limit=1000)
    assert bench.memory.quiet and len(bench.memory.bursts) <= OUTSTANDING
    assert len(bench.memory.words) == 16 * len(bench.memory.bursts)


@cocotb.test()
async def an_answer_that_no_burst_awaits_is_taken_and_dropped(dut):
    bench = await Bench.start(dut)
    bench.memory.spurious = 5
    await run(dut, bench.agents, lambda: not bench.memory.spurious)
    assert not bench.errors.items and not bench.written.cycles
    for _ in range(20):
        bench.store(16)
    await bench.run()
    await run(dut, bench.agents, lambda: not int(dut.busy_o.value), limit=3)
    assert len(bench.written.cycles) == 20 and not bench.errors.items
