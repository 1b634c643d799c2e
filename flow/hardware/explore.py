"""Which engine a board could hold, and how fast a network would run on it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import count

from bitlathe.flow.progress import Advance, Note, Progress, silent
from bitlathe.hls.explore.candidates import candidates
from bitlathe.hls.explore.search import EngineChoice, Exploration, explore
from bitlathe.hls.target.area import PartBudget, deviations
from bitlathe.hls.target.config import Target
from bitlathe.model.graph.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorationRow:
    """The engines of an exploration, as the row that --json prints."""

    network: str
    target: str
    shipped: str  # the target's own engine
    budget: PartBudget
    choices: tuple[dict[str, object], ...]  # that fit, fastest first
    refused: tuple[dict[str, object], ...]  # with the first limit that each violates
    skipped: int  # not compiled, as a bound alone shows that another is at least as good
    left_out: tuple[dict[str, object], ...]  # not compiled, as time ran out; lowest bound first
    lut_error: float  # largest of the estimates', each measured point against a fit of the others
    ff_error: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def run_explore(
    network: str, graph: Graph, target: Target, deadline: float, progress: Progress = silent
) -> tuple[ExplorationRow, Exploration]:
    """Explore a network's graph on a target's part; the target's own engine is always among the choices.

    `progress` hears of each engine as soon as it is compiled. None but the target's own is begun after the
    `deadline`, by the clock of `time.monotonic`.
    """
    configurations = list(candidates(target))
    work, done = f"exploring {len(configurations)} engines", count(1)

    def show(choice: EngineChoice | None) -> None:
        progress(Advance(work, next(done), len(configurations) + 1))
        if choice is not None:
            progress(Note(_line(choice)))

    found = explore(graph, target, configurations, show, lambda: time.monotonic() > deadline)
    errors = tuple(deviations())
    row = ExplorationRow(
        network=network,
        target=target.name,
        shipped=target.engine.label,
        budget=PartBudget.of(target),
        choices=tuple(map(_plain, found.fitting)),
        refused=tuple(map(_plain, found.refused)),
        skipped=found.skipped,
        left_out=tuple(map(_plain, found.left_out)),
        lut_error=max((abs(error.lut) for error in errors), default=0.0),
        ff_error=max((abs(error.ff) for error in errors), default=0.0),
    )
    return row, found


def _line(choice: EngineChoice) -> str:
    """An engine that was compiled for, in one line."""
    if choice.limit is not None:
        return f"{choice.configuration.label}: {choice.limit}"
    return (
        f"{choice.configuration.label}: {choice.cycles:,} cycles, at least {choice.bound:,.0f}; "
        f"{choice.area.dsp:,} DSP, {choice.area.bram36:g} BRAM36"
    )


def _plain(choice: EngineChoice) -> dict[str, object]:
    return {"label": choice.configuration.label, "fits": choice.limit is None, **asdict(choice)}
