"""When the output stage may read a residual word every cycle.

A result is written WRITE_DELAY cycles after its residual was read, through the same port of its bank.
Reading every cycle is right where no read meets a write in one bank; slots come at fixed times, so all of
them can be looked at.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile.groups import Grouping, best_grouping, passes, sub_tiles
from bitlathe.hls.compile.memory import Block
from bitlathe.hls.compile.network import Layer
from bitlathe.hls.config import EngineConfiguration

WRITE_DELAY = 7  # hls/rtl/output_stage.sv: Latency less the register of the residual's address

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Where the pixels of a map lie: the first one, and a row further on."""

    origin: int
    pitch: int


def raster(block: Block) -> Raster:
    """Raster of a block's pixels."""
    return Raster(origin=block.row * block.buffer.pitch, pitch=block.buffer.pitch)


def with_fast_residual(
    grouping: Grouping,
    layer: Layer,
    rows: int,
    residual: Raster,
    target: Raster,
    configuration: EngineConfiguration,
) -> Grouping:
    """The grouping with its groups as short as a residual word every cycle allows, over `rows` rows."""
    words = sub_tiles(layer, configuration)
    least = max(layer.taps * layer.ci_tiles, grouping.lanes * words)
    cycles = _shortest(
        (rows, layer.output.width, grouping.lanes, int(grouping.row_break), words),
        residual,
        target,
        configuration.banks,
        (least, grouping.group_cycles),
    )
    return grouping if cycles is None else replace(grouping, group_cycles=cycles, residual_every_cycle=True)


def sum_cycles(
    layer: Layer, source_pitch: int, residual_pitch: int, pitch: int, configuration: EngineConfiguration
) -> int:
    """Cycles of the array for a layer with a residual whose maps have these pitches."""
    height, width = layer.output.height, layer.output.width
    residual, target = Raster(origin=0, pitch=residual_pitch), Raster(origin=0, pitch=pitch)
    slow = best_grouping(layer, source_pitch, configuration)
    grouping = with_fast_residual(slow, layer, height, residual, target, configuration)
    return passes(layer, configuration) * grouping.cycles(height, width)


@lru_cache(maxsize=4096)
def _shortest(
    shape: tuple[int, int, int, int, int],
    residual: Raster,
    target: Raster,
    banks: int,
    span: tuple[int, int],
) -> int | None:
    """Fewest cycles a group, below the end of `span`, at which no read meets a write."""
    height, width, lanes, row_break, words = shape
    reads, writes = (_banks_of(where, height, width, words, banks) for where in (residual, target))
    for cycles in range(*span):
        times = _slot_times((height, width) if row_break else (1, height * width), lanes, words, cycles)
        if not _meet(times, reads, writes):
            return cycles
    return None


def _banks_of(where: Raster, height: int, width: int, words: int, banks: int) -> Ints:
    """Bank of every slot's pixel, two passes over the map."""
    positions = where.origin + np.arange(height)[:, None] * where.pitch + np.arange(width)
    return np.tile(np.repeat(positions.ravel() % banks, words), 2)


def _slot_times(runs: tuple[int, int], lanes: int, words: int, cycles: int) -> Ints:
    """Cycle of every slot of two passes: groups start every `cycles`, a pass one cycle later."""
    count, run = runs
    pixel = np.arange(run)
    groups = -(-run // lanes)
    one_run = np.repeat(pixel // lanes * cycles + pixel % lanes * words, words) + np.tile(
        np.arange(words), run
    )
    one_pass = (np.arange(count)[:, None] * groups * cycles + one_run).ravel()
    return np.concatenate([one_pass, one_pass + count * groups * cycles + 1])


def _meet(times: Ints, reads: Ints, writes: Ints) -> bool:
    at = np.searchsorted(times, times + WRITE_DELAY)
    inside = at < len(times)
    same_cycle = times[at[inside]] == times[inside] + WRITE_DELAY
    return bool((same_cycle & (reads[at[inside]] == writes[inside])).any())
