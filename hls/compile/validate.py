"""Independent check of a program: nothing can hang, and no two units touch the same words unordered.

It knows the descriptors only, not how they came about. The order that the waits enforce is kept as a clock a
descriptor: how many of each unit are complete when it starts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import UNITS, WAITS, exec_passes
from bitlathe.hls.decode import Decoded, Fields, decode_program
from bitlathe.hls.program import Opcode, Program, Space
from bitlathe.model.graph.errors import FormatError

Intervals = npt.NDArray[np.int64]  # (n, 2): first, end; sorted and apart
SCRATCHPAD, WEIGHT_STORE = "scratchpad", "weight store"


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
    touches = [tuple(_touches(descriptor, configuration)) for descriptor in descriptors]
    for descriptor, touched in zip(descriptors, touches, strict=True):
        _check_bounds(descriptor, touched, configuration)
        _check_itself(descriptor, touched)
    clocks = _clocks(descriptors)
    for first, second in _unordered_pairs(descriptors, clocks):
        if any(a.conflicts(b) for a in touches[first] for b in touches[second]):
            raise FormatError(
                f"{descriptors[first].where} and {descriptors[second].where} touch the same words and "
                "neither waits for the other; the schedule is wrong"
            )


def _clocks(descriptors: Sequence[Decoded]) -> list[tuple[int, ...]]:
    """Descriptors of each unit that are surely complete when each one starts."""
    queues: list[list[int]] = [[], [], []]
    clocks: list[tuple[int, ...]] = []
    for descriptor in descriptors:
        unit = UNITS[descriptor.opcode]
        counts = [descriptor.fields[name] for name in WAITS]
        counts[unit] = max(counts[unit], len(queues[unit]))
        if any(count > len(queue) for count, queue in zip(counts, queues, strict=True)):
            raise FormatError(
                f"{descriptor.where}: waits for a descriptor after it; in-order dispatch would hang"
            )
        last = [queue[count - 1] for count, queue in zip(counts, queues, strict=True) if count]
        clocks.append(tuple(np.max([counts, *(clocks[index] for index in last)], axis=0).tolist()))
        queues[unit].append(descriptor.index)
    return clocks


def _unordered_pairs(
    descriptors: Sequence[Decoded], clocks: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    """Pairs of different units, in order of the stream, of which neither surely ends before the other."""
    queues: list[list[int]] = [[], [], []]
    for descriptor in descriptors:
        own = UNITS[descriptor.opcode]
        for unit, queue in enumerate(queues):
            if unit != own:
                # None of the queue waits for this descriptor: it comes later in the stream.
                yield from ((index, descriptor.index) for index in queue[clocks[descriptor.index][unit] :])
        queues[own].append(descriptor.index)


def _touches(descriptor: Decoded, configuration: EngineConfiguration) -> Iterator[Touch]:
    fields = descriptor.fields
    if descriptor.opcode is Opcode.EXEC:
        yield from _exec_touches(fields, configuration)
    elif descriptor.opcode is Opcode.LOAD_WEIGHTS:
        beats_a_line = 1 if fields["diagonal"] else configuration.po
        lines = -(-fields["beats"] // beats_a_line)
        yield _touch(WEIGHT_STORE, True, [(fields["weight_line"], fields["weight_line"] + lines)])
    else:
        yield from _move_touches(descriptor, configuration)


def _move_touches(descriptor: Decoded, configuration: EngineConfiguration) -> Iterator[Touch]:
    fields, banks = descriptor.fields, configuration.banks
    rows, width = fields["segment_words"] // fields["row_words"], fields["row_words"]
    is_load = descriptor.opcode is Opcode.LOAD
    pitch = width - 1 + fields["row_line"] * banks + fields["row_bank"]
    first = fields["line"] * banks + fields["bank"]
    yield _touch(
        SCRATCHPAD,
        is_load,
        _tiles(first, fields["plane"] * banks, fields["segments"], (rows - 1) * pitch + width),
    )
    if fields["space"] in (Space.SCRATCH, Space.OUTPUT):
        offset, stride = (fields[name] // configuration.word_bytes for name in ("offset", "segment_stride"))
        space = Space(fields["space"]).name
        yield _touch(space, not is_load, _tiles(offset, stride, fields["segments"], fields["segment_words"]))


def _exec_touches(fields: Fields, configuration: EngineConfiguration) -> Iterator[Touch]:
    banks, passes = configuration.banks, exec_passes(fields)
    yield _touch(SCRATCHPAD, False, _source_intervals(fields, banks))
    yield _touch(SCRATCHPAD, True, _pixels(fields, "out", banks))
    if fields["has_residual"]:
        yield _touch(SCRATCHPAD, False, _pixels(fields, "res", banks))
    taps = fields["kernel_h"] * fields["kernel_w"] * fields["ci_tiles"]
    lines = 1 if fields["is_max"] else passes * (1 + taps)
    yield _touch(WEIGHT_STORE, False, [(fields["weight_line"], fields["weight_line"] + lines)])


def _position(fields: Fields, name: str, banks: int) -> int:
    return fields[f"{name}_line"] * banks + fields[f"{name}_bank"]


def _source_intervals(fields: Fields, banks: int) -> list[tuple[int, int]]:
    """Rows of the input that some window covers, in each tile of each pass."""
    pitch = _position(fields, "tap_row", banks) + fields["tap_step"] * (fields["kernel_w"] - 1)
    last = fields["start_y"] + (fields["out_h"] - 1) * fields["stride_h"] + fields["kernel_h"]
    top, end = max(fields["start_y"], 0), min(last, fields["in_h"])
    if top >= end:
        return []
    first = _position(fields, "in", banks) + (top - fields["start_y"]) * pitch - fields["start_x"]
    length = (end - top - 1) * pitch + fields["in_w"]
    steps = range(exec_passes(fields) if fields["in_tile_step"] else 1)
    return [
        interval
        for step in steps
        for interval in _tiles(
            first + step * fields["in_tile_step"] * banks,
            fields["in_plane"] * banks,
            fields["ci_tiles"],
            length,
        )
    ]


def _pixels(fields: Fields, name: str, banks: int) -> list[tuple[int, int]]:
    pitch = _position(fields, f"{name}_row", banks) + fields["out_w"] - 1
    length = (fields["out_h"] - 1) * pitch + fields["out_w"]
    planes = -(-fields["out_tiles"] // 2) if fields[f"{name}_packed"] else fields["out_tiles"]
    return _tiles(_position(fields, name, banks), fields[f"{name}_plane"] * banks, planes, length)


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
    descriptor: Decoded, touched: tuple[Touch, ...], configuration: EngineConfiguration
) -> None:
    sizes: dict[str, Any] = {
        SCRATCHPAD: configuration.bank_lines * configuration.banks,
        WEIGHT_STORE: configuration.weight_lines,
    }
    for touch in touched:
        size = sizes.get(touch.memory)
        if (
            size is not None
            and len(touch.intervals)
            and not 0 <= touch.intervals.min() <= touch.intervals.max() <= size
        ):
            raise FormatError(
                f"{descriptor.where}: reaches beyond the {touch.memory} of {size}; the allocation is wrong"
            )


def _check_itself(descriptor: Decoded, touched: tuple[Touch, ...]) -> None:
    written = [touch for touch in touched if touch.is_write]
    if any(a.conflicts(b) for a in written for b in touched if a is not b):
        raise FormatError(f"{descriptor.where}: writes words that it reads; the allocation is wrong")
