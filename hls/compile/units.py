"""The start times of the three units' tasks if dispatch never held them back."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from bitlathe.hls.cycles.model import Unit

NEVER = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTask:
    """A step to the scheduler."""

    index: int  # in lazy order
    unit: Unit
    cycles: int
    needs: frozenset[int]
    first_reader: int  # index of the first EXEC that depends on it, or on what does


class _Queue(Protocol):
    """A unit and the tasks it has yet to do."""

    def release(self, task: UnitTask, time: int) -> None:
        """All that the task waits for is known to end by `time`."""

    def earliest(self) -> int:
        """When it could start its next task, or NEVER."""

    def take(self) -> tuple[UnitTask, int, int]:
        """Its next task with start and end."""


def simulated_starts(tasks: Sequence[UnitTask]) -> dict[int, int]:
    """Start of every task, were its unit's latch always filled in time."""
    units: list[_Queue] = [_LoadQueue(tasks), _InOrder(tasks, Unit.EXEC), _InOrder(tasks, Unit.STORE)]
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


def _readers(tasks: Sequence[UnitTask]) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in tasks]
    for task in tasks:
        for needed in task.needs:
            readers[needed].append(task.index)
    return readers


class _InOrder:
    """A unit that takes its tasks in the order given."""

    def __init__(self, tasks: Sequence[UnitTask], unit: Unit) -> None:
        self.waiting = deque(task for task in tasks if task.unit is unit)
        self.released: dict[int, int] = {}
        self.free = 0

    def release(self, task: UnitTask, time: int) -> None:
        """All that the task waits for is known to end by `time`."""
        self.released[task.index] = time

    def earliest(self) -> int:
        """When it could start its next task."""
        if not self.waiting or self.waiting[0].index not in self.released:
            return NEVER
        return max(self.free, self.released[self.waiting[0].index])

    def take(self) -> tuple[UnitTask, int, int]:
        """Its next task with start and end."""
        start, task = self.earliest(), self.waiting.popleft()
        self.free = start + task.cycles
        return task, start, self.free


class _LoadQueue:
    """The load unit: of the tasks that could start first, the one that is needed first."""

    def __init__(self, tasks: Sequence[UnitTask]) -> None:
        self.tasks = tasks
        self.later: list[tuple[int, int]] = []  # (time, index): released at a time to come
        self.now: list[tuple[int, int]] = []  # (first reader, index): could start at `free`
        self.free = 0

    def release(self, task: UnitTask, time: int) -> None:
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

    def take(self) -> tuple[UnitTask, int, int]:
        """Its next task with start and end."""
        start = self.free = self.earliest()
        self._sort()
        _, index = heappop(self.now)
        self.free = start + self.tasks[index].cycles
        self._sort()
        return self.tasks[index], start, self.free
