"""Inside the simulator: addresses and marks equal positions worked out by plain division."""

from collections.abc import Iterator
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from bitlathe.hls.program import Exec
from bitlathe.rtl_tb.descriptors import bits_of
from bitlathe.rtl_tb.stimulus import random_generator, reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Geometry of one EXEC; positions are y * pitch + x."""

    banks: int
    group_lanes: int
    row_break: bool
    is_max: bool
    repeats: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]
    tap_rows: int
    tap_step: int
    holds: bool  # the kernel's first line for all of its taps
    size: tuple[int, int]
    pitch: int
    out_size: tuple[int, int]
    ci_tiles: int
    out_tiles: int
    sub_tiles: int
    base_line: int
    plane: int
    tile_step: int
    slack: int
    leaves_out: bool  # kernel rows that meet nothing but padding

    @property
    def kernel_row(self) -> int:
        return self.kernel[1] * self.ci_tiles

    @property
    def kernel_cycles(self) -> int:
        return self.kernel[0] * self.kernel_row

    @property
    def skip(self) -> int:
        """Cycles of a kernel row that is left out, 0 where none may be."""
        words = self.group_lanes * self.sub_tiles
        may = (
            self.tap_rows == 1
            and not self.holds
            and self.kernel[0] > 1
            and self.group_cycles - self.kernel_row >= words
        )
        return self.kernel_row if self.leaves_out and may else 0

    @property
    def pass_lines(self) -> int:
        return 1 if self.is_max else 1 + (1 if self.holds else self.kernel_cycles)

    @property
    def group_cycles(self) -> int:
        return max(self.kernel_cycles, self.group_lanes * self.sub_tiles) + self.slack

    def descriptor(self) -> Exec:
        def pair(position: int) -> tuple[int, int]:
            return divmod(position, self.banks)

        origin = pair(self.start[0] * self.pitch + self.start[1])
        pitch = pair(self.pitch)
        row = pair(self.stride[0] * self.pitch - self.stride[1] * (self.out_size[1] - 1))
        tap_row = pair(self.tap_rows * self.pitch - self.tap_step * (self.kernel[1] - 1))
        execute = Exec(
            group_cycles=self.group_cycles,
            group_lanes=self.group_lanes,
            row_break=int(self.row_break),
            is_max=int(self.is_max),
            repeat_weights=int(self.repeats),
            sub_tiles=self.sub_tiles,
            kernel_h=self.kernel[0],
            kernel_w=self.kernel[1],
            ci_tiles=self.ci_tiles,
            start_y=self.start[0],
            start_x=self.start[1],
            in_h=self.size[0],
            in_w=self.size[1],
            out_h=self.out_size[0],
            out_w=self.out_size[1],
            out_tiles=self.out_tiles,
            weight_line=100,
            in_line=self.base_line + origin[0],
            in_bank=origin[1],
            in_plane=self.plane,
            in_tile_step=self.tile_step,
            pitch_line=pitch[0],
            pitch_bank=pitch[1],
            in_row_line=row[0],
            in_row_bank=row[1],
            tap_row_line=tap_row[0],
            tap_row_bank=tap_row[1],
            tap_rows=self.tap_rows,
            tap_step=self.tap_step,
            hold_weights=self.holds,
            skip_weights=self.skip,
        )
        return execute.with_strides(*self.stride)

    def groups(self) -> list[list[tuple[int, int]]]:
        """Output pixels (y, x) of each group."""
        rows = [[(y, x) for x in range(self.out_size[1])] for y in range(self.out_size[0])]
        runs = rows if self.row_break else [[pixel for row in rows for pixel in row]]
        lanes = self.group_lanes
        return [run[at : at + lanes] for run in runs for at in range(0, len(run), lanes)]

    def rows(self, group: list[tuple[int, int]]) -> range:
        """Kernel rows of a group: all but a first one above the map, else a last one below it."""
        origins = [y * self.stride[0] + self.start[0] for y, _ in group]
        if self.skip and max(origins) < 0:
            return range(1, self.kernel[0])
        return range(self.kernel[0] - int(self.skip > 0 and min(origins) + self.kernel[0] > self.size[0]))

    def cycles(self) -> int:
        """Of a pass, its parameters' included."""
        left_out = sum(self.kernel[0] - len(self.rows(group)) for group in self.groups())
        return 1 + len(self.groups()) * self.group_cycles - left_out * self.skip

    def taps(self, rows: range) -> Iterator[tuple[int, int, int]]:
        for ky in rows:
            for kx in range(self.kernel[1]):
                for ct in range(self.ci_tiles):
                    yield ky * self.tap_rows, kx * self.tap_step, ct

    def lane(self, tile: int, pixel: tuple[int, int], tap: tuple[int, int, int]) -> tuple[int, int] | None:
        """(line, bank) a lane reads, or None under padding."""
        y = pixel[0] * self.stride[0] + self.start[0] + tap[0]
        x = pixel[1] * self.stride[1] + self.start[1] + tap[1]
        if not (0 <= y < self.size[0] and 0 <= x < self.size[1]):
            return None
        line, bank = divmod(y * self.pitch + x, self.banks)
        return self.base_line + tile * self.tile_step + tap[2] * self.plane + line, bank


