"""Cycles over the memory's speed: what the headline networks take where DDR is slower or faster than assumed.

python benchmarks/memory.py --networks resnet8 resnet20 --busy 0.5 0.75 1 --latency 20 40 80 160

`busy` is the share of cycles that bring a beat once a burst flows, `latency` the cycles from a burst's
address to its first beat. No burst has more than the 16 beats that AXI3 allows, and no more are on their way
than the board's port takes. Simulated RTL, weights resident: the second start is counted. Prints a line for
each network, target and latency, and writes a row for each memory to build/bench/memory.json; exit status 1
where an integer differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import groupby, product
from pathlib import Path

from cases import add_targets, zoo

from bitlathe.flow.cli.output import print_table
from bitlathe.flow.files import write_json
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.cycles.model import DdrModel, predict
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.reference import evaluate

OUT = Path(__file__).resolve().parents[1] / "build" / "bench" / "memory.json"
NETWORKS = ("lenet5", "resnet8", "resnet20", "resnet56")
BUSY, LATENCIES = (0.5, 0.75, 1.0), (20, 40, 80, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network on one target behind one memory."""

    network: str
    target: str
    busy: float
    latency: int  # cycles
    cycles: int  # of the second start, simulated
    predicted: int  # the same, by the cycle model
    mismatches: int  # output integers that differ from the reference's


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 where an integer differed."""
    arguments = _parse(words)
    rows = [row for name in arguments.networks for row in _rows(name, arguments)]
    write_json(OUT, [asdict(row) for row in rows])
    print_table("cycles, weights resident", head(arguments.busy), list(lines(rows)))
    worst = max(abs(row.predicted / row.cycles - 1) for row in rows)
    print(f"the cycle model is at most {100 * worst:.2f} % off")
    return int(any(row.mismatches for row in rows))


def head(shares: Sequence[float]) -> tuple[str, ...]:
    """Names of the columns of `lines`."""
    return "network", "target", "latency", *(f"busy {share:g}" for share in shares)


def lines(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """A line for each network, target and latency, the memory's share of busy cycles from left to right."""
    for (network, target, latency), same in groupby(rows, lambda row: (row.network, row.target, row.latency)):
        yield network, target, str(latency), *(f"{row.cycles:,}" for row in same)


def _rows(network: str, arguments: argparse.Namespace) -> Iterator[Row]:
    subject = zoo(network).make(2, arguments.data)
    expected = evaluate(subject.graph, subject.codes)
    for target, latency, busy in product(arguments.targets, arguments.latency, arguments.busy):
        board = TARGETS[target]
        compiled, model = (
            compile_for(subject.graph, board),
            replace(DdrModel.of(board), busy=busy, latency=latency),
        )
        with closing(SimulatedEngine(board.engine, _memory(board, busy, latency))) as engine:
            result = engine.run(compiled, subject.codes)
        yield Row(
            network=network,
            target=target,
            busy=busy,
            latency=latency,
            cycles=result.cycles[-1],
            predicted=predict(compiled.program, model, weights_resident=True).cycles,
            mismatches=int((result.codes != expected).sum()),
        )


def _memory(board: Target, busy: float, latency: int) -> SimulatedDdr:
    return replace(SimulatedDdr.of(board), busy=busy, latency=latency)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", default=list(NETWORKS), help=f"default: {' '.join(NETWORKS)}")
    add_targets(parser)
    add("--busy", nargs="+", type=float, default=list(BUSY), help="shares of cycles that bring a beat")
    add("--latency", nargs="+", type=int, default=list(LATENCIES), help="cycles to a burst's first beat")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
