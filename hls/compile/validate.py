"""Independent check of a program: nothing can hang, and no two units touch the same words unordered.

It knows the descriptors only, not how they came about. The order that the waits enforce is kept as a clock a
descriptor: how many of each unit are complete when it starts. Two inputs are looked at: every further one
makes the accesses of the one before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.hls.checks import (
    MapWords,
    check,
    map_pitch,
    output_words,
    residual_words,
    rows_reached,
    source_position,
    weight_reach,
)
from bitlathe.hls.cycles.model import UNITS, exec_passes
from bitlathe.hls.program import (
    Descriptor,
    Encoding,
    Exec,
    LoadMove,
    LoadWeights,
    Move,
    Program,
    Space,
    StoreMove,
)
from bitlathe.hls.program.decode import decode_program
from bitlathe.hls.program.moves import lines_loaded
from bitlathe.hls.target.config import (
    CODEWORD_BYTES,
    CODEWORDS,
    TABLE_CODES,
    TABLES,
    EngineConfiguration,
)
from bitlathe.model.graph.errors import FormatError

INPUTS = 2  # looked at
Intervals = npt.NDArray[np.int64]  # (n, 2): first, end; sorted and apart
SCRATCHPAD, WEIGHT_STORE, CODEBOOK, TABLE_MEMORY = "scratchpad", "weight store", "codebook", "tables"
_LOADED = {
    Encoding.CODEBOOK: CODEBOOK,
    Encoding.TABLE: TABLE_MEMORY,
}  # by a LOAD_WEIGHTS; else the weight store


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Touch:
    """Words of one memory that a descriptor reads or writes."""

    memory: str
    intervals: Intervals
    is_write: bool

    def conflicts(self, other: "Touch") -> bool:
        """Whether the order of the two matters."""
        if self.memory != other.memory or not (self.is_write or other.is_write):
            return False
        return _meet(self.intervals, other.intervals)


def validate(program: Program) -> None:
    """Raise FormatError naming the descriptors when a program could hang or its result depend on timing."""
    configuration = program.configuration
    descriptors = decode_program(program.encode(), configuration).descriptors[:-1]
    for descriptor in descriptors:
        check(descriptor, configuration)
    touches = [tuple(_touches(descriptor, configuration)) for descriptor in descriptors]
    for descriptor, touched in zip(descriptors, touches, strict=True):
        _check_bounds(descriptor, touched, configuration)
        _check_itself(descriptor, touched)
    steps = _steps(descriptors)
    clocks = _clocks(steps)
    for first, second in _unordered_pairs(steps, clocks):
        a, b = steps[first], steps[second]
        if _conflict(a, b, touches):
            raise FormatError(
                f"{a.where} and {b.where} touch the same words and neither waits for the other; "
                "the schedule is wrong"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A descriptor of an input."""

    number: int  # of the input
    index: int  # of the descriptor
    descriptor: Descriptor
    is_skipped: bool

    @property
    def where(self) -> str:
        return self.descriptor.node + (" of the next input" if self.number else "")


def _steps(descriptors: Sequence[Descriptor]) -> list[_Step]:
    return [
        _Step(number=number, index=index, descriptor=one, is_skipped=bool(number and one.once))
        for number in range(INPUTS)
        for index, one in enumerate(descriptors)
    ]


def _clocks(steps: Sequence[_Step]) -> list[tuple[int, ...]]:
    """Descriptors of each unit that are surely complete when each one starts."""
    queues: list[list[int]] = [[], [], []]
    clocks: list[tuple[int, ...]] = []
    bases = [0, 0, 0]
    for index, step in enumerate(steps):
        unit = UNITS[step.descriptor.opcode]
        if step.number and not steps[index - 1].number:
            bases = [len(queue) for queue in queues]
        counts = [
            0 if step.is_skipped else max(base + wait, 0)
            for base, wait in zip(bases, step.descriptor.waits, strict=True)
        ]
        counts[unit] = max(counts[unit], len(queues[unit]))
        if any(count > len(queue) for count, queue in zip(counts, queues, strict=True)):
            raise FormatError(f"{step.where}: waits for a descriptor after it; in-order dispatch would hang")
        last = [queue[count - 1] for count, queue in zip(counts, queues, strict=True) if count]
        clocks.append(tuple(np.max([counts, *(clocks[each] for each in last)], axis=0).tolist()))
        queues[unit].append(index)
    return clocks


