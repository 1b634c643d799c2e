"""What fewer bits and fewer channels gain on the same engine: ResNet shapes against their 8-bit selves.

python benchmarks/narrow.py --target pynq-z2

Weights and images are seeded random ones: cycles depend on shapes and bits only. Prints a row a network and
writes them to build/bench/narrow.json; exit status 1 when an output integer differs from the reference's.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bitlathe.flow.files import write_json
from bitlathe.flow.output import print_table
from bitlathe.hls.compile.targeting import compile_for
from bitlathe.hls.config import TARGETS, Target
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.model.graph.graph import macs
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.random_resnet import random_resnet
from bitlathe.model.graph.reference import evaluate

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A ResNet of 6 * blocks + 2 layers; `inner` are the channels left inside the blocks of each stage."""

    blocks: int
    bits: int = 8
    inner: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        pruned = "" if self.inner is None else f", pruned to {'/'.join(map(str, self.inner))}"
        return f"ResNet-{6 * self.blocks + 2}, {self.bits} bit{pruned}"


SHAPES = (
    Shape(blocks=1),
    Shape(blocks=1, bits=4),
    Shape(blocks=3),
    Shape(blocks=3, bits=4),
    Shape(blocks=3, inner=(11, 22, 44)),
    Shape(blocks=3, inner=(8, 16, 32)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network, batch 1, weights resident where they fit."""

    network: str
    target: str
    cycles: int
    macs: int
    cycles_ratio: float  # to the whole network at 8 bits
    macs_ratio: float
    mismatches: int


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=sorted(TARGETS), default="pynq-z2")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "narrow.json")
    arguments = parser.parse_args(words)
    rows: dict[Shape, Row] = {}
    for shape in SHAPES:
        whole = rows.get(Shape(blocks=shape.blocks))
        rows[shape] = measure(shape, TARGETS[arguments.target], arguments.seed, whole)
    cells = [
        (
            row.network,
            f"{row.cycles:,}",
            f"{row.cycles_ratio:.3f}",
            f"{row.macs_ratio:.3f}",
            str(row.mismatches),
        )
        for row in rows.values()
    ]
    print_table(arguments.target, ("network", "cycles", "of 8 bit", "MACs", "mismatches"), cells)
    write_json(arguments.out, [asdict(row) for row in rows.values()])
    return int(any(row.mismatches for row in rows.values()))


def measure(shape: Shape, target: Target, seed: int, whole: Row | None) -> Row:
    """Simulate two images; cycles are the second one's, compared with `whole`'s or with its own."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=shape.blocks, inner=shape.inner, bits=shape.bits)
    codes = random_inputs(rng, graph, 2)
    ddr = SimulatedDdr(latency=target.ddr_latency, busy=target.ddr_busy)
    with closing(SimulatedEngine(target.engine, ddr)) as engine:
        result = engine.run(compile_for(graph, target), codes)
    cycles, work = result.cycles[-1], sum(macs(graph, node) for node in graph.nodes)
    return Row(
        network=shape.name,
        target=target.name,
        cycles=cycles,
        macs=work,
        cycles_ratio=cycles / (whole.cycles if whole else cycles),
        macs_ratio=work / (whole.macs if whole else work),
        mismatches=int((result.codes != evaluate(graph, codes)).sum()),
    )


if __name__ == "__main__":
    sys.exit(main())
