"""Cycles of a program, in closed form over its descriptors.

The engine's order is modelled descriptor by descriptor: fetch, dispatch in order into one pending latch a unit, start
when the waits are met, duration from the fields. The constants are measured on the simulated RTL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil

from bitlathe.hls.config import EngineConfiguration, Target
from bitlathe.hls.program import DESCRIPTOR_BYTES, Descriptor, Opcode, Program

Fields = Mapping[str, int]

START_CYCLES = 4  # from start to the header's first address
DISPATCH_CYCLES = 2  # from the descriptor's last beat, or the latch's release, to the unit
EXEC_OVERHEAD = 30  # filling and draining the pipeline
MOVE_OVERHEAD = 4  # from a move's start to its first address


@dataclass(frozen=True, slots=True, kw_only=True)
class DdrModel:
    """Memory as the simulated engine sees it."""

    busy: float = 0.75  # share of cycles that deliver a beat
    latency: int = 40  # cycles from an address to its first beat

    @classmethod
    def of(cls, target: Target) -> "DdrModel":
        """Memory of a target."""
        return cls(busy=target.ddr_busy, latency=target.ddr_latency)

    def transfer(self, beats: int) -> int:
        """Cycles in which `beats` arrive."""
        return ceil(beats / self.busy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One descriptor's part of a run, in cycles since its start."""

    dispatched: int
    start: int
    end: int
    stall: int  # cycles its unit stood idle before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Cycles of one input, from start to done."""

    cycles: int
    timings: tuple[Timing, ...]  # in order of the descriptors


class Unit(IntEnum):
    """What works on a descriptor; END has none."""

    LOAD = 0
    EXEC = 1
    STORE = 2


UNITS = {
    Opcode.LOAD: Unit.LOAD,
    Opcode.LOAD_WEIGHTS: Unit.LOAD,
    Opcode.EXEC: Unit.EXEC,
    Opcode.STORE: Unit.STORE,
}
WAITS = ("wait_load", "wait_exec", "wait_store")  # by unit


def exec_passes(fields: Fields) -> int:
    """Times an EXEC goes over its output pixels."""
    return -(-fields["out_tiles"] // fields["sub_tiles"])


def exec_groups(fields: Fields) -> int:
    """Pixel groups of a pass."""
    if fields.get("row_break", 0):
        return fields["out_h"] * -(-fields["out_w"] // fields["group_lanes"])
    return -(-fields["out_h"] * fields["out_w"] // fields["group_lanes"])


def exec_cycles(fields: Fields) -> int:
    """Cycles from an EXEC's start to its last word in the scratchpad."""
    return EXEC_OVERHEAD + exec_passes(fields) * (1 + exec_groups(fields) * fields["group_cycles"])


def move_beats(opcode: Opcode, fields: Fields) -> int:
    """Beats that a LOAD, LOAD_WEIGHTS or STORE moves."""
    if opcode is Opcode.LOAD_WEIGHTS:
        return fields["beats"]
    return fields["segments"] * fields["segment_words"]


def duration(opcode: Opcode, fields: Fields, ddr: DdrModel) -> int:
    """Cycles of a descriptor whose unit was idle before."""
    if opcode is Opcode.EXEC:
        return exec_cycles(fields)
    return MOVE_OVERHEAD + ddr.latency + ddr.transfer(move_beats(opcode, fields))


def predict(program: Program, ddr: DdrModel, weights_resident: bool = False) -> Prediction:
    """Cycles of one input; with `weights_resident` the `once` loads are skipped."""
    model = _Model(ddr=ddr, configuration=program.configuration, weights_resident=weights_resident)
    timings = [model.run(index, descriptor) for index, descriptor in enumerate(program.descriptors)]
    return Prediction(cycles=timings[-1].end, timings=tuple(timings))


class _Model:
    """The units' state while descriptors pass in order."""

    def __init__(self, ddr: DdrModel, configuration: EngineConfiguration, weights_resident: bool) -> None:
        self.ddr = ddr
        self.weights_resident = weights_resident
        self.beats_per_descriptor = DESCRIPTOR_BYTES // configuration.word_bytes
        self.ends: list[list[int]] = [[], [], []]
        self.last_start = [0, 0, 0]
        self.last_dispatch = 0
        self.data_free = 0  # when the read channel has delivered all it was asked for

    def run(self, index: int, descriptor: Descriptor) -> Timing:
        """Timing of the next descriptor."""
        fetched = START_CYCLES + self.ddr.latency + self.ddr.transfer((index + 2) * self.beats_per_descriptor)
        if descriptor.opcode is Opcode.END:
            end = max(fetched, self.last_dispatch, *(ends[-1] for ends in self.ends if ends))
            return Timing(dispatched=end, start=end, end=end, stall=0)
        unit = UNITS[descriptor.opcode]
        dispatched = max(fetched, self.last_dispatch, self.last_start[unit]) + DISPATCH_CYCLES
        free = self.ends[unit][-1] if self.ends[unit] else 0
        start = max(dispatched, free, *self._waits(descriptor.fields))
        end = self._end(descriptor, start, dispatched)
        self.last_dispatch, self.last_start[unit] = dispatched, start
        self.ends[unit].append(end)
        return Timing(dispatched=dispatched, start=start, end=end, stall=start - free)

    def _waits(self, fields: Fields) -> Sequence[int]:
        counts = [fields.get(name, 0) for name in WAITS]
        return [ends[count - 1] if count else 0 for ends, count in zip(self.ends, counts, strict=True)]

    def _end(self, descriptor: Descriptor, start: int, dispatched: int) -> int:
        if descriptor.opcode is Opcode.EXEC:
            return start + exec_cycles(descriptor.fields)
        beats = move_beats(descriptor.opcode, descriptor.fields)
        if descriptor.opcode is Opcode.STORE:
            return start + duration(descriptor.opcode, descriptor.fields, self.ddr)
        if descriptor.fields.get("once", 0) and self.weights_resident:
            return start
        # The address goes out while the load before still receives, if this one was ready by then.
        asked = (
            max(dispatched, *self._waits(descriptor.fields), self.data_free - self.ddr.latency)
            + MOVE_OVERHEAD
        )
        self.data_free = max(asked + self.ddr.latency, self.data_free) + self.ddr.transfer(beats)
        return self.data_free
