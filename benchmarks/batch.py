"""Cycles an input when one start runs several: what overlaps between inputs, and what a single one waits for.

python benchmarks/batch.py --networks resnet8 resnet20 --inputs 1 2 4 8 16

The first start loads the weights, the second is counted. Prints a row for each network, target and number of
inputs and writes them to build/bench/batch.json; exit status 1 where an integer differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cases import add_targets, zoo

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.flow.wording import percent
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.bounds import bounds
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.reference import evaluate

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "batch.json"
NETWORKS, INPUTS = ("lenet5", "resnet8", "resnet20"), (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network on one target, `inputs` a start."""

    network: str
    target: str
    inputs: int
    cycles: float  # an input, simulated
    predicted: float  # an input, by the cycle model
    bound: float  # an input: the least that array, scratchpad and memory allow
    mismatches: int  # output integers that differ from the reference's

    @property
    def cells(self) -> tuple[str, ...]:
        """Cells by HEAD."""
        return (
            self.network,
            self.target,
            str(self.inputs),
            f"{self.cycles:,.0f}",
            percent(self.bound / self.cycles),
            f"{100 * (self.predicted / self.cycles - 1):+.2f} %",
            str(self.mismatches),
        )


HEAD = ("network", "target", "inputs a start", "cycles an input", "of the bound", "model", "mismatches")


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 where an integer differed."""
    arguments = _parse(words)
    rows = [row for name in arguments.networks for row in _rows(name, arguments)]
    write_json(OUT, [asdict(row) for row in rows])
    print_table("cycles an input, several a start, weights resident", HEAD, [row.cells for row in rows])
    return int(any(row.mismatches for row in rows))


def _rows(network: str, arguments: argparse.Namespace) -> Iterator[Row]:
    subject = zoo(network).make(max(arguments.inputs), arguments.data)
    expected = evaluate(subject.graph, subject.codes)
    for target in (TARGETS[name] for name in arguments.targets):
        compiled, model = compile_for(subject.graph, target), DdrModel.of(target)
        least = bounds(subject.graph, compiled.program, model).cycles
        with closing(SimulatedEngine(target.engine, _memory(target))) as engine:
            for inputs in arguments.inputs:
                twice = np.concatenate([subject.codes[:inputs]] * 2)
                result = engine.run(compiled, twice, inputs_per_start=inputs)
                later = predict(compiled.program, model, weights_resident=True, inputs=inputs).cycles
                yield Row(
                    network=network,
                    target=target.name,
                    inputs=inputs,
                    cycles=result.cycles[-1] / inputs,
                    predicted=later / inputs,
                    bound=round(least, 1),
                    mismatches=int((result.codes[inputs:] != expected[:inputs]).sum()),
                )


def _memory(target: Target) -> SimulatedDdr:
    return SimulatedDdr.of(target)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", default=list(NETWORKS), help=f"default: {' '.join(NETWORKS)}")
    add_targets(parser)
    add("--inputs", nargs="+", type=int, default=list(INPUTS), help="inputs a start")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
