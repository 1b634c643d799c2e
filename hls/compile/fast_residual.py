"""When the output stage may read a residual word every cycle.

A result is written WRITE_DELAY cycles after its residual was read, through the same port of its bank.
Reading every cycle is right where no read meets a write in one bank; slots come at fixed times, so all of
them can be looked at.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile.groups import (
    Grouping,
    best_grouping,
    pass_over,
    passes,
    sub_tiles,
    sweep,
    with_skips,
)
from bitlathe.hls.compile.memory import Block
from bitlathe.hls.compile.network import Layer
from bitlathe.hls.program.skipping import Sweep, skipping_groups
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.arrays import Int64s

WRITE_DELAY = 7  # hls/rtl/output_stage.sv: Latency less the register of the residual's address


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Where the pixels of a map are: the first one, the step to the next row, and to the next column."""

    origin: int
    pitch: int
    step: int = 1


def raster(block: Block, column: int = 0) -> Raster:
    """Raster of a block's pixels from a column on."""
    return Raster(origin=block.row * block.buffer.pitch + column, pitch=block.buffer.pitch)


def still_raster(block: Block) -> Raster:
    """Raster of a block whose first pixel is read all the time."""
    return Raster(origin=block.row * block.buffer.pitch, pitch=0, step=0)


def with_fast_residual(
    grouping: Grouping,
    layer: Layer,
    strip: Sweep,
    residual: Raster,
    target: Raster,
    configuration: EngineConfiguration,
) -> Grouping:
    """The grouping with its groups as short as a residual word every cycle allows, over a strip of rows."""
    if grouping.skip_weights or layer.placed.step != (1, 1):
        return grouping
    words = sub_tiles(layer, configuration)
    least = max(layer.taps * layer.ci_tiles, grouping.lanes * words)
    shortest = replace(grouping, group_cycles=least)
    skipping = with_skips(shortest, layer, grouping.lanes * words)
    slots = ResidualSlots(
        sweep=strip, words=words, residual=residual, target=target, banks=configuration.banks
    )
    if skipping.skip_weights and are_apart(slots, least, skipping.skip_weights):
        return replace(skipping, residual_every_cycle=True)
    cycles = next((c for c in range(least, grouping.group_cycles) if are_apart(slots, c)), None)
    return grouping if cycles is None else replace(grouping, group_cycles=cycles, residual_every_cycle=True)


def sum_cycles(
    layer: Layer, source_pitch: int, residual_pitch: int, pitch: int, configuration: EngineConfiguration
) -> int:
    """Cycles of the array for a layer with a residual whose maps have these pitches."""
    still = layer.residual_is_still
    residual = Raster(origin=0, pitch=0 if still else residual_pitch, step=0 if still else 1)
    target = Raster(origin=0, pitch=pitch)
    slow = best_grouping(layer, source_pitch, configuration)
    grouping = with_fast_residual(slow, layer, sweep(layer, slow), residual, target, configuration)
    return passes(layer, configuration) * pass_over(layer, grouping)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualSlots:
    """The cycles in which the output stage reads a residual word, and the words' places."""

    sweep: Sweep
    words: int  # a pixel
    residual: Raster
    target: Raster
    banks: int

    def times(self, cycles: int, skip: int) -> Int64s:
        """Cycle of every slot of two passes: a pass starts one cycle late."""
        lasts = cycles - skip * skipping_groups(self.sweep)
        pixels = np.arange(self.sweep.out_h * self.sweep.out_w)
        run = self.sweep.out_w if self.sweep.row_break else len(pixels)
        lane = pixels % run % self.sweep.group_lanes
        group = np.cumsum(lane == 0) - 1
        one_pass = np.repeat(np.cumsum(lasts)[group] + lane * self.words, self.words)
        one_pass += np.tile(np.arange(self.words), len(pixels))
        return np.concatenate([one_pass, one_pass + lasts.sum() + 1])

    def reads(self) -> npt.NDArray[np.bool_]:
        """Whether a slot reads: one that stays is read once a tile and kept, where a pixel has one word."""
        count = self.sweep.out_h * self.sweep.out_w * self.words
        every = np.full(2 * count, self.residual.step != 0 or self.words > 1)
        every[::count] = True
        return every

    def banks_of(self, where: Raster) -> Int64s:
        """Bank of every slot's pixel, two passes over the map."""
        rows = np.arange(self.sweep.out_h)[:, None] * where.pitch
        positions = where.origin + rows + np.arange(self.sweep.out_w) * where.step
        return np.tile(np.repeat(positions.ravel() % self.banks, self.words), 2)


@lru_cache(maxsize=4096)
def are_apart(slots: ResidualSlots, cycles: int, skip: int = 0) -> bool:
    """Whether no read meets a write if a group takes `cycles`, `skip` less where it leaves a row out."""
    times = slots.times(cycles, skip)
    reads, writes = slots.banks_of(slots.residual), slots.banks_of(slots.target)
    at = np.searchsorted(times, times + WRITE_DELAY)
    inside = at < len(times)
    same_cycle = times[at[inside]] == times[inside] + WRITE_DELAY
    meets = slots.reads()[at[inside]] & (reads[at[inside]] == writes[inside])
    return not (same_cycle & meets).any()
