"""Cycles of a program, in closed form over its descriptors.

The engine is followed descriptor by descriptor, not cycle by cycle: fetch into four slots, dispatch in order
into one pending latch a unit, start once the waits are met, duration from the fields. Read data come in the
order of the requests, so descriptors and loads queue for one channel. The constants are those of the
SystemVerilog modules named beside them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from bitlathe.hls.program import (
    DESCRIPTOR_BYTES,
    Descriptor,
    Encoding,
    Exec,
    LoadMove,
    LoadWeights,
    Move,
    Opcode,
    Program,
    StoreMove,
)
from bitlathe.hls.program.moves import BURST_BEATS
from bitlathe.hls.program.skipping import Sweep, skipping_groups
from bitlathe.hls.program.sparse import sparse_steps
from bitlathe.hls.target.config import EngineConfiguration, Target

Ddr = TypeVar("Ddr", bound="DdrModel")

SLOTS = 4  # descriptors read ahead (fetch.sv)
OUTSTANDING = 8  # read bursts in flight (axi_read.sv)
JOBS = 4  # loads whose data are still to come while the next one asks (load_unit.sv)
START = 1  # from start to the header's address on the bus
READ_DELAY = 1  # added to the memory's latency: queues on the way out and back
JUDGE = 2  # from the header's last beat to the next request
DISPATCH = 2  # cycles a descriptor takes at least (fetch.sv)
PENDING = 2  # from dispatch, or from the count that it waits for, to its unit (pending.sv)
SPLIT = 5  # from a load's start to its first request (burst_split.sv)
SPARSE_DRAIN = 9  # from a sparse load's last word to its last line, beyond what another load takes
TABLE_BYTES = 2  # a cycle, that a load writes into the tables (tables.sv)
BURST_CYCLES = 2  # of the splitter, for each burst
SEGMENT_CYCLES = 4  # of the splitter, for each segment
EXEC_DRAIN = 21  # stages from the sequencer to the scratchpad (compute.sv)
STORE_DRAIN = 7  # from a store's start to its first word on the bus, and from the last answer to its end
ROUNDS = 3  # of a prediction
FINISH = 4  # from END, all units idle, to done (run_control.sv)


@dataclass(frozen=True, slots=True, kw_only=True)
class DdrModel:
    """Memory as the simulated engine sees it."""

    busy: float = 0.75  # share of cycles that deliver a beat
    latency: int = 40  # cycles from an address to its first beat
    write_latency: int = 20  # cycles from a write burst's last beat to its response

    @classmethod
    def of(cls: type[Ddr], target: Target) -> Ddr:
        """Memory of a target, of the class that it is asked of."""
        return cls(busy=target.ddr_busy, latency=target.ddr_latency)

    def transfer(self, beats: int) -> float:
        """Cycles in which `beats` pass."""
        return beats / self.busy


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One descriptor's part of a run, in cycles since its start."""

    dispatched: int
    start: int
    end: int
    stall: int  # cycles its unit stood idle before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Cycles of a start, until done."""

    cycles: int
    timings: tuple[Timing, ...]  # of the last input, in order of the descriptors


class Unit(IntEnum):
    """The units that work on descriptors; none works on END."""

    LOAD = 0
    EXEC = 1
    STORE = 2


UNITS = {
    Opcode.LOAD: Unit.LOAD,
    Opcode.LOAD_WEIGHTS: Unit.LOAD,
    Opcode.EXEC: Unit.EXEC,
    Opcode.STORE: Unit.STORE,
}


