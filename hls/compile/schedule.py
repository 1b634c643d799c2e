"""Order and waits of the steps.

EXECs and STOREs keep their order. LOADs are reordered by simulating the three units: whenever the load unit
is free it takes, of the loads whose destination is free, the one that is needed first. Each unit then has its
sequence, waits follow from the dependencies, and the stream lists the steps in the order in which their units
could take them; so in-order dispatch never holds one back, and a step only ever waits for steps before it: no
deadlock.

The next input's steps follow without a barrier. What they must wait for in this input is found where the
steps are laid out twice. Every input makes the same accesses, so nothing else of earlier ones can matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from bitlathe.hls.compile.descriptors import descriptor_of
from bitlathe.hls.compile.memory import Block, Buffer
from bitlathe.hls.compile.steps import AnyStep
from bitlathe.hls.compile.units import NEVER, UnitTask, simulated_starts
from bitlathe.hls.cycles.model import UNITS, DdrModel, Unit, duration
from bitlathe.hls.program import NO_WAIT, Descriptor, End, Opcode
from bitlathe.hls.target.config import EngineConfiguration

BlockAccess = tuple[int, Block]  # step, what it touched


def dependencies(steps: Sequence[AnyStep]) -> tuple[frozenset[int], ...]:
    """Indices of the earlier steps that each step must follow, for steps in a legal sequential order.

    An earlier step may be left out where another one that must be followed follows it.
    """
    accesses = _Accesses()
    return tuple(frozenset(accesses.add(index, step)) for index, step in enumerate(steps))


@dataclass(slots=True, kw_only=True, eq=False)
class _Held:
    """A buffer and the accesses to it that can still matter."""

    buffer: Buffer
    reads: list[BlockAccess] = field(default_factory=list)
    writes: list[BlockAccess] = field(default_factory=list)
    neighbours: list["_Held"] = field(default_factory=list)  # that share memory with it, itself included


class _Accesses:
    """The accesses so far that can still matter."""

    def __init__(self) -> None:
        self.held: dict[Buffer, _Held] = {}
        self.execs: set[int] = set()

    def add(self, index: int, step: AnyStep) -> set[int]:
        """Steps that `step` must follow; it becomes one of the accesses."""
        needed: set[int] = set()
        reads = [(self._held(block.buffer), block) for block in step.reads]
        writes = [(self._held(block.buffer), block) for block in step.writes]
        for held, block in reads:
            _add_conflicts(needed, held, block, False)
        for held, block in writes:
            _add_conflicts(needed, held, block, True)
        for held, block in writes:
            self._forget_inside(held, block)
            held.writes.append((index, block))
        for held, block in reads:
            self._read(held, index, block, step.opcode)
        if step.opcode is Opcode.EXEC:
            self.execs.add(index)
        earlier = needed & self.execs  # they end in order
        return needed - earlier | {max(earlier)} if earlier else needed

    def _read(self, held: _Held, index: int, block: Block, opcode: Opcode) -> None:
        """Add a read; EXECs end in order, so one stands for earlier ones that read no more than it does."""
        if opcode is Opcode.EXEC:
            held.reads[:] = [
                access for access in held.reads if access[0] not in self.execs or not block.covers(access[1])
            ]
        held.reads.append((index, block))

    def _forget_inside(self, held: _Held, block: Block) -> None:
        """Drop accesses that a write covers: whatever conflicts with them conflicts with the write."""
        for accesses in (held.reads, held.writes):
            accesses[:] = [access for access in accesses if not block.covers(access[1])]
        if block.is_whole:
            for other in tuple(held.neighbours):
                if other is not held and held.buffer.covers(other.buffer):
                    self._retire(other)

    def _retire(self, held: _Held) -> None:
        for other in held.neighbours:
            if other is not held:
                other.neighbours.remove(held)
        del self.held[held.buffer]

    def _held(self, buffer: Buffer) -> _Held:
        """A buffer in use, among all those that share memory with it."""
        found = self.held.get(buffer)
        if found is None:
            found = _Held(buffer=buffer)
            for other in self.held.values():
                if other.buffer.meets(buffer):
                    other.neighbours.append(found)
                    found.neighbours.append(other)
            found.neighbours.append(found)
            self.held[buffer] = found
        return found


def _add_conflicts(needed: set[int], own: _Held, block: Block, is_written: bool) -> None:
    """Add the steps whose accesses a read or a write of a block must follow."""
    for held in own.neighbours:
        for accesses in (held.writes, held.reads) if is_written else (held.writes,):
            if held is own:
                needed.update([index for index, other in accesses if other.overlaps(block)])
            else:  # blocks of different buffers count as their whole buffers
                needed.update([index for index, _ in accesses])


def scheduled(
    steps: Sequence[AnyStep], configuration: EngineConfiguration, ddr: DdrModel
) -> tuple[Descriptor, ...]:
    """Descriptors of steps given in lazy order, END last."""
    bare = [descriptor_of(step, configuration) for step in steps]
    needs, across = _needs(steps)
    tasks = _tasks(steps, needs, [duration(descriptor, ddr, configuration) for descriptor in bare])
    starts = simulated_starts(tasks)
    sequences = _sequences(tasks, starts)
    waits = _waits(tasks, across, sequences)
    stream = [
        replace(bare[i], wait_load=load, wait_exec=execute, wait_store=store)
        for i in _stream(tasks, sequences, starts)
        for load, execute, store in [waits[i]]
    ]
    return (*stream, End(node="end"))


def _needs(steps: Sequence[AnyStep]) -> tuple[list[frozenset[int]], list[frozenset[int]]]:
    """Steps that each one must follow: those of its own input, and those of the input before."""
    count = len(steps)
    unrolled = dependencies((*steps, *steps))
    own = [
        first | frozenset(index - count for index in second if index >= count)
        for first, second in zip(unrolled[:count], unrolled[count:], strict=True)
    ]
    return own, [frozenset(index for index in needs if index < count) for needs in unrolled[count:]]


def _tasks(
    steps: Sequence[AnyStep], needs: Sequence[frozenset[int]], cycles: Sequence[int]
) -> list[UnitTask]:
    first_reader = [NEVER] * len(steps)
    for index in reversed(range(len(steps))):
        own = index if steps[index].opcode is Opcode.EXEC else first_reader[index]
        for needed in needs[index]:
            first_reader[needed] = min(first_reader[needed], own)
    return [
        UnitTask(
            index=i, unit=UNITS[step.opcode], cycles=cycles[i], needs=needs[i], first_reader=first_reader[i]
        )
        for i, step in enumerate(steps)
    ]


def _sequences(tasks: Sequence[UnitTask], starts: dict[int, int]) -> list[list[UnitTask]]:
    order = sorted(tasks, key=lambda task: (starts[task.index], task.index))
    return [[task for task in order if task.unit == unit] for unit in (Unit.LOAD, Unit.EXEC, Unit.STORE)]


def _waits(
    tasks: Sequence[UnitTask], across: Sequence[frozenset[int]], sequences: list[list[UnitTask]]
) -> list[list[int]]:
    """Counts of complete steps that each step waits for, by unit; below 1 they are of the input before."""
    places = {task.index: place for sequence in sequences for place, task in enumerate(sequence, 1)}
    units, done = [task.unit for task in tasks], [len(sequence) for sequence in sequences]
    waits = []
    for task, before in zip(tasks, across, strict=True):
        counts = [NO_WAIT] * len(sequences)
        for needed in task.needs:
            counts[units[needed]] = max(counts[units[needed]], places[needed])
        for needed in before:
            unit = units[needed]
            counts[unit] = max(counts[unit], places[needed] - done[unit])
        counts[task.unit] = NO_WAIT  # a unit takes its steps in order
        waits.append(counts)
    return waits


def _stream(tasks: Sequence[UnitTask], sequences: list[list[UnitTask]], starts: dict[int, int]) -> list[int]:
    """Indices in dispatch order: by the time the unit's latch frees, but after what is waited for."""
    before = {task.index: last.index for sequence in sequences for last, task in pairwise(sequence)}
    order: dict[int, tuple[int, int]] = {}  # (time, tie-break)
    for task in sorted(tasks, key=lambda task: (starts[task.index], task.index)):
        last = before.get(task.index)
        latch = 0 if last is None else starts[last]
        predecessors = task.needs if last is None else task.needs | {last}
        time, tie = max((order[index] for index in predecessors), default=(0, 0))
        order[task.index] = max((latch, 0), (time, tie + 1))
    return sorted(order, key=lambda index: (order[index], starts[index], index))
