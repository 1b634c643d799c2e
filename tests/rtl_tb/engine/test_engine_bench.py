"""Whole networks on the engine in cocotb, between AXI models of another maker than its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitlathe.rtl_tb.engine.bench as engine_bench
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.emit import engine_parameters
from bitlathe.hls.sim.memory import WriteOrder
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.data.load import data_root
from bitlathe.model.graph.files.archive import write_graph
from bitlathe.model.graph.fixed_point import IntArray
from bitlathe.model.graph.graph import Graph
from bitlathe.model.graph.random_inputs import random_inputs
from bitlathe.rtl_tb.launch import run_bench
from bitlathe.rtl_tb.random_networks.graphs import random_graph
from bitlathe.rtl_tb.random_networks.resnet import random_resnet

BENCH = Path(engine_bench.__file__)
SOURCES = [BENCH.with_name("engine_with_ids.sv"), BENCH.with_name("axi_rules.sv")]
BOARD = TARGETS["pynq-z2"].engine
SMALL = EngineConfiguration(pi=8, po=16, pp=3, banks=5, bank_lines=1024, weight_lines=512)
STALL = 40  # percent, where a test stalls


@pytest.fixture
def run_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int):
    """Function that runs a graph's input codes on an engine and compares every output integer."""

    def run(
        graph: Graph,
        codes: IntArray,
        configuration: EngineConfiguration,
        *,
        stall: int,
        order: WriteOrder | None = None,
    ) -> None:
        files = tmp_path / "network.blg", tmp_path / "codes.npy"
        write_graph(graph, files[0])
        np.save(files[1], codes)
        monkeypatch.setenv(engine_bench.GRAPH_VARIABLE, str(files[0]))
        monkeypatch.setenv(engine_bench.CODES_VARIABLE, str(files[1]))
        monkeypatch.setenv(engine_bench.STALL_VARIABLE, str(stall))
        if order is not None:
            monkeypatch.setenv(engine_bench.ORDER_VARIABLE, order.name)
        run_bench(
            "engine_with_ids",
            bench=engine_bench.__name__,
            parameters=engine_parameters(configuration),
            sources=SOURCES,
            seed=seed,
        )

    return run


def _quantized(network: str, data: Path | None = None) -> tuple[Graph, IntArray]:
    """A trained network and the codes of one test image."""
    made = obtain(NetworkRequest(network=network, data=data, calibration_images=128))
    images, _ = made.test_images(1)
    return made.graph, made.preprocess.codes(images)


@pytest.mark.parametrize("stall", [0, STALL])
def test_lenet_on_the_boards_engine(run_network, stall: int) -> None:
    graph, codes = _quantized("lenet5")
    run_network(graph, codes, BOARD, stall=stall)


@pytest.mark.slow
def test_a_residual_network_on_the_boards_engine(run_network, rng: np.random.Generator) -> None:
    root = data_root()
    if root is not None and (root / "cifar10").is_dir():
        graph, codes = _quantized("resnet8", root)
    else:
        graph = random_resnet(rng, blocks=1)
        codes = random_inputs(rng, graph, 1)
    run_network(graph, codes, BOARD, stall=0)


@pytest.mark.parametrize(("draw", "stall"), [(0, 0), (1, STALL), (2, STALL)])
def test_a_random_network_on_a_small_engine(
    run_network, rng: np.random.Generator, draw: int, stall: int
) -> None:
    graph = random_graph(rng, budget=60_000, product=draw == 2)
    run_network(graph, random_inputs(rng, graph, 2), SMALL, stall=stall)


@pytest.mark.parametrize(
    "order", [WriteOrder.DATA_OFFERED, WriteOrder.DATA_FIRST, WriteOrder.ADDRESSES_FIRST]
)
def test_a_memory_may_take_addresses_and_data_in_any_order(
    run_network, rng: np.random.Generator, order: WriteOrder
) -> None:
    graph = random_graph(rng, budget=30_000)
    run_network(graph, random_inputs(rng, graph, 2), SMALL, stall=STALL, order=order)