def exec_passes(execute: Exec) -> int:
    """Times an EXEC goes over its output pixels."""
    return -(-execute.out_tiles // execute.sub_tiles)


def pass_cycles(runs: int, run: int, lanes: int, group_cycles: int) -> int:
    """Cycles of a pass over `runs` runs of `run` pixels, each cut into groups of up to `lanes`.

    A group lasts `group_cycles`, or a cycle a pixel to gather the next one where that is longer; the
    parameter line takes a cycle of its own unless the gathering hides it.

    >>> pass_cycles(1, 60, 6, 9), pass_cycles(1, 58, 6, 6)
    (91, 61)
    """
    full, rest = divmod(run, lanes)
    cycles = full * max(group_cycles, lanes) + (max(group_cycles, rest) if rest else 0)
    return runs * cycles + (group_cycles >= min(lanes, run))


def exec_cycles(one: Exec) -> int:
    """Cycles from an EXEC's start to its last word in the scratchpad."""
    lanes, runs, run = one.group_lanes, 1, one.out_h * one.out_w
    if one.row_break:
        runs, run = one.out_h, one.out_w
    a_pass = pass_cycles(runs, run, lanes, one.group_cycles)
    if one.skip_weights:
        a_pass -= one.skip_weights * int(skipping_groups(Sweep.of(one)).sum())
    taps = one.kernel_h * one.kernel_w * one.ci_tiles
    slow_residual = one.has_residual and not one.res_fast
    last_words = ((run - 1) % lanes + 1) * one.sub_tiles * (2 if slow_residual else 1)
    filling_and_draining = EXEC_DRAIN + min(lanes, run) + last_words - (one.group_cycles - taps)
    return filling_and_draining + exec_passes(one) * a_pass


def move_beats(move: Move | LoadWeights) -> int:
    """Beats that a LOAD, LOAD_WEIGHTS or STORE moves."""
    return move.beats if isinstance(move, LoadWeights) else move.segments * move.segment_words


def move_bursts(move: Move | LoadWeights) -> int:
    """Bursts of a move, if no segment crossed a page."""
    if isinstance(move, LoadWeights):
        return -(-move.beats // BURST_BEATS)
    return move.segments * -(-move.segment_words // BURST_BEATS)


def load_cycles(load: LoadMove | LoadWeights, ddr: DdrModel, engine: EngineConfiguration) -> float:
    """Cycles in which a load's data pass: bound by the memory's pace, or its latency if bursts are short."""
    bursts = move_bursts(load)
    latency_bound = bursts * (ddr.latency + READ_DELAY) / OUTSTANDING
    segments = 1 if isinstance(load, LoadWeights) else load.segments
    bounds = [ddr.transfer(move_beats(load)), segments * SEGMENT_CYCLES]
    if bursts > OUTSTANDING:
        bounds.append(latency_bound)
    if isinstance(load, LoadWeights) and load.encoding == Encoding.TABLE:
        bounds.append(load.beats * engine.word_bytes / TABLE_BYTES)
    if isinstance(load, LoadWeights) and load.encoding == Encoding.SPARSE:
        bounds.append(sparse_steps(load, engine.po, engine.pi))
    return max(bounds)


def store_cycles(store: StoreMove, ddr: DdrModel) -> float:
    """Cycles from a store's start to the last answer."""
    words = store.segment_words * store.segments
    first = min(store.segment_words, BURST_BEATS)
    split_bound = (store.segments - 1) * SEGMENT_CYCLES + 1
    return STORE_DRAIN + first + max(ddr.transfer(words), split_bound) + ddr.write_latency


def duration(descriptor: Descriptor, ddr: DdrModel, engine: EngineConfiguration) -> int:
    """Cycles of a descriptor whose unit was idle before."""
    if isinstance(descriptor, Exec):
        return exec_cycles(descriptor)
    if isinstance(descriptor, StoreMove):
        return round(store_cycles(descriptor, ddr))
    assert isinstance(descriptor, LoadMove | LoadWeights)
    return round(SPLIT + READ_DELAY + ddr.latency + load_cycles(descriptor, ddr, engine))


def predict(program: Program, ddr: DdrModel, weights_resident: bool = False, inputs: int = 1) -> Prediction:
    """Cycles of a start of `inputs`, timings of the last; with `weights_resident` no `once` load is done.

    How many descriptors are fetched amid each load's data follows from times that depend on it, so it is
    counted in one round for the next.
    """
    interruptions: list[int] = []
    for _ in range(ROUNDS):
        model = _Model(ddr, program, inputs, weights_resident, interruptions)
        for done in range(inputs):
            if done:
                model.next_input()
            for descriptor in program.descriptors[:-1]:
                model.add(descriptor)
        interruptions = model.channel.interruptions()
    return model.finish()


class _ReadChannel:
    """Descriptors and loads share it; their data come in the order of the requests."""

    def __init__(self, ddr: DdrModel, word_bytes: int, interruptions: Sequence[int]) -> None:
        self.ddr = ddr
        self.descriptor_cycles = ddr.transfer(DESCRIPTOR_BYTES // word_bytes)
        self.in_flight = ddr.transfer(OUTSTANDING * BURST_BEATS)
        self.delay = ddr.latency + READ_DELAY
        self.expected = interruptions  # descriptors that come amid each load
        self.free = 0.0  # when the last load has come
        self.fetch_free = 0.0  # when the last descriptor has come
        self.fetches: list[float] = []  # when descriptors were asked for
        self.fetched: list[float] = []  # when they had come
        self.windows: list[tuple[float, float]] = []  # of each load: a descriptor asked for within delays it
        self.last_asked = 0.0  # when the last burst of the last load was asked for

    def fetch(self, asked: float) -> float:
        """When a descriptor asked for at a time has come."""
        self.fetches.append(asked)
        begin = max(asked + self.delay, min(self.free, asked + self.in_flight), self.fetch_free)
        self.fetch_free = begin + self.descriptor_cycles
        self.fetched.append(self.fetch_free)
        return self.fetch_free

    def load(self, asked: float, cycles: float, bursts: int) -> float:
        """When the data of a load asked for at a time have come."""
        index = len(self.windows)
        expected = self.expected[index] if index < len(self.expected) else 0
        begin, since, room = self.free, self.last_asked, 0.0
        if asked + self.delay > begin:  # no load before it: the descriptors asked for so far come first
            begin = max(asked + self.delay, self.fetch_free)
            since = max(since, self.fetches[-1], asked - self.descriptor_cycles)
            room = self._room(asked, bursts)
        self.free = begin + cycles + expected * self.descriptor_cycles
        self.last_asked = max(asked + BURST_CYCLES * bursts, self.free - self.in_flight, room)
        self.windows.append((since, self.last_asked))
        return self.free

    def _room(self, asked: float, bursts: int) -> float:
        """When the descriptors in flight leave room for the last of a load's bursts."""
        here = bisect_right(self.fetched, asked)  # they come one after the other
        coming = len(self.fetched) - here
        too_many = min(coming + bursts - OUTSTANDING, coming)
        return self.fetched[here + too_many - 1] if too_many > 0 else 0.0

    def interruptions(self) -> list[int]:
        """Descriptors that were asked for amid each load."""
        fetches = sorted(self.fetches)
        return [bisect_right(fetches, last) - bisect_right(fetches, since) for since, last in self.windows]


class _Model:
    """The units' state while descriptors pass in order."""

    def __init__(
        self,
        ddr: DdrModel,
        program: Program,
        inputs: int,
        weights_resident: bool,
        interruptions: Sequence[int],
    ) -> None:
        self.ddr = ddr
        self.weights_resident = weights_resident
        self.engine = program.configuration
        self.channel = _ReadChannel(ddr, self.engine.word_bytes, interruptions)
        self.descriptors = inputs * len(program.descriptors)  # to read
        header = self.channel.fetch(START)
        self.arrivals = [self.channel.fetch(START + 1)]
        ahead = min(SLOTS, self.descriptors)
        self.arrivals += [self.channel.fetch(header + JUDGE + index) for index in range(ahead - 1)]
        self.dispatches: list[float] = []
        self.latch_free = [0.0, 0.0, 0.0]
        self.starts: list[tuple[Unit, float]] = []
        self.ends: tuple[list[float], ...] = ([], [], [])  # by unit
        self.bases = [0, 0, 0]  # descriptors of earlier inputs, by unit
        self.first = 0  # descriptor of this input

    def next_input(self) -> None:
        """Let END pass."""
        self._dispatch(0.0)
        self.weights_resident = True
        self.bases = [len(ends) for ends in self.ends]
        self.first = len(self.starts)

    def _dispatch(self, room: float) -> float:
        """When the next descriptor is handed on, at the earliest when there is `room`."""
        before = self.dispatches[-1] if self.dispatches else 0.0
        dispatched = max(self.arrivals[len(self.dispatches)], before, room) + DISPATCH
        self.dispatches.append(dispatched)
        if len(self.arrivals) < self.descriptors:
            self.arrivals.append(self.channel.fetch(dispatched))
        return dispatched

    def add(self, descriptor: Descriptor) -> None:
        """Let the next descriptor pass."""
        unit = UNITS[descriptor.opcode]
        dispatched = self._dispatch(self.latch_free[unit])
        counts = (base + wait for base, wait in zip(self.bases, descriptor.waits, strict=True))
        met = [ends[count - 1] for ends, count in zip(self.ends, counts, strict=True) if count > 0]
        ready = max(dispatched, *met, 0.0) + PENDING
        start = self._run(descriptor, ready)
        self.latch_free[unit] = start + 1
        self.starts.append((unit, start))

    def _run(self, descriptor: Descriptor, ready: float) -> float:
        """Start of a descriptor that is ready at a time; its end joins the others of its unit."""
        if isinstance(descriptor, LoadMove | LoadWeights):
            return self._load(descriptor, ready)
        ends = self.ends[UNITS[descriptor.opcode]]
        start = max(ready, ends[-1] + 1) if ends else ready
        if isinstance(descriptor, Exec):
            ends.append(start + exec_cycles(descriptor))
        elif isinstance(descriptor, StoreMove):
            ends.append(start + store_cycles(descriptor, self.ddr))
        return start

    def _load(self, load: LoadMove | LoadWeights, ready: float) -> float:
        ends = self.ends[Unit.LOAD]
        queue_room = ends[-JOBS - 1] if len(ends) > JOBS else 0.0
        start = max(ready, self.channel.last_asked, queue_room)
        if load.once and self.weights_resident:
            ends.append(max(start, ends[-1] + 1 if ends else 0.0))
            return start
        cycles = load_cycles(load, self.ddr, self.engine)
        is_sparse = isinstance(load, LoadWeights) and load.encoding == Encoding.SPARSE
        decoded = SPARSE_DRAIN if is_sparse else 0
        ends.append(self.channel.load(start + SPLIT, cycles, move_bursts(load)) + decoded)
        return start

    def finish(self) -> Prediction:
        """The whole run, END included."""
        idle = max((ends[-1] for ends in self.ends if ends), default=0.0)
        end = max(self.arrivals[len(self.dispatches)], self.dispatches[-1], idle) + DISPATCH
        counts = list(self.bases)
        last_end = [ends[base - 1] if base else 0.0 for ends, base in zip(self.ends, counts, strict=True)]
        timings = []
        own = self.starts[self.first :]
        for dispatched, (unit, start) in zip(self.dispatches[-len(own) :], own, strict=True):
            ended = self.ends[unit][counts[unit]]
            stall = max(0.0, start - last_end[unit])
            timings.append(
                Timing(dispatched=round(dispatched), start=round(start), end=round(ended), stall=round(stall))
            )
            counts[unit] += 1
            last_end[unit] = ended
        timings.append(Timing(dispatched=round(end), start=round(end), end=round(end), stall=0))
        return Prediction(cycles=round(end + FINISH), timings=tuple(timings))
