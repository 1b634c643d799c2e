"""Speed of the reference evaluator on ResNets of random weights.

python benchmarks/reference.py --images 1000

Prints a line for each depth and writes them to build/bench/reference.json.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bitlathe.flow.files import write_json
from bitlathe.model.graph.graph import macs
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.model.graph.random_resnet import random_resnet
from bitlathe.model.graph.reference import evaluate

ROOT = Path(__file__).resolve().parents[1]
DEPTHS = {8: 1, 20: 3, 56: 9}  # blocks a stage of each depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured speed."""

    network: str
    mega_macs: float  # an image
    images: int
    seconds: float
    images_per_second: float
    giga_macs_per_second: float
    seconds_for_10000_images: float


def main() -> None:
    arguments = _parse()
    rows = []
    print(f"{'network':>16} {'MMAC':>7} {'images/s':>9} {'GMAC/s':>7} {'10,000 images':>14}")
    for depth in arguments.depths:
        row = measure(depth, arguments.images, arguments.seed)
        rows.append(row)
        print(
            f"{row.network:>16} {row.mega_macs:7.1f} {row.images_per_second:9.0f} "
            f"{row.giga_macs_per_second:7.1f} {row.seconds_for_10000_images:12.0f} s"
        )
    write_json(arguments.out, {**machine(), "seed": arguments.seed, "rows": [asdict(row) for row in rows]})


def measure(depth: int, images: int, seed: int) -> Row:
    """Evaluate `images` random images once; a few before the clock starts wake the BLAS threads."""
    rng = np.random.default_rng(seed)
    graph = random_resnet(rng, blocks=DEPTHS[depth])
    codes = random_inputs(rng, graph, images)
    evaluate(graph, codes[:8])
    start = time.perf_counter()
    evaluate(graph, codes)
    seconds = time.perf_counter() - start
    total = sum(macs(graph, node) for node in graph.nodes)
    return Row(
        network=graph.name,
        mega_macs=total / 1e6,
        images=images,
        seconds=seconds,
        images_per_second=images / seconds,
        giga_macs_per_second=total * images / seconds / 1e9,
        seconds_for_10000_images=1e4 * seconds / images,
    )


def machine() -> dict[str, object]:
    """What the measurement depends on besides our code, and how to repeat it."""
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
