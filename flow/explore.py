"""`bitlathe explore`: which engine a board could hold, and how fast a network would run on it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from bitlathe.flow.output import note, print_table, task
from bitlathe.hls.config import Target
from bitlathe.hls.explore.area import PartBudget, deviations
from bitlathe.hls.explore.candidates import candidates
from bitlathe.hls.explore.search import EngineChoice, Exploration, explore
from bitlathe.model.graph.graph import Graph

REFUSED_SHOWN = 8
COLUMNS = ("engine", "cycles", "at least", "DSP", "BRAM36", "LUT", "FF", "area", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """What was explored; the row that --json prints."""

    network: str
    target: str
    shipped: str  # the target's own engine
    budget: PartBudget
    choices: tuple[dict[str, object], ...]  # that fit, fastest first
    refused: tuple[dict[str, object], ...]  # with the first limit that each violates
    skipped: int  # not compiled, as a bound alone shows that another is at least as good
    left_out: tuple[dict[str, object], ...]  # not compiled, as the time was up; of the lowest bound first
    lut_error: float  # largest of the estimates', each measured point against a fit of the others
    ff_error: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def run_explore(network: str, graph: Graph, target: Target, deadline: float) -> tuple[Explored, Exploration]:
    """Explore a network's graph on a target's part; the target's own engine is always among the choices.

    Each engine is told of as soon as it is compiled. None but the target's own is begun after the `deadline`,
    by the clock of `time.monotonic`.
    """
    configurations = list(candidates(target))
    done = 0
    with task(f"exploring {len(configurations)} engines", len(configurations) + 1) as advance:

        def told(choice: EngineChoice | None) -> None:
            nonlocal done
            done += 1
            advance(done)
            if choice is not None:
                note(_line(choice))

        found = explore(graph, target, configurations, told, lambda: time.monotonic() > deadline)
    errors = tuple(deviations())
    row = Explored(
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


def show_explored(row: Explored, found: Exploration) -> None:
    """Print the choices that none beats and the target's own, and the smallest that were refused."""
    shown = [choice for choice in found.fitting if choice.is_best or choice.is_shipped]
    print_table(f"{row.network} on {row.target}: engines that none beats", COLUMNS, [*map(_cells, shown)])
    refused = [(choice.configuration.label, choice.limit or "") for choice in _tempting(found)]
    if refused:
        print_table("faster, and refused", ("engine", "first limit violated"), refused, False)
    print(
        f"{len(found.fitting)} fit, {len(found.refused)} refused, {row.skipped} skipped; cycles by the cycle "
        f"model, weights on chip where they fit. LUT and FF are measured by Yosys or estimated, then off by "
        f"up to {100 * row.lut_error:.0f} % and {100 * row.ff_error:.0f} % where that was tried."
    )
    if found.left_out:
        print(
            f"{len(found.left_out)} left out, for the time was up: they take {found.left_out[0].bound:,.0f} "
            "cycles at least; give more --seconds to compile for them too"
        )


def _line(choice: EngineChoice) -> str:
    """An engine that was compiled for, in one line."""
    if choice.limit is not None:
        return f"{choice.configuration.label}: {choice.limit}"
    return (
        f"{choice.configuration.label}: {choice.cycles:,} cycles, at least {choice.bound:,.0f}; "
        f"{choice.area.dsp:,} DSP, {choice.area.bram36:g} BRAM36"
    )


def _tempting(found: Exploration) -> list[EngineChoice]:
    """The smallest refused engine of each array whose bound is below all cycles."""
    least = min((choice.costs()[0] for choice in found.fitting), default=0)
    arrays: dict[tuple[int, int, int], EngineChoice] = {}
    for choice in found.refused:
        each = choice.configuration
        if choice.bound < least:
            arrays.setdefault((each.pi, each.po, each.pp), choice)
    return list(arrays.values())[:REFUSED_SHOWN]


def _cells(choice: EngineChoice) -> tuple[str, ...]:
    area = choice.area
    return (
        choice.configuration.label,
        f"{choice.cycles:,}" if choice.cycles is not None else "-",
        f"{choice.bound:,.0f}",
        f"{area.dsp:,}",
        f"{area.bram36:g}",
        f"{area.lut:,}",
        f"{area.ff:,}",
        "measured" if area.is_measured else "estimate",
        "shipped" if choice.is_shipped else "",
    )


def _plain(choice: EngineChoice) -> dict[str, object]:
    return {"label": choice.configuration.label, "fits": choice.limit is None, **asdict(choice)}
