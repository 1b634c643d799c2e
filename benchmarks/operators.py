"""Cycles of each operator alone, in the simulated RTL, against its bound.

python benchmarks/operators.py --targets pynq-z2

A network of one operator, over a map of 64 x 24 x 24 codes or 16 x 96 x 96 where it shrinks the map, runs
two random images. The cycles are those in which its EXECs are at work on the second one; the bound is that of
array and output stage (hls/cycles/bounds.py, docs/performance.md). Programs are compiled for a memory that
nobody waits for, as else the image would be cut into strips while it is loaded. Prints a row for each and
writes them to build/bench/operators.json. Exit status 1 where an integer differs from the reference or a row
misses the bar.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from cases import add_targets

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.hls.compile.compiler import compile_graph
from bitlathe.hls.cycles.bounds import array_cycles
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.program import Exec
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.elementwise import Lookup, Product
from bitlathe.model.graph.fixed_point import FixedPoint
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.nodes import Conv2d, Input, MaxPool2d, Node
from bitlathe.model.graph.random_inputs import random_codes
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.graph.resampling import (
    ConvTranspose2d,
    Interpolate2d,
    Interval,
    IntervalPool2d,
    PixelShuffle2d,
    PixelUnshuffle2d,
    Upsample2d,
)

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "operators.json"
BAR = 1.25  # cycles over the bound
SHAPE = 64, 24, 24
WIDE = 16, 96, 96
FORMAT = FixedPoint(bits=8, frac=5)
FAST = DdrModel(busy=1000, latency=0)  # brings a map at once
SEED = 1
BEFORE = "before"  # a layer that an operator needs before it

Operator = Callable[[np.random.Generator], tuple[Node, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One operator on one target."""

    operator: str
    target: str
    execs: int
    cycles: int  # of its EXECs
    bound: float
    ratio: float
    mismatches: int

    def cells(self) -> tuple[str, ...]:
        """Cells by HEAD."""
        ratio = f"{self.ratio:.2f}" if self.bound else "-"
        return (
            *(self.operator, self.target, str(self.execs), f"{self.cycles:,}", f"{self.bound:,.0f}"),
            *(ratio, str(self.mismatches)),
        )


HEAD = ("operator", "target", "EXECs", "cycles", "bound", "of bound", "mismatches")


def _convolution(
    kind: type[Node], shape: tuple[int, ...], rng: np.random.Generator, **fields: object
) -> Node:
    outputs = shape[0]
    return kind(
        name="y",
        format=FORMAT,
        source="x",
        weight=rng.integers(-127, 128, shape).astype(np.int8),  # type: ignore[call-arg]
        bias=rng.integers(-999, 999, outputs).astype(np.int32),
        weight_bits=8,
        weight_frac=(11,) * outputs,
        lo=FORMAT.lo,
        hi=FORMAT.hi,
        **fields,
    )


def _conv(*shape: int, **fields: object) -> Operator:
    return lambda rng: (_convolution(Conv2d, shape, rng, **fields),)


def _transposed(*shape: int, **fields: object) -> Operator:
    return lambda rng: (_convolution(ConvTranspose2d, shape, rng, **fields),)


def _plain(kind: Callable[..., Node], **fields: object) -> Operator:
    return lambda rng: (kind(name="y", format=FORMAT, source="x", **fields),)


def _table(rng: np.random.Generator) -> Lookup:
    codes = tuple(rng.integers(FORMAT.lo, FORMAT.hi + 1, 256).tolist())
    return Lookup(name="table", format=FORMAT, source="y", function="random", codes=codes)


def _with_table(rng: np.random.Generator) -> tuple[Node, ...]:
    conv = _convolution(Conv2d, (64, 64, 3, 3), rng, padding=(1, 1))
    return conv, _table(rng)


def _vector(rng: np.random.Generator) -> tuple[Node, ...]:
    pool = MaxPool2d(name=BEFORE, format=FORMAT, source="x", kernel_size=SHAPE[1:], stride=(1, 1))
    return pool, Product(name="y", format=FORMAT, source="x", factor=BEFORE, lo=FORMAT.lo, hi=FORMAT.hi)


def _shuffled(rng: np.random.Generator) -> tuple[Node, ...]:
    conv = replace(_convolution(Conv2d, (64, 64, 1, 1), rng), name=BEFORE)
    return conv, PixelShuffle2d(name="y", format=FORMAT, source=BEFORE, factor=2)


def _maps(rng: np.random.Generator) -> tuple[Node, ...]:
    return (Product(name="y", format=FORMAT, source="x", factor="x", lo=FORMAT.lo, hi=FORMAT.hi),)


