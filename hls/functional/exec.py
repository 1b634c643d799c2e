"""EXEC of the functional simulator: convolution, depthwise convolution and maximum over the scratchpad."""

import numpy as np
import numpy.typing as npt

from bitlathe.hls.checks import (
    MapWords,
    map_pitch,
    output_words,
    pass_lines,
    residual_words,
    source_position,
)
from bitlathe.hls.cycles.model import exec_passes
from bitlathe.hls.datapath import NARROW, WIDE
from bitlathe.hls.functional.memory import Machine, Positions, strided
from bitlathe.hls.program import Exec
from bitlathe.hls.target.config import TABLE_CODES
from bitlathe.model.graph.arrays import Bytes, Int64s
from bitlathe.model.graph.errors import FormatError, OverflowRisk
from bitlathe.model.graph.fixed_point import ACCUMULATOR_BITS, RoundingMode, requantize

BLOCK_VALUES = 1 << 21  # window values gathered at a time


def execute(machine: Machine, descriptor: Exec) -> Bytes:
    """Run an EXEC; the words it wrote, (out_tiles, out_h, out_w, pi)."""
    exec_ = _Exec(machine, descriptor)
    exec_.check()
    return exec_.run()


class _Exec:
    """One EXEC; positions are line * banks + bank, so a pair's step is a sum."""

    def __init__(self, machine: Machine, descriptor: Exec) -> None:
        self.machine = machine
        self.configuration = machine.configuration
        self.banks = machine.configuration.banks
        self.exec = descriptor
        self.where = descriptor.node
        self.size = (self.exec.out_h, self.exec.out_w)
        self.pixels = self.size[0] * self.size[1]
        self.taps = self.exec.kernel_h * self.exec.kernel_w
        self.passes = exec_passes(self.exec)

    def check(self) -> None:
        """Raise FormatError for bank conflicts, which no engine notices."""
        for group in self._groups():
            if len(np.unique(group % self.banks)) != len(group):
                raise FormatError(
                    f"{self.where}: pixels at {group.tolist()} ask one of {self.banks} banks twice"
                )

    def _groups(self) -> list[Positions]:
        origins, lanes = self.origins(), self.exec.group_lanes
        rows = origins if self.exec.row_break else origins.reshape(1, -1)
        return [row[start : start + lanes] for row in rows for start in range(0, len(row), lanes)]

    def origins(self) -> Positions:
        """Positions of the windows' origins, (out_h, out_w)."""
        one, banks = self.exec, self.banks
        rows, columns = one.strides
        return strided(source_position(one, banks), (rows * map_pitch(one, banks), columns), self.size)

    def run(self) -> Bytes:
        """Compute and write all output words."""
        codes = self._codes()
        words = codes.astype(np.uint8).reshape(*self.size, self.exec.out_tiles, self.configuration.pi)
        words = words.transpose(2, 0, 1, 3)
        at = self._tiles(output_words(self.exec, self.banks), self.exec.out_packed)
        if self.exec.out_packed:
            for half in range(2):
                self.machine.scratchpad.write_half(at[half::2], words[half::2], half, self.where)
        else:
            self.machine.scratchpad.write(at, words, self.where)
        return words

    def _tiles(self, words: MapWords, is_packed: bool) -> Positions:
        """Positions of output or residual words, (out_tiles, out_h, out_w); two share a packed plane."""
        steps = words.plane, words.pitch, words.step
        planes = strided(words.first, steps, (words.planes, *self.size))
        return np.repeat(planes, 2, axis=0)[: self.exec.out_tiles] if is_packed else planes

    def _windows(self, tile_pass: int, pad: int, pixels: slice) -> Int64s:
        """Input codes of some pixels' windows, (pixels, kernel_h, kernel_w, ci_tiles, pi; packed: 2 * pi)."""
        one = self.exec
        steps = one.tap_rows * map_pitch(one, self.banks), one.tap_step
        taps = strided(0, steps, (one.kernel_h, one.kernel_w))
        first = tile_pass * one.in_tile_step * self.banks
        tiles = strided(first, (one.in_plane * self.banks,), (one.ci_tiles,))
        at = self.origins().reshape(-1)[pixels, None, None, None] + taps[..., None] + tiles
        inside = np.broadcast_to(self._inside()[pixels, :, :, None], at.shape)
        words = self.machine.scratchpad.read(at[inside], self.where)
        codes = codes_of(words, one.in_signed, one.in_packed)
        values = np.full((*at.shape, codes.shape[-1]), pad, np.int64)
        values[inside] = codes
        return values

    def _inside(self) -> npt.NDArray[np.bool_]:
        """Whether each tap of each pixel is on the map, (pixels, kernel_h, kernel_w)."""
        one = self.exec
        y = strided(one.start_y, (one.strides[0], one.tap_rows), (self.size[0], one.kernel_h))
        x = strided(one.start_x, (one.strides[1], one.tap_step), (self.size[1], one.kernel_w))
        rows, columns = (y >= 0) & (y < one.in_h), (x >= 0) & (x < one.in_w)
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(self.pixels, one.kernel_h, one.kernel_w)

    def _blocks(self) -> list[slice]:
        values = self.taps * self.exec.ci_tiles * self.configuration.pi
        step = max(1, BLOCK_VALUES // values)
        return [slice(first, first + step) for first in range(0, self.pixels, step)]

    def _codes(self) -> Int64s:
        """(pixels, out_tiles, pi)."""
        one, pi = self.exec, self.configuration.pi
        lanes = one.sub_tiles * pi
        codes = np.empty((self.pixels, self.passes * lanes), np.int64)
        residual = self._residual()
        mode = RoundingMode.HALF_EVEN if one.half_even else RoundingMode.HALF_UP
        for done in range(self.passes):
            bias, shifts, residual_shifts = (values[:lanes] for values in self._parameters(done))
            taken = slice(done * lanes, (done + 1) * lanes)
            values = (self._maxima if one.is_max else self._products)(done)[:, :lanes]
            other = residual[:, taken]
            acc = bias + (values * other if one.is_product else values + (other << residual_shifts))
            _check_accumulators(acc, self.where)
            codes[:, taken] = requantize(acc, shifts, one.lo, one.hi, mode)
        return self._looked_up(codes[:, : one.out_tiles * pi]).reshape(self.pixels, -1, pi)

    def _looked_up(self, codes: Int64s) -> Int64s:
        """Codes, or what the table has for their bytes."""
        if not self.exec.has_table:
            return codes
        word, offset = np.divmod(self.exec.table * TABLE_CODES + codes % TABLE_CODES, self.configuration.pi)
        words = self.machine.tables.read(word, self.where)
        return np.take_along_axis(words, offset[..., None], axis=-1)[..., 0].astype(np.int64)

    def _maxima(self, done: int) -> Int64s:
        """Maxima of a pass, (pixels, po): those of its tile, then zeros."""
        pad = -128 if self.exec.in_signed else 0
        codes = np.zeros((self.pixels, self.configuration.po), np.int64)
        for block in self._blocks():
            codes[block, : self.configuration.pi] = self._windows(done, pad, block).max(axis=(1, 2, 3))
        return codes

    def _residual(self) -> Int64s:
        """Residual codes, (pixels, passes * lanes), zero where there is none."""
        lanes = self.passes * self.exec.sub_tiles * self.configuration.pi
        codes = np.zeros((self.pixels, lanes), np.int64)
        if self.exec.has_residual:
            at = self._tiles(residual_words(self.exec, self.banks), self.exec.res_packed)
            words = self.machine.scratchpad.read(at, self.where)
            values = codes_of(words, self.exec.res_signed, self.exec.res_packed)
            if self.exec.res_packed:
                low, high = np.split(values, 2, axis=-1)
                odd = np.arange(len(values))[:, None, None, None] % 2
                values = np.where(odd, high, low)
            flat = values.transpose(1, 2, 0, 3).reshape(self.pixels, -1)
            codes[:, : flat.shape[1]] = flat
        return codes

    def _parameters(self, done: int) -> tuple[Int64s, Int64s, Int64s]:
        """Bias, requantize shift and residual shift of a pass, each (po,)."""
        line = self._lines(done, 0, 1)[0]
        bias = np.ascontiguousarray(line[:, :4]).view("<i4").reshape(-1).astype(np.int64)
        return bias, line[:, 4].astype(np.int64), line[:, 5].astype(np.int64)

    def _lines(self, done: int, first: int, count: int) -> Bytes:
        """Lines of a pass, (count, po, pi)."""
        repeats = self.exec.is_max or self.exec.repeat_weights
        stride = 0 if repeats else pass_lines(self.exec)
        po = self.configuration.po
        line = self.exec.weight_line + done * stride + first
        return self.machine.weights.read(np.arange(line * po, (line + count) * po), self.where).reshape(
            count, po, self.configuration.pi
        )

    def _check_weights(self, weights: Int64s) -> None:
        """Raise FormatError for a weight that the multipliers have no room for."""
        limits = (NARROW if self.exec.in_packed else WIDE).weights
        if not limits.lo <= weights.min() <= weights.max() <= limits.hi:
            raise FormatError(
                f"{self.where}: weights of {weights.min()} to {weights.max()}, the array multiplies "
                f"{limits.lo} to {limits.hi}"
            )

    def _products(self, done: int) -> Int64s:
        """Sums of products of a pass, (pixels, po): in double precision, exact below 2**53."""
        lines = self._lines(done, 1, pass_lines(self.exec) - 1)
        weights = codes_of(lines, True, self.exec.in_packed)
        self._check_weights(weights)
        if self.exec.hold_weights:
            weights = np.repeat(weights, self.taps, axis=0)
        matrix = weights.transpose(0, 2, 1).reshape(-1, self.configuration.po).astype(np.float64)
        sums = [
            self._windows(done, 0, block).reshape(-1, len(matrix)).astype(np.float64) @ matrix
            for block in self._blocks()
        ]
        exact: Int64s = np.concatenate(sums).astype(np.int64)
        return exact


def codes_of(words: Bytes, is_signed: bool, is_packed: bool) -> Int64s:
    """Codes in words (..., pi); of packed ones (..., 2 * pi), the low halves of the bytes first.

    >>> codes_of(np.array([[0x8F]], np.uint8), True, True).tolist()
    [[-1, -8]]
    """
    if not is_packed:
        return (words.view(np.int8) if is_signed else words).astype(np.int64)
    halves = np.concatenate([words & 15, words >> 4], axis=-1).astype(np.int64)
    return np.where(halves > 7, halves - 16, halves) if is_signed else halves


def _check_accumulators(acc: Int64s, where: str) -> None:
    limit = 1 << (ACCUMULATOR_BITS - 1)
    if acc.size and not -limit <= acc.min() <= acc.max() < limit:
        raise OverflowRisk(
            f"{where}: an accumulator reaches {np.abs(acc).max()}, beyond {ACCUMULATOR_BITS} bits; "
            "check the graph first"
        )
