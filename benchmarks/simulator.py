"""Speed of the simulated engine: cycles a second on one core, for each target.

python benchmarks/simulator.py --targets pynq-z2 --images 8

Runs a ResNet-8 of random weights; prints a line a target and writes them to build/bench/simulator.json.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from reference import machine

from bitlathe.flow.files import write_json
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.config import TARGETS, Target
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine, engine_model
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.random_resnet import random_resnet

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured speed."""

    target: str
    macs_per_cycle: int  # of the array
    network: str
    cycles_per_image: int
    images: int
    seconds: float  # wall time
    cpu_seconds: float  # time this process really had a core
    mega_cycles_per_second: float
    mega_cycles_per_cpu_second: float
    images_per_second: float
    build_seconds: float  # next to nothing when the library was there


def main() -> None:
    arguments = _parse()
    rows = []
    print(
        f"{'target':>10} {'MAC/cycle':>9} {'Mcycle/s':>9} {'a CPU second':>12} {'images/s':>9} {'build':>8}"
    )
    for name in arguments.targets:
        row = measure(TARGETS[name], arguments.images, arguments.seed)
        rows.append(row)
        print(
            f"{row.target:>10} {row.macs_per_cycle:9} {row.mega_cycles_per_second:9.2f} "
            f"{row.mega_cycles_per_cpu_second:12.2f} {row.images_per_second:9.1f} {row.build_seconds:6.1f} s"
        )
    write_json(arguments.out, {**machine(), "seed": arguments.seed, "rows": [asdict(row) for row in rows]})


def measure(target: Target, images: int, seed: int) -> Row:
    """Run `images` random images one a start, after one that loads the weights."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=1)
    network, codes = compile_graph(graph, target.engine), random_inputs(rng, graph, images)
    began = time.perf_counter()
    library = engine_model(target.engine)
    built = time.perf_counter() - began
    ddr = SimulatedDdr(latency=target.ddr_latency, busy=target.ddr_busy)
    with closing(SimulatedEngine(target.engine, ddr, library=library)) as engine:
        engine.run(network, codes[:1])
        wall, cpu = time.perf_counter(), time.process_time()
        result = engine.run(network, codes)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cycles = result.counters.statistics["cycles"]
    return Row(
        target=target.name,
        macs_per_cycle=target.engine.macs_per_cycle,
        network=graph.name,
        cycles_per_image=result.cycles[-1],
        images=images,
        seconds=wall,
        cpu_seconds=cpu,
        mega_cycles_per_second=cycles / wall / 1e6,
        mega_cycles_per_cpu_second=cycles / cpu / 1e6,
        images_per_second=images / wall,
        build_seconds=built,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", choices=sorted(TARGETS), default=list(TARGETS))
    parser.add_argument("--images", type=int, default=8, help="images that are simulated")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "simulator.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
