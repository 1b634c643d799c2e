"""Speed of the simulated engine: cycles a second on one core, for each target.

python benchmarks/simulator.py --targets pynq-z2 --images 8

Runs a ResNet-8 of random weights; prints one line per target and writes them to build/bench/simulator.json.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass

import numpy as np
from reference import machine
from speed import parse, timed

from bitlathe.flow.files import write_json
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine, engine_model
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.random_networks.resnet import random_resnet


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
    arguments = parse((__doc__ or "").splitlines()[0], "simulator.json")
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
    """Run `images` random images, one per start, after one that loads the weights."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=1)
    network, codes = compile_graph(graph, target.engine), random_inputs(rng, graph, images)
    library, built = timed(lambda: engine_model(target.engine))
    ddr = SimulatedDdr.of(target)
    with closing(SimulatedEngine(target.engine, ddr, library=library)) as engine:
        engine.run(network, codes[:1])
        result, took = timed(lambda: engine.run(network, codes))
    cycles = result.counters.statistics["cycles"]
    return Row(
        target=target.name,
        macs_per_cycle=target.engine.macs_per_cycle,
        network=graph.name,
        cycles_per_image=result.cycles[-1],
        images=images,
        seconds=took.wall,
        cpu_seconds=took.cpu,
        mega_cycles_per_second=cycles / took.wall / 1e6,
        mega_cycles_per_cpu_second=cycles / took.cpu / 1e6,
        images_per_second=images / took.wall,
        build_seconds=built.wall,
    )


if __name__ == "__main__":
    main()
