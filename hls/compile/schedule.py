"""Order and waits of the steps.

EXECs and STOREs keep their order. LOADs are reordered by simulating the three units: whenever the load unit is free it takes,
of the loads whose destination is free, the one that is needed first. Each unit then has its sequence, waits follow
from the dependencies, and the stream lists the steps in the order in which their units could take them; so in-order
dispatch never holds one back, and a step only ever waits for steps before it: no deadlock.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from bitlathe.hls.compile.dependencies import dependencies
from bitlathe.hls.compile.descriptors import fields_of
from bitlathe.hls.compile.steps import Step
from bitlathe.hls.config import EngineConfiguration
from bitlathe.hls.cycle_model import UNITS, WAITS, DdrModel, Unit, duration
from bitlathe.hls.program import Descriptor, Opcode

NEVER = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    index: int  # in lazy order
    unit: Unit
    cycles: int
    needs: frozenset[int]
    first_reader: int  # index of the first EXEC that depends on it


def scheduled(
    steps: Sequence[Step], configuration: EngineConfiguration, ddr: DdrModel
) -> tuple[Descriptor, ...]:
    """Descriptors of steps given in lazy order, END last."""
    fields = [fields_of(step, configuration) for step in steps]
    needs = dependencies(steps)
    tasks = _tasks(steps, needs, [duration(s.opcode, f, ddr) for s, f in zip(steps, fields, strict=True)])
    starts = _simulate(tasks)
    sequences = _sequences(tasks, starts)
    waits = _waits(tasks, sequences)
    stream = [
        Descriptor(opcode=steps[i].opcode, node=steps[i].node, fields={**fields[i], **waits[i]})
        for i in _stream(tasks, sequences, starts)
    ]
    return (*stream, Descriptor(opcode=Opcode.END, node="end", fields={}))


def _tasks(steps: Sequence[Step], needs: Sequence[frozenset[int]], cycles: Sequence[int]) -> list[_Task]:
    first_reader = [NEVER] * len(steps)
    for index in reversed(range(len(steps))):
        if steps[index].opcode is Opcode.EXEC:
            for needed in needs[index]:
                first_reader[needed] = index
    return [
        _Task(
            index=i, unit=UNITS[step.opcode], cycles=cycles[i], needs=needs[i], first_reader=first_reader[i]
        )
        for i, step in enumerate(steps)
    ]


def _simulate(tasks: Sequence[_Task]) -> dict[int, int]:
    """Start of every task, were its unit's latch always filled in time."""
    units = [_LoadQueue(tasks), _InOrder(tasks, Unit.EXEC), _InOrder(tasks, Unit.STORE)]
    readers = _readers(tasks)
    missing = [len(task.needs) for task in tasks]
    released = [0] * len(tasks)
    for task in tasks:
        if not task.needs:
            units[task.unit].release(task, 0)
    starts: dict[int, int] = {}
    while len(starts) < len(tasks):
        unit = min(units, key=lambda unit: unit.earliest())
        task, start, end = unit.take()
        starts[task.index] = start
        for reader in readers[task.index]:
            missing[reader] -= 1
            released[reader] = max(released[reader], end)
            if not missing[reader]:
                units[tasks[reader].unit].release(tasks[reader], released[reader])
    return starts


def _readers(tasks: Sequence[_Task]) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in tasks]
    for task in tasks:
        for needed in task.needs:
            readers[needed].append(task.index)
    return readers


class _InOrder:
    """A unit that takes its tasks in the order given."""

    def __init__(self, tasks: Sequence[_Task], unit: Unit) -> None:
        self.waiting = deque(task for task in tasks if task.unit is unit)
        self.released: dict[int, int] = {}
        self.free = 0

    def release(self, task: _Task, time: int) -> None:
        """All that the task waits for is known to end by `time`."""
        self.released[task.index] = time

    def earliest(self) -> int:
        """When it could start its next task."""
        if not self.waiting or self.waiting[0].index not in self.released:
            return NEVER
        return max(self.free, self.released[self.waiting[0].index])

    def take(self) -> tuple[_Task, int, int]:
        """Its next task with start and end."""
        start, task = self.earliest(), self.waiting.popleft()
        self.free = start + task.cycles
        return task, start, self.free


class _LoadQueue:
    """The load unit: of the tasks that could start first, the one that is needed first."""

    def __init__(self, tasks: Sequence[_Task]) -> None:
        self.tasks = tasks
        self.later: list[tuple[int, int]] = []  # (time, index): released at a time to come
        self.now: list[tuple[int, int]] = []  # (first reader, index): could start at `free`
        self.free = 0

    def release(self, task: _Task, time: int) -> None:
        """All that the task waits for is known to end by `time`."""
        heappush(self.later, (time, task.index))
        self._sort()

    def _sort(self) -> None:
        while self.later and self.later[0][0] <= self.free:
            _, index = heappop(self.later)
            heappush(self.now, (self.tasks[index].first_reader, index))

    def earliest(self) -> int:
        """When it could start its next task."""
        if self.now:
            return self.free
        return self.later[0][0] if self.later else NEVER

    def take(self) -> tuple[_Task, int, int]:
        """Its next task with start and end."""
        start = self.free = self.earliest()
        self._sort()
        _, index = heappop(self.now)
        self.free = start + self.tasks[index].cycles
        self._sort()
        return self.tasks[index], start, self.free


def _sequences(tasks: Sequence[_Task], starts: dict[int, int]) -> list[list[_Task]]:
    order = sorted(tasks, key=lambda task: (starts[task.index], task.index))
    return [[task for task in order if task.unit == unit] for unit in (Unit.LOAD, Unit.EXEC, Unit.STORE)]


def _waits(tasks: Sequence[_Task], sequences: list[list[_Task]]) -> list[dict[str, int]]:
    """Counts of finished steps that each step waits for, by unit."""
    places = {task.index: place for sequence in sequences for place, task in enumerate(sequence)}
    waits = []
    for task in tasks:
        counts = [0, 0, 0]
        for needed in task.needs:
            unit = tasks[needed].unit
            if unit != task.unit:
                counts[unit] = max(counts[unit], places[needed] + 1)
        waits.append({name: count for name, count in zip(WAITS, counts, strict=True) if count})
    return waits


def _stream(tasks: Sequence[_Task], sequences: list[list[_Task]], starts: dict[int, int]) -> list[int]:
    """Indices in dispatch order: by the time the unit's latch frees, never before a step that is waited for."""
    before = {task.index: last.index for sequence in sequences for last, task in pairwise(sequence)}
    order: dict[int, tuple[int, int]] = {}  # (time, tie-break)
    for task in sorted(tasks, key=lambda task: (starts[task.index], task.index)):
        last = before.get(task.index)
        latch = 0 if last is None else starts[last]
        predecessors = task.needs if last is None else task.needs | {last}
        time, tie = max((order[index] for index in predecessors), default=(0, 0))
        order[task.index] = max((latch, 0), (time, tie + 1))
    return sorted(order, key=lambda index: (order[index], starts[index], index))
