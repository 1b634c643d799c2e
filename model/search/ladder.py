"""The latency ladder: ways to find the cost of an integer graph on the hardware, from quick to exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bitlathe.model.graph.errors import FormatError
from bitlathe.model.graph.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Cost of one image, with weights on chip if they fit."""

    cycles: int
    milliseconds: float


class LatencyRung(Protocol):
    """One way to measure; implement this to add another."""

    @property
    def name(self) -> str:
        """Unique on a ladder, a word or two."""

    def cost(self, graph: Graph) -> Latency:
        """Latency of the network; raises BitlatheError if the graph cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a lower rung gave for a network that the highest measured."""

    rung: str
    cycles: int
    error: float  # cycles / the highest rung's - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Rungs from quick to exact; the last one decides. Raises FormatError if there is none."""

    rungs: tuple[LatencyRung, ...]

    def __post_init__(self) -> None:
        if not self.rungs:
            raise FormatError("the latency ladder has no rung; name at least one, such as the cycle model")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rungs, from quick to exact."""
        return tuple(rung.name for rung in self.rungs)

    @property
    def highest(self) -> LatencyRung:
        """The rung that measures candidates."""
        return self.rungs[-1]

    @property
    def quickest(self) -> LatencyRung:
        """The rung for tables of hundreds of networks."""
        return self.rungs[0]

    def audit(self, graph: Graph, truth: Latency) -> tuple[Audit, ...]:
        """What the lower rungs give for a network that the highest measured as `truth`."""
        return tuple(_audit(rung.name, rung.cost(graph), truth) for rung in self.rungs[:-1])


def _audit(rung: str, said: Latency, truth: Latency) -> Audit:
    return Audit(rung=rung, cycles=said.cycles, error=said.cycles / truth.cycles - 1)
