"""Cycles of networks on every target: cycle model, simulated RTL, and the array's ideal.

python benchmarks/cycles.py --networks resnet8 resnet20 --targets pynq-z2

Prints a row for each pair and writes them to build/bench/cycles.json. Weights are the package's own where
there are any, else seeded random ones: cycles depend on shapes and bits only. Images come from the network's
usual data set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bitlathe.flow.errors import MissingData
from bitlathe.flow.files import write_json
from bitlathe.flow.integer_network import IntegerNetwork, obtain
from bitlathe.flow.output import note, percent, print_table
from bitlathe.flow.request import NetworkRequest
from bitlathe.flow.simulation import Simulation, SimulationOptions, simulate
from bitlathe.hls.config import TARGETS, Target
from bitlathe.model.graph.errors import BitlatheError
from bitlathe.model.zoo import NETWORKS

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION_IMAGES = 64  # enough for sensible integers; accuracy is another benchmark
COLUMNS = (
    "network",
    "target",
    "bits",
    "cycles",
    "ideal",
    "efficiency",
    "predicted",
    "model error",
    "mismatches",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One network on one target, batch 1, weights resident where they fit."""

    network: str
    target: str
    bits: int  # of weights and activations
    images: int
    cycles: int  # an image, simulated
    cycles_first: int  # the first, whose start loads the weights
    ideal: float  # of an array that never idles
    efficiency: float  # ideal / cycles
    predicted: int  # by the cycle model
    mismatches: int
    latency_ms: float  # at the target's clock
    macs: int
    seconds: float  # wall time of the simulation

    @classmethod
    def of(cls, result: Simulation) -> Row:
        """Row of a simulation."""
        return cls(
            network=result.network,
            target=result.target,
            bits=result.weight_bits,
            images=result.images,
            cycles=result.cycles,
            cycles_first=result.cycles_first,
            ideal=result.macs / result.array_macs_per_cycle,
            efficiency=result.efficiency,
            predicted=result.predicted_cycles,
            mismatches=result.mismatches,
            latency_ms=result.latency_ms,
            macs=result.macs,
            seconds=result.seconds,
        )

    def cells(self) -> tuple[str, ...]:
        """The row as text, by COLUMNS."""
        return (
            self.network,
            self.target,
            str(self.bits),
            f"{self.cycles:,}",
            f"{self.ideal:,.0f}",
            percent(self.efficiency),
            f"{self.predicted:,}",
            percent(self.predicted / self.cycles - 1),
            str(self.mismatches),
        )


def main(words: Sequence[str] | None = None) -> int:
    """Exit status: 1 when an integer differed or a network could not be run, after all others were."""
    arguments = _parse(words)
    rows, failed = [], False
    for network in _networks(arguments):
        for target in arguments.targets:
            row = _row(network, TARGETS[target], arguments)
            failed |= row is None or row.mismatches > 0
            rows += [row] if row is not None else []
    print_table("cycles an image, batch 1", COLUMNS, [row.cells() for row in rows])
    write_json(arguments.out, [asdict(row) for row in rows])
    return int(failed)


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="all by default")
    add("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS), help="all by default")
    add("--bits", type=int, default=8, help="of weights and activations (default: 8)")
    add("--images", type=int, default=3, help="test images a network (default: 3)")
    add("--workers", type=int, default=1, help="simulated engines side by side (default: 1)")
    add("--data", type=Path, help="folder of the data sets; BITLATHE_DATA when not given")
    add("--out", type=Path, default=ROOT / "build" / "bench" / "cycles.json", help="where the rows go")
    return parser.parse_args(words)


def _networks(arguments: argparse.Namespace) -> Iterator[IntegerNetwork]:
    """The networks asked for; one whose data set is not here is left out, which stderr then tells."""
    for name in arguments.networks:
        try:
            yield _network(name, arguments)
        except MissingData as error:
            note(f"{name} is left out: {error}")


def _network(name: str, arguments: argparse.Namespace) -> IntegerNetwork:
    request = NetworkRequest(
        network=name,
        data=arguments.data,
        weight_bits=arguments.bits,
        activation_bits=arguments.bits,
        calibration_images=CALIBRATION_IMAGES,
    )
    return obtain(request)


def _row(network: IntegerNetwork, target: Target, arguments: argparse.Namespace) -> Row | None:
    """None where a target cannot run the network, which stderr then tells."""
    options = SimulationOptions(images=arguments.images, workers=arguments.workers)
    try:
        result, _ = simulate(network, target, options)
    except BitlatheError as error:
        note(f"{network.name} on {target.name}: {error}")
        return None
    return Row.of(result)


if __name__ == "__main__":
    sys.exit(main())
