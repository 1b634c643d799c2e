"""Which step must follow which: writers of what it reads, readers and writers of what it overwrites."""

from collections.abc import Sequence

from bitlathe.hls.compile.memory import Block, Buffer
from bitlathe.hls.compile.steps import Step
from bitlathe.hls.program import Opcode

Access = tuple[int, Block]  # step, what it touched


def dependencies(steps: Sequence[Step]) -> tuple[frozenset[int], ...]:
    """Indices of the earlier steps that each step must follow, for steps in a legal sequential order.

    An earlier step may be left out where another one that must be followed follows it.
    """
    accesses = _Accesses()
    return tuple(frozenset(accesses.add(index, step)) for index, step in enumerate(steps))


class _Accesses:
    """The accesses so far that can still matter, by buffer."""

    def __init__(self) -> None:
        self.reads: dict[Buffer, list[Access]] = {}
        self.writes: dict[Buffer, list[Access]] = {}
        self.neighbours: dict[Buffer, list[Buffer]] = {}
        self.execs: set[int] = set()

    def add(self, index: int, step: Step) -> set[int]:
        """Steps that `step` must follow; it becomes one of the accesses."""
        needed: set[int] = set()
        for block in step.reads:
            self._add_conflicts(needed, block, self.writes)
        for block in step.writes:
            self._add_conflicts(needed, block, self.writes)
            self._add_conflicts(needed, block, self.reads)
        for block in step.writes:
            self._forget_inside(block)
            self.writes[block.buffer].append((index, block))
        for block in step.reads:
            self._read(index, block, step.opcode)
        return needed

    def _read(self, index: int, block: Block, opcode: Opcode) -> None:
        """Add a read; EXECs end in order, so one stands for those before it that read no more."""
        reads = self.reads[block.buffer]
        if opcode is Opcode.EXEC:
            reads[:] = [
                access for access in reads if access[0] not in self.execs or not block.covers(access[1])
            ]
            self.execs.add(index)
        reads.append((index, block))

    def _add_conflicts(self, needed: set[int], block: Block, accesses: dict[Buffer, list[Access]]) -> None:
        for buffer in self._neighbours(block.buffer):
            if buffer == block.buffer:
                needed.update([index for index, other in accesses[buffer] if other.meets(block)])
            else:  # blocks of different buffers count as their whole buffers
                needed.update([index for index, _ in accesses[buffer]])

    def _forget_inside(self, block: Block) -> None:
        """Drop accesses that a write covers: whatever conflicts with them conflicts with the write."""
        buffer = block.buffer
        for accesses in (self.reads, self.writes):
            accesses[buffer] = [access for access in accesses[buffer] if not block.covers(access[1])]
        if block.is_whole:
            inside = [other for other in self.neighbours[buffer] if other != buffer and buffer.covers(other)]
            for other in inside:
                self._retire(other)

    def _retire(self, buffer: Buffer) -> None:
        for other in self.neighbours.pop(buffer):
            if other != buffer:
                self.neighbours[other].remove(buffer)
        del self.reads[buffer], self.writes[buffer]

    def _neighbours(self, buffer: Buffer) -> list[Buffer]:
        """Buffers in use that share memory with `buffer`, itself included."""
        if buffer not in self.neighbours:
            sharing = [other for other in self.neighbours if other.meets(buffer)]
            for other in sharing:
                self.neighbours[other].append(buffer)
            self.neighbours[buffer] = [*sharing, buffer]
            self.reads[buffer], self.writes[buffer] = [], []
        return self.neighbours[buffer]
