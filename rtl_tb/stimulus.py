"""Helpers that every bench needs inside the simulator: its seed, a clock, a reset."""

import os

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

SEED_VARIABLE = "BITLATHE_SEED"


def random_generator() -> np.random.Generator:
    """Generator of the bench's seed; the launcher sets and prints it."""
    return np.random.default_rng(int(os.environ.get(SEED_VARIABLE, "1")))


async def start_clock(dut) -> None:
    """Run `clk_i` at 10 ns, and return after its first edge."""
    cocotb.start_soon(Clock(dut.clk_i, 10, unit="ns").start())
    await RisingEdge(dut.clk_i)


async def reset(dut) -> None:
    """Run the clock and hold `rst_ni` low for three cycles."""
    dut.rst_ni.value = 0
    await start_clock(dut)
    for _ in range(3):
        await RisingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    await RisingEdge(dut.clk_i)


def join(codes, bits: int) -> int:
    """Codes packed into one vector, the first one lowest.

    >>> hex(join([1, -1], 8))
    '0xff01'
    """
    mask = (1 << bits) - 1
    return sum(
        (int(code) & mask) << (bits * place)
        for place, code in enumerate(np.asarray(codes, dtype=object).ravel())
    )


def split(vector, bits: int, count: int, *, signed: bool) -> list[int]:
    """The inverse of `join`."""
    value, mask = int(vector), (1 << bits) - 1
    codes = [(value >> (bits * place)) & mask for place in range(count)]
    return [code - (1 << bits) if signed and code >> (bits - 1) else code for code in codes]