def _unordered_pairs(steps: Sequence[_Step], clocks: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Pairs of different units, in order of the stream, of which neither surely ends before the other.

    Pairs within the second input are left out, as the same pairs of the first input cover them.
    """
    queues: list[list[int]] = [[], [], []]
    for index, step in enumerate(steps):
        own = UNITS[step.descriptor.opcode]
        for unit, queue in enumerate(queues):
            if unit != own and not step.is_skipped:
                # None of the queue waits for this descriptor: it comes later in the stream.
                yield from ((each, index) for each in queue[clocks[index][unit] :])
        if not step.number:
            queues[own].append(index)


def _conflict(first: _Step, second: _Step, touches: Sequence[tuple[Touch, ...]]) -> bool:
    """Whether the order of two steps matters; every input has an output of its own."""
    return any(
        a.conflicts(b)
        for a in touches[first.index]
        for b in touches[second.index]
        if first.number == second.number or a.memory != Space.OUTPUT.name
    )


def _touches(descriptor: Descriptor, configuration: EngineConfiguration) -> Iterator[Touch]:
    if isinstance(descriptor, Exec):
        yield from _exec_touches(descriptor, configuration)
    elif isinstance(descriptor, LoadWeights):
        store = _LOADED.get(Encoding(descriptor.encoding), WEIGHT_STORE)
        first = descriptor.weight_line
        yield _touch(store, True, [(first, first + lines_loaded(descriptor, configuration.po))])
    elif isinstance(descriptor, LoadMove | StoreMove):
        yield from _move_touches(descriptor, configuration)


def _move_touches(move: Move, configuration: EngineConfiguration) -> Iterator[Touch]:
    banks, word = configuration.banks, configuration.word_bytes
    rows, width = move.segment_words // move.row_words, move.row_words
    is_load = isinstance(move, LoadMove)
    pitch = width - 1 + move.row_line * banks + move.row_bank
    first, length = move.line * banks + move.bank, (rows - 1) * pitch + width
    yield _touch(SCRATCHPAD, is_load, _tiles(first, move.plane * banks, move.segments, length))
    if move.space in (Space.SCRATCH, Space.OUTPUT):
        tiles = _tiles(move.offset // word, move.segment_stride // word, move.segments, move.segment_words)
        yield _touch(Space(move.space).name, not is_load, tiles)


def _exec_touches(execute: Exec, configuration: EngineConfiguration) -> Iterator[Touch]:
    banks = configuration.banks
    yield _touch(SCRATCHPAD, False, _source_intervals(execute, banks))
    yield _touch(SCRATCHPAD, True, _map_intervals(output_words(execute, banks)))
    if execute.has_residual:
        yield _touch(SCRATCHPAD, False, _map_intervals(residual_words(execute, banks)))
    lines = weight_reach(execute)
    yield _touch(WEIGHT_STORE, False, [(lines.start, lines.stop)])
    if execute.has_table:
        first, end = (
            each * TABLE_CODES // configuration.word_bytes for each in (execute.table, execute.table + 1)
        )
        yield _touch(TABLE_MEMORY, False, [(first, end)])


def _source_intervals(one: Exec, banks: int) -> list[tuple[int, int]]:
    """Rows of the input that some window covers, in each tile of each pass."""
    pitch = map_pitch(one, banks)
    top, end = max(one.start_y, 0), min(one.start_y + rows_reached(one) + 1, one.in_h)
    if top >= end:
        return []
    first = source_position(one, banks) + (top - one.start_y) * pitch - one.start_x
    length = (end - top - 1) * pitch + one.in_w
    return [
        interval
        for step in range(exec_passes(one) if one.in_tile_step else 1)
        for interval in _tiles(
            first + step * one.in_tile_step * banks, one.in_plane * banks, one.ci_tiles, length
        )
    ]


def _map_intervals(words: MapWords) -> list[tuple[int, int]]:
    return _tiles(words.first, words.plane, words.planes, words.plane_reach)


def _tiles(first: int, step: int, count: int, length: int) -> list[tuple[int, int]]:
    return [(first + index * step, first + index * step + length) for index in range(count)]


def _touch(memory: str, is_write: bool, intervals: list[tuple[int, int]]) -> Touch:
    merged: list[tuple[int, int]] = []
    for first, end in sorted(intervals):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((first, end))
    return Touch(memory=memory, is_write=is_write, intervals=np.array(merged, np.int64).reshape(-1, 2))


def _meet(a: Intervals, b: Intervals) -> bool:
    """Whether an interval of `a` overlaps one of `b`; both are sorted, so their firsts and their ends are."""
    ends_before = np.searchsorted(
        b[:, 1], a[:, 0], side="right"
    )  # intervals of b that end at or before each of a
    starts_before = np.searchsorted(
        b[:, 0], a[:, 1], side="left"
    )  # intervals of b that start before each of a ends
    return bool((starts_before > ends_before).any())


def _check_bounds(
    descriptor: Descriptor, touched: tuple[Touch, ...], configuration: EngineConfiguration
) -> None:
    sizes: dict[str, Any] = {
        SCRATCHPAD: configuration.bank_lines * configuration.banks,
        WEIGHT_STORE: configuration.weight_lines,
        CODEBOOK: CODEWORDS * CODEWORD_BYTES // configuration.word_bytes,
        TABLE_MEMORY: TABLES * TABLE_CODES // configuration.word_bytes,
    }
    for touch in touched:
        size = sizes.get(touch.memory)
        if (
            size is not None
            and len(touch.intervals)
            and not 0 <= touch.intervals.min() <= touch.intervals.max() <= size
        ):
            raise FormatError(
                f"{descriptor.node}: reaches beyond the {touch.memory} of {size}; the allocation is wrong"
            )


def _check_itself(descriptor: Descriptor, touched: tuple[Touch, ...]) -> None:
    written = [touch for touch in touched if touch.is_write]
    if any(a.conflicts(b) for a in written for b in touched if a is not b):
        raise FormatError(f"{descriptor.node}: writes words that it reads; the allocation is wrong")
