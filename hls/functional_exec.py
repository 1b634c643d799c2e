"""EXEC of the functional simulator: convolution, depthwise convolution and maximum over the scratchpad."""

import numpy as np
import numpy.typing as npt

from bitlathe.hls.checks import map_pitch, position
from bitlathe.hls.cycle_model import exec_passes
from bitlathe.hls.datapath import NARROW, WIDE
from bitlathe.hls.decode import Decoded
from bitlathe.hls.functional_memory import Bytes, Machine, Positions, strided
from bitlathe.model.graph.errors import FormatError, OverflowRisk
from bitlathe.model.graph.fixed_point import ACCUMULATOR_BITS, requantize

Int64s = npt.NDArray[np.int64]
BLOCK_VALUES = 1 << 21  # window values gathered at a time


def execute(machine: Machine, descriptor: Decoded) -> Bytes:
    """Run an EXEC; the words it wrote, (out_tiles, out_h, out_w, pi)."""
    exec_ = _Exec(machine, descriptor)
    exec_.check()
    return exec_.run()


class _Exec:
    """One EXEC; positions are line * banks + bank, so a pair's step is a sum."""

    def __init__(self, machine: Machine, descriptor: Decoded) -> None:
        self.machine = machine
        self.configuration = machine.configuration
        self.banks = machine.configuration.banks
        self.fields = descriptor.fields
        self.where = descriptor.where
        self.size = (self.fields["out_h"], self.fields["out_w"])
        self.pixels = self.size[0] * self.size[1]
        self.taps = self.fields["kernel_h"] * self.fields["kernel_w"]
        self.passes = exec_passes(self.fields)

    def check(self) -> None:
        """Raise FormatError for bank conflicts, which no engine notices."""
        for group in self._groups():
            if len(np.unique(group % self.banks)) != len(group):
                raise FormatError(
                    f"{self.where}: pixels at {group.tolist()} ask one of {self.banks} banks twice"
                )

    def _groups(self) -> list[Positions]:
        origins, lanes = self.origins(), self.fields["group_lanes"]
        rows = origins if self.fields["row_break"] else origins.reshape(1, -1)
        return [row[start : start + lanes] for row in rows for start in range(0, len(row), lanes)]

    def origins(self) -> Positions:
        """Positions of the windows' origins, (out_h, out_w)."""
        step = position(self.fields, "in_step", self.banks)
        row = position(self.fields, "in_row", self.banks) + (self.size[1] - 1) * step
        return strided(position(self.fields, "in", self.banks), (row, step), self.size)

    def run(self) -> Bytes:
        """Compute and write all output words."""
        codes = self._maxima() if self.fields["is_max"] else self._sums()
        words = codes.astype(np.uint8).reshape(*self.size, self.fields["out_tiles"], self.configuration.pi)
        words = words.transpose(2, 0, 1, 3)
        if self.fields["out_packed"]:
            for half in range(2):
                at = self._outputs("out")[half::2]
                self.machine.scratchpad.write_half(at, words[half::2], half, self.where)
        else:
            self.machine.scratchpad.write(self._outputs("out"), words, self.where)
        return words

    def _outputs(self, name: str) -> Positions:
        """Positions of output or residual words, (out_tiles, out_h, out_w); two share a packed plane."""
        row = position(self.fields, f"{name}_row", self.banks) + self.size[1] - 1
        plane = self.fields[f"{name}_plane"] * self.banks
        words = self.fields["out_tiles"]
        if not self.fields[f"{name}_packed"]:
            return strided(position(self.fields, name, self.banks), (plane, row, 1), (words, *self.size))
        return np.repeat(
            strided(position(self.fields, name, self.banks), (plane, row, 1), (-(-words // 2), *self.size)),
            2,
            axis=0,
        )[:words]

    def _windows(self, tile_pass: int, pad: int, pixels: slice) -> Int64s:
        """Input codes of some pixels' windows, (pixels, kernel_h, kernel_w, ci_tiles, pi; packed: 2 * pi)."""
        fields = self.fields
        steps = map_pitch(fields, self.banks), fields["tap_step"]
        taps = strided(0, steps, (fields["kernel_h"], fields["kernel_w"]))
        first = tile_pass * fields["in_tile_step"] * self.banks
        tiles = strided(first, (fields["in_plane"] * self.banks,), (fields["ci_tiles"],))
        at = self.origins().reshape(-1)[pixels, None, None, None] + taps[..., None] + tiles
        inside = np.broadcast_to(self._inside()[pixels, :, :, None], at.shape)
        words = self.machine.scratchpad.read(at[inside], self.where)
        codes = codes_of(words, bool(fields["in_signed"]), bool(fields["in_packed"]))
        values = np.full((*at.shape, codes.shape[-1]), pad, np.int64)
        values[inside] = codes
        return values

    def _inside(self) -> npt.NDArray[np.bool_]:
        """Whether each tap of each pixel lies on the map, (pixels, kernel_h, kernel_w)."""
        fields = self.fields
        y = strided(fields["start_y"], (fields["stride_h"], 1), (self.size[0], fields["kernel_h"]))
        x = strided(
            fields["start_x"], (fields["stride_w"], fields["tap_step"]), (self.size[1], fields["kernel_w"])
        )
        rows, columns = (y >= 0) & (y < fields["in_h"]), (x >= 0) & (x < fields["in_w"])
        both = rows[:, None, :, None] & columns[None, :, None, :]
        return both.reshape(self.pixels, fields["kernel_h"], fields["kernel_w"])

    def _blocks(self) -> list[slice]:
        values = self.taps * self.fields["ci_tiles"] * self.configuration.pi
        step = max(1, BLOCK_VALUES // values)
        return [slice(first, first + step) for first in range(0, self.pixels, step)]

    def _maxima(self) -> Int64s:
        """(pixels, out_tiles, pi); every pass reads the one parameter line, whose zeros change nothing."""
        self._parameters(0)
        pad = -128 if self.fields["in_signed"] else 0
        codes = np.empty((self.pixels, self.fields["out_tiles"], self.configuration.pi), np.int64)
        for tile in range(self.fields["out_tiles"]):
            for block in self._blocks():
                codes[block, tile] = self._windows(tile, pad, block).max(axis=(1, 2, 3))
        return np.clip(codes, self.fields["lo"], self.fields["hi"], out=codes)

    def _sums(self) -> Int64s:
        """(pixels, out_tiles, pi)."""
        fields, pi = self.fields, self.configuration.pi
        lanes = fields["sub_tiles"] * pi
        codes = np.empty((self.pixels, self.passes * lanes), np.int64)
        residual = self._residual()
        for done in range(self.passes):
            bias, shifts, residual_shifts = (values[:lanes] for values in self._parameters(done))
            taken = slice(done * lanes, (done + 1) * lanes)
            acc = self._products(done)[:, :lanes] + bias + (residual[:, taken] << residual_shifts)
            _check_accumulators(acc, self.where)
            codes[:, taken] = requantize(acc, shifts, fields["lo"], fields["hi"])
        return codes[:, : fields["out_tiles"] * pi].reshape(self.pixels, -1, pi)

    def _residual(self) -> Int64s:
        """Residual codes, (pixels, passes * lanes), zero where there is none."""
        lanes = self.passes * self.fields["sub_tiles"] * self.configuration.pi
        codes = np.zeros((self.pixels, lanes), np.int64)
        if self.fields["has_residual"]:
            words = self.machine.scratchpad.read(self._outputs("res"), self.where)
            values = codes_of(words, bool(self.fields["res_signed"]), bool(self.fields["res_packed"]))
            if self.fields["res_packed"]:
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
        repeats = self.fields["is_max"] or self.fields["repeat_weights"]
        stride = 0 if repeats else 1 + self.taps * self.fields["ci_tiles"]
        po = self.configuration.po
        line = self.fields["weight_line"] + done * stride + first
        return self.machine.weights.read(np.arange(line * po, (line + count) * po), self.where).reshape(
            count, po, self.configuration.pi
        )

    def _check_weights(self, weights: Int64s) -> None:
        """Raise FormatError for a weight that the multipliers have no room for."""
        limits = (NARROW if self.fields["in_packed"] else WIDE).weights
        if not limits.lo <= weights.min() <= weights.max() <= limits.hi:
            raise FormatError(
                f"{self.where}: weights of {weights.min()} to {weights.max()}, the array multiplies "
                f"{limits.lo} to {limits.hi}"
            )

    def _products(self, done: int) -> Int64s:
        """Sums of products of a pass, (pixels, po): in double precision, exact below 2**53."""
        lines = self._lines(done, 1, self.taps * self.fields["ci_tiles"])
        weights = codes_of(lines, True, bool(self.fields["in_packed"]))
        self._check_weights(weights)
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
