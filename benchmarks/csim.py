"""Speed of the C simulation of the engine in HLS C++: multiply-accumulates a second on one core.

python benchmarks/csim.py --targets pynq-z2 --images 8

Runs a ResNet-8 of random weights, held to the reference; with plain integers, and with the exact widths of a
synthesizer. Prints a line each and writes them to build/bench/csim.json.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from reference import machine
from speed import parse, timed

from bitlathe.flow.files import write_json
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.hls.vitis.csim import HlsEngine, Types
from bitlathe.model.graph.files.account import macs_by_layer
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

EXACT_IMAGES = 1  # exact widths take seconds an image


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured speed."""

    target: str
    integers: str  # what stands for a synthesizer's integers
    network: str
    mega_macs: float  # an image, useful products alone
    images: int
    mismatches: int
    seconds: float  # wall time
    cpu_seconds: float  # time this process really had a core
    mega_macs_per_second: float
    mega_macs_per_cpu_second: float
    build_seconds: float  # next to nothing when the library was there


def main() -> int:
    """Measure each target; 1 where an integer is not the reference's."""
    arguments = parse((__doc__ or "").splitlines()[0], "csim.json")
    rows = []
    print(f"{'target':>10} {'integers':>8} {'MMAC/s':>7} {'a CPU second':>12} {'wrong':>6} {'build':>8}")
    for name in arguments.targets:
        for types in Types:
            row = measure(TARGETS[name], types, arguments.images, arguments.seed)
            rows.append(row)
            print(
                f"{row.target:>10} {row.integers:>8} {row.mega_macs_per_second:7.0f} "
                f"{row.mega_macs_per_cpu_second:12.0f} {row.mismatches:6} {row.build_seconds:6.1f} s"
            )
    write_json(arguments.out, {**machine(), "seed": arguments.seed, "rows": [asdict(row) for row in rows]})
    return int(any(row.mismatches for row in rows))


def measure(target: Target, types: Types, images: int, seed: int) -> Row:
    """Run random images, one per start."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=1)
    network = compile_graph(graph, target.engine)
    codes = random_inputs(rng, graph, images if types is Types.PLAIN else EXACT_IMAGES)
    engine, built = timed(lambda: HlsEngine(target, types))
    outputs, took = timed(lambda: engine.run(network, codes))
    macs = sum(macs_by_layer(graph).values())
    return Row(
        target=target.name,
        integers=types.name.lower(),
        network=graph.name,
        mega_macs=macs / 1e6,
        images=len(codes),
        mismatches=int((outputs.ravel() != evaluate(graph, codes).ravel()).sum()),
        seconds=took.wall,
        cpu_seconds=took.cpu,
        mega_macs_per_second=len(codes) * macs / took.wall / 1e6,
        mega_macs_per_cpu_second=len(codes) * macs / took.cpu / 1e6,
        build_seconds=built.wall,
    )


if __name__ == "__main__":
    raise SystemExit(main())
