"""The whole way of a small network, from a search to bit-exact simulated hardware."""

from __future__ import annotations

import shutil
from pathlib import Path

from bitlathe.flow.errors import UsageError
from bitlathe.flow.files import write_json
from bitlathe.flow.hardware.compilation import check_replaceable, compile_for
from bitlathe.flow.hardware.simulation import SimulationOptions, SimulationResult, simulate
from bitlathe.flow.network.graph_files import read_network
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.flow.search.config import read_config
from bitlathe.flow.search.request import SearchRequest
from bitlathe.flow.search.run import NETWORK, FinishedSearch, run_search
from bitlathe.hls.target.config import find_target
from bitlathe.model.search.checkpoint import CHECKPOINT

CONFIG = Path(__file__).resolve().parents[2] / "examples" / "search" / "digits.toml"


def run_demo(out: Path, workers: int, progress: Progress = silent) -> tuple[FinishedSearch, SimulationResult]:
    """Search, compile and simulate all test images; everything made goes into `out`."""
    if not CONFIG.exists():
        raise UsageError(f"{CONFIG}: the demo's configuration is missing; install bitlathe again")
    progress(Note("1/3 searching: LeNet-5 on digits, six epochs, then the same by pruning before quantizing"))
    folder = out / "search"
    if (folder / CHECKPOINT).exists():
        shutil.rmtree(folder)  # of an earlier demo
    finished = run_search(SearchRequest(config=read_config(CONFIG), out=folder), progress)
    result = finished.result
    target = find_target(result.target)
    progress(Note(f"2/3 compiling for {target.name}"))
    network = read_network(folder / NETWORK, result.dataset, None, progress=progress)
    check_replaceable(out / target.name)
    program = compile_for(network, target)
    program.save(out / target.name)
    progress(Note(f"3/3 simulating {len(network.dataset.test_labels)} images on the engine's RTL"))
    simulation = simulate(program, SimulationOptions(workers=workers), progress)
    write_json(out / "result.json", simulation.to_json())
    return finished, simulation


def next_commands(out: Path) -> tuple[str, ...]:
    """What to try after the demo, on the network that it found."""
    found = out / "search" / NETWORK
    return (
        f"bitlathe simulate {found} --profile",
        f"bitlathe explore {found}",
        f"bitlathe deploy {found} --overlay simulated --out {out / 'board'}",
    )
