"""Speed of a search's loop through agents: candidates a minute, and the share of time outside the engine.

python benchmarks/agent_loop.py --board sim://pynq-z2 --candidates 8

Candidates are ResNet-8s of random weights; each is compiled, sent and run. The engine's time is that of the
same starts in the simulator alone. Prints a table and writes build/bench/agent_loop.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from reference import machine

from bitlathe.board.bundle import Bundle
from bitlathe.board.local import SCHEME, agents_at
from bitlathe.board.pool import Pool
from bitlathe.flow.boards.bundle import OverlayFiles, Vectors, make_bundle, simulated_overlay
from bitlathe.flow.files import write_json
from bitlathe.hls.compile.compiler import compile_for
from bitlathe.hls.sim import SimulatedDdr, SimulatedEngine
from bitlathe.hls.target.config import Target, find_target
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

ROOT = Path(__file__).resolve().parents[1]
STARTS = 3  # of a job with one image: weights loaded, weights resident, profiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured loop."""

    boards: tuple[str, ...]
    network: str
    candidates: int
    make_seconds: float  # a candidate: compiled, expected outputs computed, bundle written
    measure_seconds: float  # a candidate: sent, loaded, run, answered; agents side by side
    engine_seconds: float  # a candidate: its starts in the simulator alone
    outside_engine: float  # share of measure_seconds, for one agent
    candidates_per_minute_measured: float  # bundles at hand
    candidates_per_minute: float  # made and measured one after another


def main() -> None:
    arguments = _parse()
    row = measure(tuple(arguments.board), arguments.candidates, arguments.seed)
    for name, value in asdict(row).items():
        print(f"{name:32} {value:.3f}" if isinstance(value, float) else f"{name:32} {value}")
    write_json(arguments.out, {**machine(), "seed": arguments.seed, "rows": [asdict(row)]})


def measure(boards: tuple[str, ...], candidates: int, seed: int) -> Row:
    """Make and measure candidates; the agents are warm, as the first job is not counted."""
    board = find_target(boards[0].removeprefix(SCHEME))
    overlay = simulated_overlay(board)
    graphs = [random_resnet(np.random.default_rng(seed + number), blocks=1) for number in range(candidates)]
    with tempfile.TemporaryDirectory() as folder, agents_at(boards, None) as agents:
        began = time.monotonic()
        bundles = [_bundle(graph, board, overlay, seed, Path(folder)) for graph in graphs]
        make_seconds = (time.monotonic() - began) / candidates
        for agent in agents:
            agent.measure(_bundle(graphs[0], board, overlay, seed + 1, Path(folder)))
        began = time.monotonic()
        measured = Pool(agents).measure_all(bundles)
        measure_seconds = (time.monotonic() - began) / candidates
    assert not any(each.mismatches for each in measured)
    engine_seconds = _engine_seconds(graphs[0], board, seed)
    return Row(
        boards=boards,
        network=graphs[0].name,
        candidates=candidates,
        make_seconds=make_seconds,
        measure_seconds=measure_seconds,
        engine_seconds=engine_seconds,
        outside_engine=1 - engine_seconds / (measure_seconds * len(boards)),
        candidates_per_minute_measured=60 / measure_seconds,
        candidates_per_minute=60 / (make_seconds + measure_seconds),
    )


def _bundle(graph: Graph, board: Target, overlay: OverlayFiles, seed: int, parent: Path) -> Bundle:
    codes = random_inputs(np.random.default_rng(seed), graph, 1)
    table = np.repeat(np.arange(-128, 128).astype(np.int8)[:, np.newaxis], codes.shape[1], axis=1)
    images = (codes + 128).astype(np.uint8).transpose(0, 2, 3, 1)
    vectors = Vectors(images=images, labels=np.zeros(1, np.int32), table=table)
    return make_bundle(graph, board, overlay, vectors, parent)


def _engine_seconds(graph: Graph, board: Target, seed: int) -> float:
    compiled = compile_for(graph, board)
    codes = random_inputs(np.random.default_rng(seed), graph, 1)
    ddr = SimulatedDdr.of(board)
    with closing(SimulatedEngine(board.engine, ddr)) as engine:
        engine.run(compiled, codes)
        began = time.monotonic()
        for _ in range(STARTS):
            engine.run(compiled, codes)
        return time.monotonic() - began


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", help="sim://BOARD; several make a pool")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "agent_loop.json")
    arguments = parser.parse_args()
    arguments.board = arguments.board or ["sim://pynq-z2"]
    return arguments


if __name__ == "__main__":
    main()
