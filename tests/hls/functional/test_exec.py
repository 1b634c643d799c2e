"""An EXEC of the functional engine equals a walk over its pixels, taps and lanes, one after the other."""

from collections.abc import Iterator

import numpy as np
import pytest
from exec_programs import ExecProgram, random_program, random_words
from exec_walks import Place, origins, output_pixels, residual_pixels, taps

from bitlathe.hls.program import Exec
from bitlathe.hls.target.config import TABLE_CODES, EngineConfiguration

NARROW = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=1024)
PYNQ = EngineConfiguration(bank_lines=1024, weight_lines=1024)
DRAWS = {
    "any": {},
    "product": {"is_product": 1},
    "still": {"res_still": 1},
    "held": {"hold_weights": 1},
    "maximum": {"is_max": 1, "has_table": 1},
    "table": {"has_table": 1, "out_packed": 1},
}


class Walk:
    """A scratchpad that EXECs change, word by word."""

    def __init__(self, program: ExecProgram, words: np.ndarray) -> None:
        self.configuration = program.program.configuration
        pi, po = self.configuration.pi, self.configuration.po
        stored = np.frombuffer(program.weights, np.uint8)
        size = self.configuration.weight_lines * po * pi
        self.lines = stored[:size].reshape(-1, po, pi)
        self.tables = stored[size:].reshape(-1, TABLE_CODES)
        self.words = words.reshape(self.configuration.bank_lines, self.configuration.banks, pi).copy()

    def run(self, one: Exec, table: np.ndarray) -> None:
        banks = self.configuration.banks
        before = Walk.__new__(Walk)
        before.__dict__ = {**self.__dict__, "words": self.words.copy()}
        pixels = zip(origins(one, banks), output_pixels(one, banks), residual_pixels(one, banks), strict=True)
        for (y, x, origin), (_, _, place), (_, _, added) in pixels:
            windows = {}
            for tile in range(one.out_tiles):
                done, sub = divmod(tile, one.sub_tiles)
                if done not in windows:
                    windows[done] = list(before.window(one, done, y, x, origin))
                codes = [
                    code_of(one, *before.lane(one, windows[done], done, sub, tile, added, lane), table)
                    for lane in range(self.configuration.pi)
                ]
                self.write(one, tile, place, codes)

    def window(self, one: Exec, done: int, y: int, x: int, origin: Place) -> Iterator[np.ndarray]:
        """Codes of every tap and input tile, (pi,) each, packed ones (2 * pi,); of padding the least."""
        for ky, kx, (line, bank) in taps(one, self.configuration.banks):
            carry, at = divmod(origin[1] + bank, self.configuration.banks)
            for tile in range(one.ci_tiles):
                row = origin[0] + line + carry + done * one.in_tile_step + tile * one.in_plane
                if 0 <= y + ky < one.in_h and 0 <= x + kx < one.in_w:
                    yield unpacked(self.words[row, at], one.in_signed, one.in_packed)
                else:
                    pad = -128 if one.is_max and one.in_signed else 0
                    yield np.full(self.configuration.pi * (2 if one.in_packed else 1), pad, np.int64)

    def lane(
        self, one: Exec, window: list[np.ndarray], done: int, sub: int, tile: int, added: Place, lane: int
    ) -> tuple[int, int]:
        """A lane's accumulator and its shift."""
        column = sub * self.configuration.pi + lane
        first = one.weight_line
        if not (one.is_max or one.repeat_weights):
            first += done * (2 if one.hold_weights else 1 + len(window))
        parameters = self.lines[first, column].tobytes()
        bias = int.from_bytes(parameters[:4], "little", signed=True)
        residual = 0
        if one.has_residual:
            plane, half = divmod(tile, 2) if one.res_packed else (tile, 0)
            word = self.words[added[0] + plane * one.res_plane, added[1]]
            codes = unpacked(word, one.res_signed, one.res_packed)
            residual = int(codes[half * self.configuration.pi + lane])
        if one.is_max:
            value = max(int(codes[lane]) for codes in window)
        else:
            at = [first + 1 + (0 if one.hold_weights else tap) for tap in range(len(window))]
            weights = [unpacked(self.lines[line, column], True, one.in_packed) for line in at]
            value = sum(int(codes @ row) for codes, row in zip(window, weights, strict=True))
        if one.is_product:
            return value * residual + bias, parameters[4]
        return value + bias + (residual << parameters[5]), parameters[4]

    def write(self, one: Exec, tile: int, place: Place, codes: list[int]) -> None:
        plane, half = divmod(tile, 2) if one.out_packed else (tile, 0)
        word = self.words[place[0] + plane * one.out_plane, place[1]]
        for lane, code in enumerate(codes):
            if one.out_packed:
                kept = int(word[lane]) & (0xF0, 0x0F)[half]
                word[lane] = kept | (code & 15) << 4 * half
            else:
                word[lane] = code & 255


def unpacked(word: np.ndarray, is_signed: bool, is_packed: bool) -> np.ndarray:
    """Codes of a word; of a packed one those in the low halves of its bytes, then those in the high ones."""
    bits = 4 if is_packed else 8
    codes = np.concatenate([word % 16, word // 16] if is_packed else [word]).astype(np.int64)
    return codes - (codes >> (bits - 1) << bits) if is_signed else codes


def code_of(one: Exec, acc: int, shift: int, table: np.ndarray) -> int:
    """The code of an accumulator, through the table where there is one."""
    half = 1 << shift >> 1
    code = (acc + half) >> shift
    if one.half_even and shift and (acc + half) % (1 << shift) == 0:
        code -= code % 2
    code = min(max(code, one.lo), one.hi)
    return int(table[code % 256]) if one.has_table else code


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("configuration", [PYNQ, NARROW], ids=["one word a tile", "two words a tile"])
def test_execs_equal_a_walk(configuration: EngineConfiguration, draw: str, rng: np.random.Generator) -> None:
    program = random_program(rng, configuration, 4, **DRAWS[draw])
    words = random_words(rng, configuration)
    walk = Walk(program, words)
    for one, table in zip(program.execs, walk.tables, strict=False):
        walk.run(one, table)
    assert np.array_equal(walk.words.reshape(1, -1), program.expected(words))
