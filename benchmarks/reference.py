"""Speed of the integer evaluators on ResNets of random weights, beside PyTorch's float32.

python benchmarks/reference.py --images 1000

Prints a line for each depth and evaluator and writes them to build/bench/reference.json. All run with
OMP_NUM_THREADS threads. The reference is the one that defines the integers; compiled code gives the same.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bitlathe.flow.files import write_json
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph, macs
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.reference import evaluate
from bitlathe.model.native.evaluator import CompiledGraph
from bitlathe.model.zoo import build
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

ROOT = Path(__file__).resolve().parents[1]
DEPTHS = {8: 1, 20: 3, 56: 9}  # blocks a stage of each depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured speed."""

    network: str
    evaluator: str
    mega_macs: float  # an image
    images: int
    seconds: float
    images_per_second: float
    giga_macs_per_second: float
    seconds_for_10000_images: float


def main() -> None:
    arguments = _parse()
    rows = []
    heads = ("network", "evaluator", "MMAC", "images/s", "GMAC/s", "10,000 images")
    print("{:>16} {:>10} {:>7} {:>9} {:>7} {:>14}".format(*heads))
    for depth in arguments.depths:
        for row in measure(depth, arguments.images, arguments.seed):
            rows.append(row)
            print(
                f"{row.network:>16} {row.evaluator:>10} {row.mega_macs:7.1f} {row.images_per_second:9.0f} "
                f"{row.giga_macs_per_second:7.1f} {row.seconds_for_10000_images:12.0f} s"
            )
    write_json(arguments.out, {**machine(), "seed": arguments.seed, "rows": [asdict(row) for row in rows]})


def measure(depth: int, images: int, seed: int) -> Iterator[Row]:
    """Evaluate `images` random images once by each evaluator; SystemExit where their integers differ."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=DEPTHS[depth])
    codes = random_inputs(rng, graph, images)
    if (evaluate(graph, codes[:8]) != CompiledGraph(graph).evaluate(codes[:8])).any():
        raise SystemExit(f"{graph.name}: the compiled evaluator differs from the reference")
    network, pixels = build(f"resnet{depth}", seed=seed).eval(), torch.from_numpy(codes).float() / 128
    yield _timed("reference", graph, codes, lambda some: evaluate(graph, some))
    yield _timed("compiled", graph, codes, CompiledGraph(graph).evaluate)
    yield _timed("float32", graph, pixels, lambda some: [network(batch) for batch in some.split(100)])


@torch.no_grad()
def _timed(
    name: str, graph: Graph, images: IntArray | Tensor, run: Callable[[IntArray | Tensor], object]
) -> Row:
    """One evaluator's row; a few images before the clock starts wake its threads."""
    count, total = len(images), sum(macs(graph, node) for node in graph.needed)
    run(images[:8])
    start = time.perf_counter()
    run(images)
    seconds = time.perf_counter() - start
    return Row(
        network=graph.name,
        evaluator=name,
        mega_macs=total / 1e6,
        images=count,
        seconds=seconds,
        images_per_second=count / seconds,
        giga_macs_per_second=total * count / seconds / 1e9,
        seconds_for_10000_images=1e4 * seconds / count,
    )


def machine() -> dict[str, object]:
    """Everything besides our code that the measurement depends on, and how to repeat it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "command": shlex.join(["python", *sys.argv]),
    }


def _processor() -> str:
    """Name of the processor as Linux tells it, else what Python knows."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", choices=sorted(DEPTHS), default=sorted(DEPTHS))
    parser.add_argument("--images", type=int, default=1000, help="images that are evaluated")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "reference.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
