"""The rungs of the latency ladder: cycle model, simulated RTL, boards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from bitlathe.flow.boards.latency import BoardLatency
from bitlathe.hls.compile import compiler
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.sim.engine import SimulatedEngine
from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.search import Latency, LatencyRung

CYCLE_MODEL, RTL, BOARD = "cycle-model", "rtl", "board"
RUNGS = (CYCLE_MODEL, RTL, BOARD)  # from quick to true


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


def at_clock(cycles: int, target: Target) -> Latency:
    """Cycles and their time at the clock the target is meant to close at."""
    return Latency(cycles=cycles, milliseconds=target.milliseconds(cycles))