def _adaptive(size: int, places: int) -> tuple[Interval, ...]:
    ends = ((i * size // places, -(-(i + 1) * size // places)) for i in range(places))
    return tuple(Interval(first, end, end - first) for first, end in ends)


def _clipped(size: int, kernel: int, stride: int) -> tuple[Interval, ...]:
    """Windows padded by one row whose averages leave padding out."""
    places = range(-1, size + 2 - kernel, stride)
    return tuple(
        Interval(max(first, 0), end, end - max(first, 0))
        for first in places
        for end in (min(first + kernel, size),)
    )


_POOLED = partial(_plain, IntervalPool2d)
OPERATORS: dict[str, Operator] = {
    "convolution 3x3, then a table": _with_table,
    "convolution 3x3, dilation 2": _conv(64, 64, 3, 3, padding=(2, 2), dilation=(2, 2)),
    "convolution 3x3, dilation 12": _conv(64, 64, 3, 3, padding=(12, 12), dilation=(12, 12)),
    "convolution 3x3, 8 groups": _conv(64, 8, 3, 3, padding=(1, 1), groups=8),
    "convolution 3x3, 4 groups of 16": _conv(64, 16, 3, 3, padding=(1, 1), groups=4),
    "convolution 3x3, depth multiplier 2": _conv(128, 1, 3, 3, padding=(1, 1), groups=64),
    "convolution 2x2, same padding": _conv(64, 64, 2, 2, end_padding=(1, 1)),
    "convolution 15x15": _conv(16, 64, 15, 15, padding=(7, 7)),
    "convolution 1x3": _conv(64, 64, 1, 3, padding=(0, 1)),
    "transposed convolution 2x2, stride 2": _transposed(32, 64, 2, 2, stride=(2, 2)),
    "transposed convolution 4x4, stride 2": _transposed(32, 64, 4, 4, stride=(2, 2), padding=(1, 1)),
    "transposed convolution 3x3, stride 2": _transposed(
        32, 64, 3, 3, stride=(2, 2), padding=(1, 1), output_padding=(1, 1)
    ),
    "nearest upsampling by 2": _plain(Upsample2d, factors=(2, 2)),
    "bilinear upsampling by 2": _plain(Interpolate2d, factors=(2, 2), align_corners=False),
    "bilinear upsampling by 2, corners": _plain(Interpolate2d, factors=(2, 1), align_corners=True),
    "pixel shuffle by 2, behind a convolution": _shuffled,
    "pixel unshuffle by 2": _plain(PixelUnshuffle2d, factor=2),
    "maximum 3x3, dilation 2": _plain(MaxPool2d, kernel_size=(3, 3), stride=(1, 1), dilation=(2, 2)),
    "product of two maps": _maps,
    "product of a map and channels": _vector,
}
OVER_WIDE: dict[str, Operator] = {
    "convolution 16x16, stride 16": _conv(64, 16, 16, 16, stride=(16, 16)),
    "average 3x3, stride 2, without padding": _POOLED(
        is_max=False, rows=_clipped(96, 3, 2), columns=_clipped(96, 3, 2)
    ),
    "adaptive average, 96x96 to 7x7": _POOLED(is_max=False, rows=_adaptive(96, 7), columns=_adaptive(96, 7)),
    "adaptive maximum, 96x96 to 12x12": _POOLED(
        is_max=True, rows=_adaptive(96, 12), columns=_adaptive(96, 12)
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 where a row differs from the reference or misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_targets(parser)
    parser.add_argument(
        "--operators", nargs="+", choices=[*OPERATORS, *OVER_WIDE], default=[*OPERATORS, *OVER_WIDE]
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the rows go")
    arguments = parser.parse_args(words)
    rows = list(_rows(arguments.targets, arguments.operators))
    write_json(arguments.out, [asdict(row) for row in rows])
    print_table(
        f"each operator alone, seed {SEED}; bar {BAR} of the bound", HEAD, [row.cells() for row in rows]
    )
    return int(any(row.mismatches or row.ratio > BAR for row in rows))


def _rows(targets: Sequence[str], operators: Sequence[str]) -> Iterator[Row]:
    for name in targets:
        target = TARGETS[name]
        with closing(SimulatedEngine(target.engine, SimulatedDdr.of(target))) as engine:
            for operator in operators:
                yield _measured(operator, target, engine)


def _measured(operator: str, target: Target, engine: SimulatedEngine) -> Row:
    rng = np.random.default_rng(SEED)
    shape = SHAPE if operator in OPERATORS else WIDE
    nodes = (OPERATORS | OVER_WIDE)[operator](rng)
    image = Input(name="x", format=FORMAT, shape=shape)
    graph = Graph(name="alone", nodes=(image, *nodes), output=nodes[-1].name)
    codes = random_codes(rng, FORMAT, (2, *shape))
    compiled = compile_graph(graph, target.engine, FAST)
    result = engine.run(compiled, codes, profile=True)
    assert result.profile is not None
    counted = [node for node in nodes if node.name != BEFORE]
    taken = [
        int(end) - int(start)
        for descriptor, (start, end) in zip(compiled.program.descriptors, result.profile, strict=False)
        if isinstance(descriptor, Exec) and descriptor.node in {node.name for node in counted}
    ]
    bound = sum(array_cycles(graph, node, target.engine, packed=False) for node in counted)
    return Row(
        operator=operator,
        target=target.name,
        execs=len(taken),
        cycles=sum(taken),
        bound=round(bound, 1),
        ratio=round(sum(taken) / bound, 3) if bound else 0.0,
        mismatches=int((result.codes != evaluate(graph, codes)).sum()),
    )


if __name__ == "__main__":
    raise SystemExit(main())
