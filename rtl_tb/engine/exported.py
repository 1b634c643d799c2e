"""The whole-engine bench on the Verilog that HLS exported: random networks, every integer the reference's."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bitlathe.hls.emit import engine_parameters
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.archive import write_graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.launch import bench_failure
from bitlathe.rtl_tb.random_networks.graphs import random_graph

HERE = Path(__file__).parent
TOP = "exported_engine"
BENCH = "bitlathe.rtl_tb.engine.bench"
VERILOG = "hdl/verilog"  # of an exported IP
BUDGET = 60_000  # multiply-accumulates of a network
RUNS = ((0, 0), (1, 40), (2, 40))  # seed of a network, percent of cycles in which a channel stalls


def exported_failure(ip: Path, configuration: EngineConfiguration) -> str | None:
    """The faults that the bench finds in an exported IP, or None; ToolError without Verilog."""
    folder = ip / VERILOG
    design = sorted((*folder.glob("*.v"), *folder.glob("*.sv")), key=_packages_first)
    if not design:
        raise ToolError(f"{folder}: no Verilog in the exported IP; see the tool's log")
    for seed, stall in RUNS:
        with _network(seed, stall):
            failure = bench_failure(
                TOP,
                bench=BENCH,
                seed=seed,
                parameters=engine_parameters(configuration),
                design=[*design, HERE / "axi_rules.sv", HERE / f"{TOP}.sv"],
                beside=sorted(folder.glob("*.dat")),
            )
        if failure:
            return failure
    return None


def _packages_first(path: Path) -> tuple[bool, str]:
    return not path.stem.endswith("_pkg"), path.name


@contextmanager
def _network(seed: int, stall: int) -> Iterator[None]:
    """A random network and its inputs, where the bench looks for them."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, budget=BUDGET)
    with tempfile.TemporaryDirectory(prefix="bitlathe-") as scratch:
        write_graph(graph, Path(scratch) / "network.blg")
        np.save(Path(scratch) / "codes.npy", random_inputs(rng, graph, 2))
        values = {
            "BITLATHE_BENCH_GRAPH": f"{scratch}/network.blg",
            "BITLATHE_BENCH_CODES": f"{scratch}/codes.npy",
            "BITLATHE_BENCH_STALL": str(stall),
            "BITLATHE_BENCH_HLS": "1",
        }
        with _environment(values):
            yield


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
