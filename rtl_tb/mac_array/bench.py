"""Inside the simulator: accumulators equal sums of products (or maxima) for groups of any length."""

from dataclasses import dataclass

import cocotb
import numpy as np
import numpy.typing as npt
from bitlathe.rtl_tb.stimulus import join, random_generator, reset, split
from cocotb.triggers import RisingEdge

LATENCY = 6
Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Operands of one pixel group."""

    act: Array  # (cycles, PP, PI)
    weight: Array  # (cycles, PO, PI)

    def sums(self) -> Array:  # (PP, PO)
        return np.einsum("kpi,koi->po", self.act, self.weight)

    def maxima(self) -> Array:  # (PP, PI)
        return self.act.max(axis=0)


def _pick(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> Array:
    """Uniform codes, or corners alone: both ends of the range and zero."""
    if rng.random() < 0.4:
        return rng.choice(np.array([low, high, 0]), size=shape)
    return rng.integers(low, high + 1, size=shape)


def random_group(rng: np.random.Generator, sizes: tuple[int, int, int], *, signed: bool) -> Group:
    pi, po, pp = sizes
    cycles = int(rng.integers(1, 20))
    low, high = (-128, 127) if signed else (0, 255)
    return Group(act=_pick(rng, low, high, (cycles, pp, pi)), weight=_pick(rng, -127, 127, (cycles, po, pi)))


async def feed(dut, groups: list[Group], rng: np.random.Generator) -> None:
    """Drive the groups back to back, with an idle cycle now and then."""
    for group in groups:
        for k in range(len(group.act)):
            while rng.random() < 0.1:
                dut.valid_i.value = 0
                await RisingEdge(dut.clk_i)
            dut.valid_i.value = 1
            dut.first_i.value = int(k == 0)
            dut.last_i.value = int(k == len(group.act) - 1)
            dut.act_i.value = join(group.act[k], 8)
            dut.weight_i.value = join(group.weight[k], 8)
            await RisingEdge(dut.clk_i)
    dut.valid_i.value = 0
    for _ in range(LATENCY + 2):
        await RisingEdge(dut.clk_i)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(signed=[True, False], is_max=[False, True])
async def every_group_matches_its_sum(dut, signed: bool, is_max: bool) -> None:
    rng = random_generator()
    sizes = tuple(int(dut.__getattr__(name).value) for name in ("PI", "PO", "PP"))
    pi, po, pp = sizes
    groups = [random_group(rng, sizes, signed=signed) for _ in range(60)]
    results: list[Array] = []

    async def collect() -> None:
        while True:
            await RisingEdge(dut.clk_i)
            if int(dut.done_o.value):
                results.append(np.array(split(dut.acc_o.value, 32, pp * po, signed=True)).reshape(pp, po))

    dut.valid_i.value = 0
    dut.is_max_i.value, dut.in_signed_i.value = int(is_max), int(signed)
    await reset(dut)
    cocotb.start_soon(collect())
    await feed(dut, groups, rng)
    assert len(results) == len(groups)
    for group, result in zip(groups, results, strict=True):
        if is_max:
            assert np.array_equal(result[:, :pi], group.maxima())
        else:
            assert np.array_equal(result, group.sums())
