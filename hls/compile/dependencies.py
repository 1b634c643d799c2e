"""Which step must wait for which: those that wrote what it reads, and those that read or wrote what it overwrites."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from bitlathe.hls.compile.memory import Block, Buffer
from bitlathe.hls.compile.steps import Step


@dataclass(slots=True, kw_only=True)
class _History:
    """Accesses to one buffer so far, and the buffers that share memory with it."""

    reads: list[tuple[int, Block]] = field(default_factory=list)
    writes: list[tuple[int, Block]] = field(default_factory=list)


def dependencies(steps: Sequence[Step]) -> tuple[frozenset[int], ...]:
    """Indices of the earlier steps that each step must follow, for steps in a legal sequential order."""
    histories: dict[Buffer, _History] = defaultdict(_History)
    neighbours: dict[Buffer, list[Buffer]] = {}
    found = []
    for index, step in enumerate(steps):
        needed: set[int] = set()
        for block in step.reads:
            for buffer in _neighbours(block.buffer, neighbours):
                needed.update(other for other, written in histories[buffer].writes if written.meets(block))
        for block in step.writes:
            for buffer in _neighbours(block.buffer, neighbours):
                history = histories[buffer]
                needed.update(other for other, seen in (*history.reads, *history.writes) if seen.meets(block))
        found.append(frozenset(needed - {index}))
        for block in step.reads:
            histories[block.buffer].reads.append((index, block))
        for block in step.writes:
            histories[block.buffer].writes.append((index, block))
    return tuple(found)


def _neighbours(buffer: Buffer, known: dict[Buffer, list[Buffer]]) -> list[Buffer]:
    """Buffers met so far that share memory with `buffer`, itself included."""
    if buffer not in known:
        sharing = [other for other in known if other.meets(buffer)]
        for other in sharing:
            known[other].append(buffer)
        known[buffer] = [*sharing, buffer]
    return known[buffer]
