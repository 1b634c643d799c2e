"""Inside the simulator: every code equals the integer graph's requantize, a new one every cycle."""

from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from bitlathe.model.graph.fixed_point import RoundingMode, requantize
from bitlathe.rtl_tb.stimulus import random_generator, start_clock

LATENCY, RESIDUAL_DELAY = 7, 3
INT32 = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Operands of one code."""

    acc: int
    bias: int
    shift: int
    residual_shift: int
    residual: int
    is_product: bool

    @property
    def biased(self) -> int:
        return self.bias if self.is_product else self.acc + self.bias

    @property
    def total(self) -> int:
        return self.biased + (
            self.acc * self.residual if self.is_product else self.residual << self.residual_shift
        )

    @property
    def is_proven(self) -> bool:
        """The overflow proof covers every sum on the way, the rounding constant included."""
        half = 1 << self.shift >> 1
        sums = (self.biased, self.biased + half, self.total + half)
        return all(INT32[0] <= value <= INT32[1] for value in sums)


def random_product(rng: np.random.Generator) -> Case:
    """A product of two codes within the proof; extremes, halves and zeros are common."""

    def code() -> int:
        return int(rng.choice([0, 1, -1, -128, 127, 255, int(rng.integers(-128, 256))]))

    while True:
        shift, acc, residual = int(rng.choice([0, 31, *rng.integers(1, 18, 3)])), code(), code()
        half = ((2 * int(rng.integers(-300, 300)) + 1) << shift) >> 1
        case = Case(
            acc=acc,
            bias=int(rng.choice([0, half - acc * residual, int(rng.integers(-(1 << 31), 1 << 31))])),
            shift=shift,
            residual_shift=int(rng.integers(32)),  # of no meaning
            residual=residual,
            is_product=True,
        )
        if case.is_proven:
            return case


def random_case(rng: np.random.Generator) -> Case:
    """A case within the proof; extremes, halves and zeros are common."""
    while True:
        bits, shift = int(rng.integers(1, 32)), int(rng.integers(0, 32))
        half = ((2 * int(rng.integers(-300, 300)) + 1) << shift) >> 1
        case = Case(
            acc=int(
                rng.choice(
                    [
                        half,
                        half,
                        0,
                        1,
                        -1,
                        int(rng.integers(-(1 << bits) + 1, 1 << bits)),
                        -(1 << 31) + 1,
                        (1 << 31) - 1,
                    ]
                )
            ),
            bias=int(rng.choice([0, int(rng.integers(-(1 << 20), 1 << 20))])),
            shift=shift,
            residual_shift=int(rng.integers(0, 32)),
            residual=int(rng.choice([0, -128, 255, int(rng.integers(-128, 256))])),
            is_product=False,
        )
        if case.is_proven:
            return case


def expected(case: Case, lo: int, hi: int, mode: RoundingMode) -> int:
    """The code as the byte that is stored."""
    return int(requantize(np.array([case.total], dtype=np.int64), case.shift, lo, hi, mode)[0]) & 0xFF


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(
    clamp=[(-128, 127), (0, 255), (0, 96), (-7, 7), (-128, 255)],
    mode=list(RoundingMode),
    draw=[random_case, random_product],
)
async def every_code_matches_the_integer_graph(dut, clamp: tuple[int, int], mode: RoundingMode, draw) -> None:
    lo, hi = clamp
    rng = random_generator()
    cases = [draw(rng) for _ in range(2000)]
    await start_clock(dut)
    dut.lo_i.value, dut.hi_i.value = lo, hi
    dut.half_even_i.value = mode is RoundingMode.HALF_EVEN
    dut.is_product_i.value = cases[0].is_product
    early = 0
    for cycle in range(len(cases) + LATENCY):
        case = cases[min(cycle, len(cases) - 1)]
        dut.acc_i.value, dut.bias_i.value = case.acc, case.bias
        dut.shift_i.value, dut.residual_shift_i.value = case.shift, case.residual_shift
        dut.residual_i.value = cases[min(max(cycle - RESIDUAL_DELAY, 0), len(cases) - 1)].residual
        await RisingEdge(dut.clk_i)
        if cycle >= LATENCY:
            done = cases[cycle - LATENCY]
            assert int(dut.code_o.value) == expected(done, lo, hi, mode), done
            assert early == int(dut.code_o.value), done
        early = dut.next_code_o.value
