"""Inside the simulator: every word read is the word last written there, whoever shares the ports."""

from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from bitlathe.rtl_tb.stimulus import join, random_generator, reset

LATENCY = 3
PADDING = 0x80
HALF_MASKS = {1: 0x0F, 2: 0xF0, 3: 0xFF}
Place = tuple[int, int]  # line, bank


class Bench:
    """Drives every port at random each cycle and follows the words in a dictionary."""

    def __init__(self, dut, rng: np.random.Generator) -> None:
        self.dut, self.rng = dut, rng
        self.pi, self.pp = int(dut.PI.value), int(dut.PP.value)
        self.banks, self.lines = int(dut.Banks.value), int(dut.Lines.value)
        self.words: dict[Place, int] = {}
        self.cooling: deque[set[Place]] = deque([set()] * 4, maxlen=4)  # written too lately to be read
        self.lanes: deque[list[int]] = deque(maxlen=LATENCY + 1)
        self.residuals: deque[int | None] = deque(maxlen=LATENCY + 1)
        self.stored: deque[int] = deque()

    def place(self) -> Place:
        return int(self.rng.integers(self.lines)), int(self.rng.integers(self.banks))

    def readable(self, bank: int | None = None) -> Place | None:
        """A settled place that holds a word, in `bank` if given."""
        fresh = set().union(*self.cooling)
        places = [p for p in self.words if p not in fresh and (bank is None or p[1] == bank)]
        return places[int(self.rng.integers(len(places)))] if places else None

    def word(self) -> int:
        return join(self.rng.integers(0, 256, self.pi), 8)

    def drive_lanes(self) -> None:
        banks = self.rng.permutation(self.banks)[: self.pp]
        places = [self.readable(int(bank)) if self.rng.random() < 0.8 else None for bank in banks]
        self.dut.lane_on_i.value = sum(1 << j for j, place in enumerate(places) if place)
        self.dut.lane_line_i.value = join([place[0] if place else 0 for place in places], 16)
        self.dut.lane_bank_i.value = join([int(bank) for bank in banks], 4)
        padding = join([PADDING] * self.pi, 8)
        self.lanes.append([self.words[place] if place else padding for place in places])

    def drive_result(self) -> Place | None:
        """Write a result, or half of its bytes; returns the place."""
        place, data = self.place(), self.word()
        halves = int(self.rng.choice([0, 1, 2, 3])) if place in self.words else int(self.rng.choice([0, 3]))
        self.dut.result_halves_i.value = halves
        self.dut.result_line_i.value, self.dut.result_bank_i.value = place
        self.dut.result_data_i.value = data
        if halves:
            mask = join([HALF_MASKS[halves]] * self.pi, 8)
            self.words[place] = (self.words.get(place, 0) & ~mask) | (data & mask)
        return place if halves else None

    def drive_residual(self, result: Place | None) -> Place | None:
        """Read a residual from another bank than the result's; returns the place."""
        read = self.readable() if self.rng.random() < 0.5 else None
        if read and result and (read[1] == result[1]):
            read = None
        self.dut.residual_valid_i.value = int(read is not None)
        self.dut.residual_line_i.value, self.dut.residual_bank_i.value = read or (0, 0)
        self.residuals.append(self.words[read] if read else None)
        return read

    async def cycle(self) -> None:
        """One clock cycle: drive, look at the ready signals, follow what was taken."""
        dut, written = self.dut, set()
        self.drive_lanes()
        load, data, load_on = self.place(), self.word(), self.rng.random() < 0.5
        store = self.readable() if self.rng.random() < 0.5 else None
        result = self.drive_result()
        self.drive_residual(result)
        written |= {result} if result else set()
        if load == result:
            load_on = False
        claims = load_on or self.rng.random() < 0.2  # a claim holds a STORE back before it is valid
        dut.load_claim_i.value = int(claims)
        dut.load_valid_i.value, dut.load_data_i.value = int(load_on), data
        dut.load_line_i.value, dut.load_bank_i.value = load
        dut.store_valid_i.value = int(store is not None and store not in written)
        dut.store_line_i.value, dut.store_bank_i.value = store or (0, 0)
        await ReadOnly()
        assert not (claims and store and load[1] == store[1] and int(dut.store_ready_o.value))
        if int(dut.store_valid_i.value) and int(dut.store_ready_o.value):
            self.stored.append(self.words[store])
        if load_on and int(dut.load_ready_o.value):
            self.words[load] = data
            written.add(load)
        self.cooling.append(written)
        await RisingEdge(dut.clk_i)
        self.check()

    def check(self) -> None:
        dut = self.dut
        if len(self.lanes) > LATENCY:
            assert int(dut.lane_data_o.value) == join(self.lanes[0], 8 * self.pi)
        if len(self.residuals) > LATENCY and self.residuals[0] is not None:
            assert int(dut.residual_data_o.value) == self.residuals[0]
        if int(dut.store_rvalid_o.value):
            assert int(dut.store_rdata_o.value) == self.stored.popleft()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def every_read_returns_the_last_write(dut) -> None:
    for name in (
        "lane_on_i",
        "result_halves_i",
        "residual_valid_i",
        "load_claim_i",
        "load_valid_i",
        "store_valid_i",
    ):
        getattr(dut, name).value = 0
    dut.padding_i.value = PADDING
    await reset(dut)
    bench = Bench(dut, random_generator())
    for _ in range(1500):
        await bench.cycle()
    assert len(bench.words) > 50 and len(bench.stored) <= LATENCY
