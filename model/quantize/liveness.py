"""When a tensor has been read for the last time, so that a forward pass can free it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Step(Protocol):
    """A node of a float network or of an integer graph."""

    @property
    def name(self) -> str: ...

    @property
    def sources(self) -> tuple[str, ...]: ...


def dead_after(steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """Tensors that nothing reads after each step; what nothing reads at all is dead after its own."""
    last_reader: dict[str, str] = {}
    for step in steps:
        last_reader[step.name] = step.name
        last_reader.update(dict.fromkeys(step.sources, step.name))
    readers = set(last_reader.values())
    return {reader: tuple(t for t, last in last_reader.items() if last == reader) for reader in readers}
