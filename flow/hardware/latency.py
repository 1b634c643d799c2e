"""The rungs of the latency ladder: cycle model, simulated RTL, boards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from bitlathe.flow.boards.latency import BoardLatency
from bitlathe.flow.errors import UsageError, argument_errors
from bitlathe.flow.network.subject import Subject
from bitlathe.hls.compile import compiler
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import Target
from bitlathe.model.compress import Method, MethodKind
from bitlathe.model.compress.cycles import least_graphs
from bitlathe.model.compress.methods import PruneChannels, PruneOnce, Quantize
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.quantize.config import QuantizeConfig
from bitlathe.model.search import Latency, LatencyBudget, LatencyRung

CYCLE_MODEL, RTL, BOARD = "cycle-model", "rtl", "board"
RUNGS = (CYCLE_MODEL, RTL, BOARD)  # from quick to true
_WORTH = 3  # a share of the operations that goes is to save at least a third of it in cycles

Taken = tuple[int, int]  # multiply-accumulates and cycles of an image


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleModelRung:
    """Closed form over the compiled program."""

    target: Target
    name: str = CYCLE_MODEL

    def cost(self, graph: Graph) -> Latency:
        """Predicted cycles of an image after the first."""
        compiled = compiler.compile_for(graph, self.target)
        prediction = predict(compiled.program, DdrModel.of(self.target), weights_resident=True)
        return at_clock(prediction.cycles, self.target)

    def cycles(self, graph: Graph) -> int:
        """The same, its cycles alone."""
        return self.cost(graph).cycles


@dataclass(frozen=True, slots=True, kw_only=True)
class RtlRung:
    """Cycles of the engine's RTL in simulation."""

    target: Target
    name: str = RTL

    def cost(self, graph: Graph) -> Latency:
        """Cycles of an image after the first; they do not depend on its pixels."""
        compiled = compiler.compile_for(graph, self.target)
        ddr = SimulatedDdr.of(self.target)
        codes = random_inputs(np.random.default_rng(0), graph, 1)[:1]
        with closing(SimulatedEngine(self.target.engine, ddr)) as engine:
            engine.run(compiled, codes)
            return at_clock(engine.run(compiled, codes).cycles[0], self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRung:
    """Cycles that boards count, at the clock they say they run at."""

    boards: BoardLatency
    name: str = BOARD

    def cost(self, graph: Graph) -> Latency:
        """Cycles of an image, by the next free board."""
        measured = self.boards.measure(graph)
        return Latency(cycles=measured.cycles, milliseconds=measured.latency_ms)


def rungs(names: tuple[str, ...], target: Target, boards: BoardLatency | None) -> tuple[LatencyRung, ...]:
    """Rungs of these names, from quick to true; the boards' is left out where there are none."""
    makers: dict[str, Callable[[], LatencyRung]] = {
        CYCLE_MODEL: lambda: CycleModelRung(target=target),
        RTL: lambda: RtlRung(target=target),
    }
    if boards is not None:
        makers[BOARD] = lambda: BoardRung(boards=boards)
    return tuple(maker() for name, maker in makers.items() if name in names or name == BOARD)


def budget_of(budget_ms: float | None, budget_cycles: int | None) -> LatencyBudget | None:
    """The budget that two arguments give; UsageError for nonsense."""
    with argument_errors():
        return LatencyBudget.of(budget_ms, budget_cycles)


def check_reachable(
    budget: LatencyBudget,
    subject: Subject,
    methods: Sequence[Method],
    others: Sequence[QuantizeConfig],
    rung: LatencyRung,
    target: Target,
) -> None:
    """Raise UsageError, with the least possible, for a budget that no order of the methods can meet.

    `others` are the quantizers of states that no method quantizes.
    """
    if any(method.kind is MethodKind.PRODUCT for method in methods):
        return  # codewords take fewer words to load than any quantizer's weights
    pruners = [method for method in methods if isinstance(method, PruneChannels | PruneOnce)]
    configs = [*others, *(method.config for method in methods if isinstance(method, Quantize))]
    images = subject.dataset.train_images
    graphs = least_graphs(subject.model, images, pruners, configs, target.engine.pi)
    least = min(map(rung.cost, graphs), key=lambda latency: latency.cycles)
    taken = least.cycles, least.milliseconds
    if not budget.is_met(*taken):
        raise UsageError(
            f"`{budget.key}={budget.limit:.12g}`: is less than the methods can reach on {target.name}: "
            f"{budget.told(*taken)} with every layer as narrow as they may make it; give more, or let P take "
            "more channels"
        )


def unsaved(before: Taken, after: Taken, target: Target) -> str | None:
    """A line where far more multiply-accumulates went than cycles, with the mend; None where not."""
    macs, cycles = (max(0.0, 1 - now / was) for was, now in zip(before, after, strict=True))
    if not macs or _WORTH * cycles >= macs:
        return None
    return (
        f"{100 * macs:.1f} % of the multiply-accumulates went, and {100 * cycles:.1f} % of the cycles: "
        f"the engine of {target.name} computes {target.engine.pi} channels at once; let P take blocks, "
        f"lanes={target.engine.pi}, or a share of the cycles, latency"
    )


def at_clock(cycles: int, target: Target) -> Latency:
    """Cycles and their time at the clock the target is meant to close at."""
    return Latency(cycles=cycles, milliseconds=target.milliseconds(cycles))