def random_layer(rng: np.random.Generator, pp: int, banks: int) -> Layer:
    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    kernel = (pick(1, 4), pick(1, 4))
    size = (pick(kernel[0], 9), pick(kernel[1], 9))
    is_max = bool(rng.random() < 0.3)
    sub_tiles = 1 if is_max else pick(1, 2)
    ci_tiles = 1 if is_max else pick(1, 3)
    return Layer(
        banks=banks,
        group_lanes=pick(1, pp),
        row_break=bool(rng.random() < 0.5),
        is_max=is_max,
        repeats=bool(rng.random() < 0.3),
        kernel=kernel,
        stride=(pick(1, 3) + 20 * pick(0, 2), pick(1, 3) + 20 * pick(0, 2)),
        start=(-pick(0, kernel[0] - 1), -pick(0, kernel[1] - 1)),
        tap_rows=pick(1, 3) if rng.random() < 0.5 else 1,
        tap_step=pick(1, 31) if rng.random() < 0.5 else pick(1, 3),
        holds=ci_tiles == 1 and not is_max and bool(rng.random() < 0.3),
        size=size,
        pitch=size[1] + pick(0, 5),
        out_size=(pick(1, 6), pick(1, 7)),
        ci_tiles=ci_tiles,
        out_tiles=pick(1, 5),
        sub_tiles=sub_tiles,
        base_line=pick(0, 50),
        plane=pick(8, 30),
        tile_step=pick(0, 1) * 17,
        slack=pick(0, 3),
        leaves_out=bool(rng.random() < 0.7),
    )


def expected(layer: Layer, pp: int) -> list[tuple]:
    """(first, last, count, tile_first, final, weight line, lanes) of every feeding cycle."""
    rows, weight = [], 100
    tiles = -(-layer.out_tiles // layer.sub_tiles)
    for tile in range(tiles):
        groups = layer.groups()
        for index, group in enumerate(groups):
            kept = layer.rows(group)
            taps = list(layer.taps(kept))
            for at, tap in enumerate(taps):
                lanes = tuple(layer.lane(tile, pixel, tap) for pixel in group)
                marks = (
                    at == 0,
                    at == len(taps) - 1,
                    len(group),
                    index == 0,
                    tile == tiles - 1 and index == len(groups) - 1,
                )
                tap_line = 0 if layer.holds else kept.start * layer.kernel_row + at
                line = None if layer.is_max else weight + 1 + tap_line
                rows.append((*marks, line, lanes + (None,) * (pp - len(group))))
        weight += 0 if layer.repeats else layer.pass_lines
    return rows


def observed(dut, pp: int, is_max: bool) -> tuple:
    """The same of the present cycle; a lane that is off may hold anything."""

    def lane(j: int) -> tuple[int, int] | None:
        line, bank = dut.lane_line_o.value[16 * j + 15 : 16 * j], dut.lane_bank_o.value[4 * j + 3 : 4 * j]
        return (int(line), int(bank)) if int(dut.lane_on_o.value[j]) else None

    flags = (dut.first_o, dut.last_o, dut.count_o, dut.tile_first_o, dut.final_o)
    weight = None if is_max else int(dut.weight_line_o.value)
    return (*(int(flag.value) for flag in flags), weight, tuple(lane(j) for j in range(pp)))


async def run(dut, layer: Layer, pp: int) -> tuple[list[tuple], list[int], int]:
    """Feeding cycles, parameter lines, and cycles from the first parameter to the last feed."""
    dut.desc_i.value = bits_of(layer.descriptor())
    dut.init_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.init_i.value = 0
    rows: list[tuple] = []
    params: list[int] = []
    first_cycle = last_cycle = 0
    want = len(expected(layer, pp))
    for cycle in range(200_000):
        await RisingEdge(dut.clk_i)
        if int(dut.param_o.value):
            params.append(int(dut.weight_line_o.value))
        if int(dut.valid_o.value):
            first_cycle = first_cycle or cycle
            last_cycle = cycle
            rows.append(observed(dut, pp, layer.is_max))
        if len(rows) == want:
            break
    return rows, params, last_cycle - first_cycle + 1


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def every_address_matches_plain_division(dut) -> None:
    rng = random_generator()
    pp, banks = int(dut.PP.value), int(dut.Banks.value)
    dut.init_i.value = 0
    await reset(dut)
    for _ in range(60):
        layer = random_layer(rng, pp, banks)
        rows, params, cycles = await run(dut, layer, pp)
        for got, want in zip(rows, expected(layer, pp), strict=True):
            assert got == want, (layer, got, want)
        tiles = -(-layer.out_tiles // layer.sub_tiles)
        step = 0 if layer.is_max or layer.repeats else layer.pass_lines
        assert params == [100 + tile * step for tile in range(tiles)]
        # After the last group only its kernel is seen.
        assert cycles == tiles * layer.cycles() - 1 - (layer.group_cycles - layer.kernel_cycles), layer
