"""Inside the simulator: accumulators equal sums of products (or maxima) for groups of any length.

Beside random groups there are aligned ones: every code of a pixel and every weight of an output channel is
the same corner of its range, so that all terms of a cycle add up to the largest sums there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import RisingEdge

from bitlathe.hls.datapath import NARROW, WIDE, Lanes
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.rtl_tb.stimulus import join, random_generator, reset, split

LATENCY = 7
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
    """Uniform codes, or only corners: both ends of the range and zero."""
    if rng.random() < 0.4:
        return rng.choice(np.array([low, high, 0]), size=shape)
    return rng.integers(low, high + 1, size=shape)


def random_group(rng: np.random.Generator, sizes: tuple[int, int, int], mode: "Mode") -> Group:
    pi, po, pp = sizes
    cycles, channels = int(rng.integers(1, 20)), pi * mode.lanes.channels
    weight = _pick(rng, *mode.weights, (cycles, po, channels))
    return Group(act=_pick(rng, *mode.codes, (cycles, pp, channels)), weight=weight)


def aligned_groups(sizes: tuple[int, int, int], mode: "Mode") -> Iterator[Group]:
    """Every corner of neighbouring pixels beside every corner of neighbouring output channels."""
    pi, po, pp = sizes
    channels, cycles = pi * mode.lanes.channels, 3
    for pixels, columns in product(product(mode.codes, repeat=2), product(mode.weights, repeat=2)):
        yield Group(
            act=np.broadcast_to(np.resize(pixels, (pp, 1)), (cycles, pp, channels)),
            weight=np.broadcast_to(np.resize(columns, (po, 1)), (cycles, po, channels)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How the array is used."""

    is_signed: bool
    is_max: bool = False
    is_packed: bool = False

    @property
    def lanes(self) -> Lanes:
        """What a byte holds."""
        return NARROW if self.is_packed else WIDE

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest activation."""
        limits = FixedPoint(bits=self.lanes.bits, frac=0, signed=self.is_signed)
        return limits.lo, limits.hi

    @property
    def weights(self) -> tuple[int, int]:
        """Lowest and highest weight."""
        return self.lanes.weights.lo, self.lanes.weights.hi

    def bytes(self, codes: Array) -> Array:
        """Codes (..., channels) as stored: packed, channel PI + i shares the byte of channel i."""
        if not self.is_packed:
            return codes
        low, high = np.split(codes & 15, 2, axis=-1)
        return low | high << 4


async def feed(dut, groups: list[Group], mode: Mode, rng: np.random.Generator) -> None:
    """Drive the groups back to back, with an idle cycle now and then."""
    for group in groups:
        for k in range(len(group.act)):
            while rng.random() < 0.1:
                dut.valid_i.value = 0
                await RisingEdge(dut.clk_i)
            dut.valid_i.value = 1
            dut.first_i.value = int(k == 0)
            dut.last_i.value = int(k == len(group.act) - 1)
            dut.act_i.value = join(mode.bytes(group.act[k]), 8)
            dut.weight_i.value = join(mode.bytes(group.weight[k]), 8)
            await RisingEdge(dut.clk_i)
    dut.valid_i.value = 0
    for _ in range(LATENCY + 2):
        await RisingEdge(dut.clk_i)


MODES = [
    Mode(is_signed=signed, is_max=is_max, is_packed=is_packed)
    for signed in (True, False)
    for is_max, is_packed in ((False, False), (True, False), (False, True))
]


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(mode=MODES)
async def every_group_matches_its_sum(dut, mode: Mode) -> None:
    rng = random_generator()
    sizes = tuple(int(getattr(dut, name).value) for name in ("PI", "PO", "PP"))
    pi, po, pp = sizes
    groups = [*aligned_groups(sizes, mode), *(random_group(rng, sizes, mode) for _ in range(30))]
    results: list[Array] = []

    async def collect() -> None:
        while True:
            await RisingEdge(dut.clk_i)
            if int(dut.done_o.value):
                results.append(np.array(split(dut.acc_o.value, 32, pp * po, signed=True)).reshape(pp, po))

    dut.valid_i.value = 0
    dut.is_max_i.value, dut.packed_i.value = int(mode.is_max), int(mode.is_packed)
    dut.in_signed_i.value = int(mode.is_signed)
    await reset(dut)
    cocotb.start_soon(collect())
    await feed(dut, groups, mode, rng)
    assert len(results) == len(groups)
    pixels = pp - pp % 2 if mode.is_packed else pp
    for group, result in zip(groups, results, strict=True):
        if mode.is_max:
            assert np.array_equal(result[:, :pi], group.maxima())
        else:
            assert np.array_equal(result[:pixels], group.sums()[:pixels])
