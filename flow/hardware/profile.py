"""Where the cycles of one image go, layer by layer, from the engine's own profile.

The array works on one layer at a time. What it stands idle before a descriptor is charged to the layer that
waits: to DDR as far as the loads and stores that the descriptor waits for were still under way, else to the
program (fetching, filling and draining).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bitlathe.hls.compile import Compiled
from bitlathe.hls.cycles.bounds import Bounds, LayerBound
from bitlathe.hls.program import Descriptor, Encoding, LoadWeights, Opcode, Program
from bitlathe.hls.program.moves import lines_loaded
from bitlathe.model.graph.files.storage import write_whole

FINISHING = "(last words out)"
_ROW_INCHES = 0.24
_NO_BOUND = LayerBound(peak=0.0, array=0.0, ddr=0.0)
# Field that counts a unit's descriptors, and the opcodes that the unit does.
_MOVES = (
    ("wait_load", (Opcode.LOAD, Opcode.LOAD_WEIGHTS)),
    ("wait_store", (Opcode.STORE,)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProfile:
    """One layer's part of a run; its three kinds of cycles exclude each other."""

    layer: str
    cycles: int = 0  # in which the array worked for it
    ddr_stall: int = 0  # in which the array stood idle for its loads, or for stores that free its memory
    other_stall: int = 0  # in which the array stood idle before it for any other reason
    macs: int = 0
    peak_bound: float = 0.0  # cycles of its useful products, were all multipliers at work
    array_bound: float = 0.0  # cycles of an array without idle lanes
    ddr_bound: float = 0.0  # cycles in which memory moves its words
    weight_bytes: int = 0  # of its lines in the weight store
    encoded_bytes: int = 0  # of the words in memory that they are decoded from, codebooks included

    @property
    def total(self) -> int:
        """Its share of the run."""
        return self.cycles + self.ddr_stall + self.other_stall


class _ExecCycles(NamedTuple):
    """One EXEC's cycles."""

    node: str
    cycles: int
    ddr_stall: int
    other_stall: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Parts of one run; they add up to its whole."""

    rows: tuple[LayerProfile, ...]
    cycles: int  # start to done

    @classmethod
    def of(
        cls,
        compiled: Compiled,
        spans: NDArray[np.uint32],
        cycles: int,
        macs: Mapping[str, int],
        bounds: Bounds,
    ) -> Profile:
        """Profile of a run from `spans` (descriptors, 2), each's first and last cycle; `macs` by layer."""
        rows: dict[str, LayerProfile] = {}
        for part in _parts(compiled.program.descriptors, spans):
            row = rows.get(part.node) or _empty(part.node, macs, bounds, compiled.program)
            rows[part.node] = replace(
                row,
                cycles=row.cycles + part.cycles,
                ddr_stall=row.ddr_stall + part.ddr_stall,
                other_stall=row.other_stall + part.other_stall,
            )
        rest = cycles - sum(row.total for row in rows.values())
        return cls(rows=(*rows.values(), LayerProfile(layer=FINISHING, ddr_stall=rest)), cycles=cycles)

    def to_json(self) -> list[dict[str, object]]:
        """Rows as plain values."""
        return [asdict(row) for row in self.rows]

    def draw(self, path: str | Path, title: str) -> None:
        """Write a bar chart by layer, beside the bounds of array and DDR, as PNG."""
        figure = Figure(figsize=(9, 1.6 + _ROW_INCHES * len(self.rows)), layout="constrained")
        axes = figure.subplots()
        names = [row.layer for row in self.rows]
        left = np.zeros(len(names))
        for label, widths in (
            ("array works", [row.cycles for row in self.rows]),
            ("waits for DDR", [row.ddr_stall for row in self.rows]),
            ("waits for the program", [row.other_stall for row in self.rows]),
        ):
            axes.barh(names, widths, left=left, label=label)
            left += widths
        places = range(len(names))
        axes.plot([row.array_bound for row in self.rows], places, "k|", markersize=11, label="array's bound")
        axes.plot([row.ddr_bound for row in self.rows], places, "kx", markersize=5, label="DDR's bound")
        axes.invert_yaxis()
        axes.set_xlabel("cycles")
        axes.set_title(title)
        axes.legend(fontsize="small")
        drawn = BytesIO()
        figure.savefig(drawn, format="png")
        write_whole(Path(path), drawn.getbuffer())


def _empty(node: str, macs: Mapping[str, int], bounds: Bounds, program: Program) -> LayerProfile:
    bound, engine = bounds.layers.get(node, _NO_BOUND), program.configuration
    own = [one for one in program.descriptors if isinstance(one, LoadWeights) and one.node == node]
    lines = [one for one in own if one.encoding not in (Encoding.CODEBOOK, Encoding.TABLE)]
    return LayerProfile(
        layer=node,
        macs=macs.get(node, 0),
        peak_bound=bound.peak,
        array_bound=bound.array,
        ddr_bound=bound.ddr,
        weight_bytes=sum(lines_loaded(one, engine.po) for one in lines) * engine.weight_line_bytes,
        encoded_bytes=sum(one.beats for one in own if one.encoding != Encoding.TABLE) * engine.word_bytes,
    )


def _parts(descriptors: tuple[Descriptor, ...], spans: NDArray[np.uint32]) -> Iterator[_ExecCycles]:
    """Each EXEC with the idle time before it."""
    numbered = [
        (descriptor, int(start), int(end))
        for descriptor, (start, end) in zip(descriptors, spans.tolist(), strict=True)
    ]
    ends = {
        field: [end for descriptor, _, end in numbered if descriptor.opcode in opcodes]
        for field, opcodes in _MOVES
    }
    before = 0
    for descriptor, start, end in numbered:
        if descriptor.opcode is Opcode.EXEC:
            awaited = [ends[field][count - 1] for field, count in _counts(descriptor)]
            moved = min(max([*awaited, before]), start)
            yield _ExecCycles(descriptor.node, end - start, moved - before, start - moved)
            before = end


def _counts(descriptor: Descriptor) -> Iterator[tuple[str, int]]:
    for field, _ in _MOVES:
        if (count := getattr(descriptor, field)) > 0:
            yield field, count
