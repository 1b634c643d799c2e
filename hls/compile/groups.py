"""Which output pixels the array computes together.

The pixels of a layer's output, in raster order, are cut into groups of up to `pp`. All lanes of a group read
at the same tap offset, so no bank is asked twice exactly when the window origins of a group differ modulo
`banks`. The engine relies on it: it has no arbiter.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from bitlathe.hls.compile.network import Layer, LayerKind
from bitlathe.hls.cycles.model import pass_cycles
from bitlathe.hls.program.skipping import Sweep, skipping_groups
from bitlathe.hls.target.config import EngineConfiguration

LONGEST_SKIP = (1 << 12) - 1  # weight lines of a kernel row that a descriptor can name


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """How the pixels of a layer are cut into groups."""

    lanes: int
    row_break: bool  # a group ends with its row
    group_cycles: int
    residual_every_cycle: bool = False  # else every second one
    skip_weights: int = 0  # weight lines of a kernel row where groups leave out rows of padding

    def cycles(self, height: int, width: int) -> int:
        """Cycles of one pass over `height` rows that leaves nothing out."""
        runs, run = (height, width) if self.row_break else (1, height * width)
        return pass_cycles(runs, run, self.lanes, self.group_cycles)


def sub_tiles(layer: Layer, configuration: EngineConfiguration) -> int:
    """Words written a pixel and pass."""
    return configuration.sub_tiles if layer.kind is LayerKind.DENSE else 1


def passes(layer: Layer, configuration: EngineConfiguration) -> int:
    """Times the array goes over the map: once for every `po` output channels."""
    return -(-layer.output.words // sub_tiles(layer, configuration))


def chunk_step(layer: Layer, configuration: EngineConfiguration) -> int:
    """Passes that an EXEC takes at the least: packed maps are written and read from even words on."""
    maps = (layer.output,) if layer.residual is None else (layer.output, layer.residual)
    return max(m.halves for m in maps) if sub_tiles(layer, configuration) % 2 else 1


def sweep(layer: Layer, grouping: Grouping) -> Sweep:
    """The groups of a whole layer."""
    return Sweep(
        out_h=layer.placed.size[0],
        out_w=layer.placed.size[1],
        group_lanes=grouping.lanes,
        row_break=grouping.row_break,
        kernel_h=layer.kernel[0],
        stride_h=layer.stride[0],
        start_y=-layer.window.padding[0],
        in_h=layer.source.height,
    )


def pass_over(layer: Layer, grouping: Grouping) -> int:
    """Cycles of one pass over a whole layer."""
    skipping = int(skipping_groups(sweep(layer, grouping)).sum()) if grouping.skip_weights else 0
    return grouping.cycles(*layer.placed.size) - skipping * grouping.skip_weights


def group_cycles(taps: int, words: int, has_residual: bool) -> int:
    """Cycles of a group: of its multiplications or of its `words` output words, whichever takes longer.

    A residual word is read through the port that writes, and its turns start on even cycles.

    >>> group_cycles(9, 6, False), group_cycles(9, 6, True)
    (9, 13)
    """
    return max(taps, words * (2 if has_residual else 1) + has_residual)


def best_grouping(layer: Layer, pitch: int, configuration: EngineConfiguration) -> Grouping:
    """The conflict-free grouping of fewest cycles for a source of `pitch` positions a row."""
    grouping = _best_grouping(
        layer.placed.size,
        (layer.stride[0] * pitch % configuration.banks, layer.stride[1] % configuration.banks),
        layer.taps * layer.ci_tiles,
        sub_tiles(layer, configuration),
        layer.residual is not None,
        (_largest_group(layer, configuration), configuration.banks),
    )
    words = group_cycles(0, grouping.lanes * sub_tiles(layer, configuration), layer.residual is not None)
    return with_skips(grouping, layer, words)


def with_skips(grouping: Grouping, layer: Layer, words: int) -> Grouping:
    """The grouping that leaves out rows of padding, if a shorter group still lasts `words` cycles."""
    row = layer.kernel[1] * layer.ci_tiles
    taps = layer.kernel[0] * row
    is_apart = layer.window.tap_steps[0] > 1 or layer.window.holds_weights
    if is_apart or row > LONGEST_SKIP or grouping.group_cycles > taps or taps - row < words:
        return grouping
    return replace(grouping, skip_weights=row) if skipping_groups(sweep(layer, grouping)).any() else grouping


def _largest_group(layer: Layer, configuration: EngineConfiguration) -> int:
    """Pixels the array takes together; packed ones come in pairs."""
    return configuration.pp // 2 * 2 if layer.source.is_packed else configuration.pp


@lru_cache(maxsize=4096)
def _best_grouping(
    size: tuple[int, int],
    steps: tuple[int, int],
    taps: int,
    words: int,
    residual: bool,
    array: tuple[int, int],
) -> Grouping:
    pp, banks = array
    candidates = [
        Grouping(lanes=lanes, row_break=row_break, group_cycles=group_cycles(taps, lanes * words, residual))
        for lanes in range(1, pp + 1)
        for row_break in (False, True)
        if is_conflict_free(size, steps, lanes, row_break, banks)
    ]
    return min(candidates, key=lambda grouping: (grouping.cycles(*size), grouping.lanes, grouping.row_break))


def is_conflict_free(
    size: tuple[int, int], steps: tuple[int, int], lanes: int, row_break: bool, banks: int
) -> bool:
    """Whether no group of `lanes` pixels asks a bank twice.

    `size` is the output's (height, width); `steps` the banks to the pixel below and to the one beside.

    >>> is_conflict_free((32, 32), (32, 1), 6, False, 7), is_conflict_free((16, 16), (64, 2), 6, False, 7)
    (True, False)
    """
    height, width = size
    rows = min(height, banks // gcd(steps[0], banks) * lanes)  # the pattern repeats from there
    residues = (np.arange(rows)[:, None] * steps[0] + np.arange(width) * steps[1]) % banks
    if row_break:
        return not _collide(residues[0], lanes)  # the other rows are shifts of it
    return not _collide(residues.ravel(), lanes)


def _collide(residues: npt.NDArray[np.int64], lanes: int) -> bool:
    lane = np.arange(len(residues)) % lanes
    return any(
        bool(((residues[distance:] == residues[:-distance]) & (lane[:-distance] + distance < lanes)).any())
        for distance in range(1, min(lanes, len(residues)))
    )


def layer_cycles(layer: Layer, pitch: int, configuration: EngineConfiguration) -> int:
    """Cycles of the array for a whole layer over a source of `pitch`."""
    return passes(layer, configuration) * pass_over(layer, best_grouping(layer, pitch, configuration))
