"""`bitlathe demo`: the whole way of a small network, from a search to bit-exact simulated hardware."""

from __future__ import annotations

import shutil
from pathlib import Path

from bitlathe.flow.compilation import check_replaceable, compile_for, write_compilation
from bitlathe.flow.errors import UsageError
from bitlathe.flow.files import write_json
from bitlathe.flow.integer_network import read_network
from bitlathe.flow.output import note, task
from bitlathe.flow.search import NETWORK, Finished, SearchRequest, run_search
from bitlathe.flow.simulation import Simulation, SimulationOptions, simulate
from bitlathe.hls.config import find_target
from bitlathe.model.search.checkpoint import CHECKPOINT

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "search" / "digits.toml"


def run_demo(out: Path, workers: int) -> tuple[Finished, Simulation]:
    """Search, compile and simulate all test images; everything made lies in `out`."""
    if not CONFIG.exists():
        raise UsageError(f"{CONFIG}: the demo's configuration is missing; install bitlathe again")
    note("1/3 searching: LeNet-5 on digits (the simulator is built first, once)")
    folder = out / "search"
    if (folder / CHECKPOINT).exists():
        shutil.rmtree(folder)  # of an earlier demo
    finished = run_search(SearchRequest(config=CONFIG, out=folder))
    result = finished.result
    target = find_target(result.target)
    note(f"2/3 compiling for {target.name}")
    network = read_network(folder / NETWORK, result.dataset, None)
    check_replaceable(out / target.name)
    write_compilation(network, compile_for(network, target), target, out / target.name)
    images = len(network.dataset.test_labels)
    note(f"3/3 simulating {images} images on the engine's RTL")
    with task("simulating", images) as advance:
        simulation, _ = simulate(network, target, SimulationOptions(workers=workers), advance)
    write_json(out / "result.json", simulation.to_json())
    return finished, simulation
