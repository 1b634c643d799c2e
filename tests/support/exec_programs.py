"""Programs of random EXECs over a scratchpad and a weight store that are filled before.

The whole scratchpad goes out at the end, so a word that is written wrongly, or in a wrong place, shows. The
table of an EXEC is loaded while those before it run, as soon as none of them needs what it replaces.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from placed_execs import placed_exec

from bitlathe.hls.checks import pass_lines, weight_reach
from bitlathe.hls.functional.run import FunctionalEngine
from bitlathe.hls.program import (
    Descriptor,
    Encoding,
    End,
    Exec,
    LoadMove,
    LoadWeights,
    Program,
    Space,
    StoreMove,
)
from bitlathe.hls.target.config import TABLE_CODES, EngineConfiguration
from bitlathe.model.graph.arrays import Bytes


class _Bytes:
    """A layout that leaves bytes as they are."""

    def pack(self, codes: Bytes, /) -> Bytes:
        return codes

    def unpack(self, data: Bytes, /) -> Bytes:
        return data


AS_THEY_ARE = _Bytes()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExecProgram:
    """Loads, EXECs and a store, as every engine takes them."""

    execs: tuple[Exec, ...]
    program: Program
    weights: bytes  # every line of the weight store, then a table for each EXEC
    input_layout: _Bytes = AS_THEY_ARE
    output_layouts: tuple[_Bytes, ...] = (AS_THEY_ARE,)
    scratch_bytes: int = 0

    def places(self) -> list[int]:
        """Of the EXECs among the descriptors."""
        return [place for place, one in enumerate(self.program.descriptors) if isinstance(one, Exec)]

    def expected(self, words: Bytes, rng: np.random.Generator | None = None) -> Bytes:
        """What the functional engine leaves in a scratchpad that held `words`, both (1, bytes)."""
        engine = FunctionalEngine(
            configuration=self.program.configuration, program=self.program.encode(), weights=self.weights
        )
        return engine.run(words, rng)

    def cut(self, count: int) -> "ExecProgram":
        """The same with the first `count` EXECs alone."""
        return exec_program(self.execs[:count], self.weights, self.program.configuration)


def random_words(rng: np.random.Generator, configuration: EngineConfiguration) -> Bytes:
    """A scratchpad's bytes, (1, bytes)."""
    return rng.integers(0, 256, (1, _scratchpad_words(configuration) * configuration.pi)).astype(np.uint8)


def random_program(
    rng: np.random.Generator,
    configuration: EngineConfiguration,
    count: int,
    *,
    weight: int | None = None,
    **fields: int,
) -> ExecProgram:
    """Up to `count` random EXECs, as many as the weight store has lines for; each has these `fields`.

    Every weight is `weight` if that is given.
    """
    lines = np.zeros((configuration.weight_lines, configuration.po, configuration.pi), np.uint8)
    tables = rng.integers(0, 256, count * TABLE_CODES).astype(np.uint8).tobytes()
    execs: list[Exec] = []
    at = 0
    while len(execs) < count:
        one = replace(placed_exec(rng, configuration, **fields), weight_line=at)
        at = weight_reach(one).stop
        if at > len(lines):
            break
        lines[one.weight_line : at] = _random_lines(rng, one, configuration, weight)
        execs.append(one)
    return exec_program(tuple(execs), lines.tobytes() + tables, configuration)


def exec_program(execs: tuple[Exec, ...], weights: bytes, configuration: EngineConfiguration) -> ExecProgram:
    """The program of EXECs whose weights and tables are in `weights`."""
    size = _scratchpad_words(configuration) * configuration.pi
    program = Program(
        descriptors=tuple(_descriptors(execs, configuration)),
        configuration=configuration,
        input_stride=size,
        output_stride=size,
    )
    return ExecProgram(execs=execs, program=program, weights=weights)


def _scratchpad_words(configuration: EngineConfiguration) -> int:
    return configuration.bank_lines * configuration.banks


def _descriptors(execs: tuple[Exec, ...], configuration: EngineConfiguration) -> Iterator[Descriptor]:
    words, pi = _scratchpad_words(configuration), configuration.pi
    whole = {"segment_words": words, "segments": 1, "row_words": words}
    columns = configuration.weight_lines * configuration.po
    yield LoadMove(space=Space.INPUT, **whole)
    yield LoadWeights(space=Space.WEIGHTS, encoding=Encoding.COLUMNS, beats=columns)
    loads, users = 2, [0] * 8  # EXECs up to the last one that uses a table
    for index, one in enumerate(execs):
        if one.has_table:
            yield LoadWeights(
                space=Space.WEIGHTS,
                encoding=Encoding.TABLE,
                offset=columns * pi + index * TABLE_CODES,
                beats=TABLE_CODES // pi,
                weight_line=one.table * TABLE_CODES // pi,
                wait_exec=users[one.table],
            )
            loads += 1
            users[one.table] = index + 1
        yield replace(one, wait_load=loads)
    yield StoreMove(space=Space.OUTPUT, wait_exec=len(execs), wait_load=loads, **whole)
    yield End()


def _random_lines(
    rng: np.random.Generator, one: Exec, configuration: EngineConfiguration, weight: int | None
) -> Bytes:
    """Parameters and weights of every pass; sums stay within 32 bits."""
    passes = len(weight_reach(one)) // pass_lines(one)
    shape = (passes, pass_lines(one), configuration.po, configuration.pi)
    drawn = rng.integers(-127, 128, shape) if weight is None else np.full(shape, weight)
    lines = drawn.astype(np.int8).view(np.uint8)
    lines[:, 0] = 0
    if one.is_max and not one.is_product:
        return lines.reshape(-1, *shape[2:])
    shifts = rng.integers(0, 16, (passes, configuration.po))
    extreme = rng.random(shifts.shape) < 0.1
    shifts[extreme] = rng.choice([0, 24, 31], int(extreme.sum()))
    biases = rng.integers(-200, 201, shifts.shape) << np.minimum(shifts, 20)
    lines[:, 0, :, :4] = biases.astype("<i4").view(np.uint8).reshape(*shifts.shape, 4)
    lines[:, 0, :, 4] = shifts
    lines[:, 0, :, 5] = np.minimum(rng.integers(0, 19, shifts.shape), shifts + 2)
    return lines.reshape(-1, *shape[2:])
