"""Shared by the benchmarks of simulators: their options, and wall time beside time on a core."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from cases import add_targets

BENCH = Path(__file__).resolve().parents[1] / "build" / "bench"
Result = TypeVar("Result")


class Took(NamedTuple):
    """Seconds of one call."""

    wall: float
    cpu: float  # in which this process really had a core


def timed(call: Callable[[], Result]) -> tuple[Result, Took]:
    """A call's result and how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, Took(time.perf_counter() - wall, time.process_time() - cpu)


def parse(description: str, rows: str) -> argparse.Namespace:
    """Targets, images, seed, and the file of the rows, called `rows` if not said otherwise."""
    parser = argparse.ArgumentParser(description=description)
    add_targets(parser)
    parser.add_argument("--images", type=int, default=8, help="images that are simulated")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=BENCH / rows)
    return parser.parse_args()
