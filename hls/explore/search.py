"""Cycles against area of every configuration that could be of use, and which of them none beats."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bitlathe.hls.compile.compiler import compile_graph
from bitlathe.hls.cycles.bounds import array_cycles
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.datapath import PACKED_BITS
from bitlathe.hls.target.area import Area, PartBudget, area_of
from bitlathe.hls.target.config import EngineConfiguration, Target
from bitlathe.model.graph.errors import CapacityError
from bitlathe.model.graph.graph import Graph

EngineCosts = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """One configuration on a board."""

    configuration: EngineConfiguration
    area: Area
    bound: float  # cycles that its array cannot beat
    cycles: int | None = None  # of the compiled program by the cycle model; None where it was not compiled
    limit: str | None = None  # the first one violated
    is_best: bool = False  # none that fits is at least as good in everything and better in something
    is_shipped: bool = False  # the target's own

    def costs(self) -> EngineCosts:
        """The costs to minimize: cycles, or their bound where they are unknown, and area."""
        cycles = self.bound if self.cycles is None else self.cycles
        return cycles, self.area.dsp, self.area.lut, self.area.bram36

    def turn(self) -> tuple[bool, EngineCosts]:
        """The order of choices that are not compiled yet."""
        return not self.is_shipped, self.costs()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """The result for one network on one board."""

    fitting: tuple[EngineChoice, ...]  # compiled, fastest first
    refused: tuple[EngineChoice, ...]  # smallest first
    skipped: int  # whose bound a fitting one already reaches with at most the same area
    left_out: tuple[EngineChoice, ...] = ()  # for which there was no time, those of the lowest bound first


def explore(
    graph: Graph,
    target: Target,
    configurations: Sequence[EngineConfiguration],
    on_choice: Callable[[EngineChoice | None], None] = lambda choice: None,
    is_time_up: Callable[[], bool] = lambda: False,
) -> Exploration:
    """Compile `graph` for every configuration that fits and is not beaten by a bound alone.

    The target's own comes first, then those of the lowest bound, until `is_time_up`. `on_choice` gets
    each one that is compiled, and None for each one that is not.
    """
    fitting: list[EngineChoice] = []
    refused: list[EngineChoice] = []
    left_out: list[EngineChoice] = []
    skipped = 0
    for choice in sorted(_drawn(graph, target, configurations), key=EngineChoice.turn):
        compiled = None
        if choice.limit is not None:
            refused.append(choice)
        elif any(_beats(other.costs(), choice.costs()) for other in fitting):
            skipped += 1
        elif not choice.is_shipped and is_time_up():
            left_out.append(choice)
        else:
            compiled = _compiled(graph, target, choice)
            (fitting if compiled.limit is None else refused).append(compiled)
        on_choice(compiled)
    costs = [choice.costs() for choice in fitting]
    marked = (
        replace(choice, is_best=not any(_beats(other, choice.costs()) for other in costs))
        for choice in fitting
    )
    return Exploration(
        fitting=tuple(sorted(marked, key=EngineChoice.costs)),
        refused=tuple(sorted(refused, key=lambda choice: (choice.area.dsp, choice.area.lut))),
        skipped=skipped,
        left_out=tuple(left_out),
    )


def _drawn(
    graph: Graph, target: Target, configurations: Sequence[EngineConfiguration]
) -> Iterator[EngineChoice]:
    budget, part = PartBudget.of(target), target.family
    for configuration in dict.fromkeys((target.engine, *configurations)):
        area = area_of(configuration, part)
        yield EngineChoice(
            configuration=configuration,
            area=area,
            bound=_bound(graph, configuration),
            limit=budget.violated(configuration, area),
            is_shipped=configuration == target.engine,
        )


def _compiled(graph: Graph, target: Target, choice: EngineChoice) -> EngineChoice:
    """The choice with its cycles, or with the limit of a store that is too small for the network."""
    ddr = DdrModel.of(target)
    try:
        compiled = compile_graph(graph, choice.configuration, ddr)
    except CapacityError as error:
        return replace(choice, limit=str(error))
    return replace(choice, cycles=predict(compiled.program, ddr, weights_resident=True).cycles)


def _bound(graph: Graph, configuration: EngineConfiguration) -> float:
    """Cycles of an array without idle lanes, were every tensor of few bits packed."""
    narrow = {node.name for node in graph.needed if node.format.bits <= PACKED_BITS}
    return sum(
        array_cycles(graph, node, configuration, packed=not narrow.isdisjoint(node.sources))
        for node in graph.needed
    )


def _beats(one: EngineCosts, other: EngineCosts) -> bool:
    """Whether the first costs are nowhere higher and somewhere lower."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
