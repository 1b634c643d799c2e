"""Where the cycles of one image go, layer by layer, from the engine's own profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bitlathe.flow.files import write_whole
from bitlathe.hls.compile import Compiled
from bitlathe.hls.program import Opcode

WAITING = "(array idle)"
_ROW_INCHES = 0.22


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCycles:
    """One layer's part of a run."""

    layer: str
    cycles: int  # in which the array worked for it
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Parts of one run; their cycles add up to its whole."""

    rows: tuple[LayerCycles, ...]
    cycles: int  # start to done

    @classmethod
    def of(
        cls, compiled: Compiled, spans: NDArray[np.uint32], cycles: int, macs: Mapping[str, int]
    ) -> Profile:
        """Profile of a run from `spans` (descriptors, 2), each's first and last cycle; `macs` by layer."""
        busy: dict[str, int] = {}
        for node, span in _executions(compiled, spans):
            busy[node] = busy.get(node, 0) + span
        rows = [LayerCycles(layer=node, cycles=span, macs=macs.get(node, 0)) for node, span in busy.items()]
        idle = cycles - sum(busy.values())
        return cls(rows=(*rows, LayerCycles(layer=WAITING, cycles=idle, macs=0)), cycles=cycles)

    def table(self) -> list[tuple[str, ...]]:
        """Layer, cycles, share of the run, MACs a cycle."""
        return [
            (
                row.layer,
                f"{row.cycles:,}",
                f"{100 * row.cycles / self.cycles:.1f} %",
                f"{row.macs / row.cycles:.1f}" if row.cycles else "-",
            )
            for row in self.rows
        ]

    def to_json(self) -> list[dict[str, object]]:
        """Rows as plain values."""
        return [{"layer": row.layer, "cycles": row.cycles, "macs": row.macs} for row in self.rows]

    def draw(self, path: Path, title: str) -> None:
        """Write a bar chart as PNG."""
        figure = Figure(figsize=(8, 1.2 + _ROW_INCHES * len(self.rows)), layout="constrained")
        axes = figure.subplots()
        axes.barh([row.layer for row in self.rows], [row.cycles for row in self.rows])
        axes.invert_yaxis()
        axes.set_xlabel("cycles")
        axes.set_title(title)
        write_whole(path, lambda partial: figure.savefig(partial, format="png"))


def _executions(compiled: Compiled, spans: NDArray[np.uint32]) -> Iterator[tuple[str, int]]:
    for descriptor, (start, end) in zip(compiled.program.descriptors, spans.tolist(), strict=True):
        if descriptor.opcode is Opcode.EXEC:
            yield descriptor.node, end - start
