"""Cycles by layer add up to the run, and idle cycles are charged to what was waited for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoded_networks import chain
from matplotlib.image import imread

from bitlathe.flow.hardware.compilation import compile_for
from bitlathe.flow.hardware.profile import FINISHING, Profile
from bitlathe.flow.hardware.simulation import SimulationOptions, simulate
from bitlathe.flow.network.integer_network import IntegerNetwork
from bitlathe.flow.network.obtain import obtain
from bitlathe.flow.network.request import NetworkRequest
from bitlathe.hls.compile import Compiled, compile_graph
from bitlathe.hls.cycles.bounds import bounds
from bitlathe.hls.cycles.model import DdrModel
from bitlathe.hls.program import Opcode
from bitlathe.hls.target.config import TARGETS

PYNQ = TARGETS["pynq-z2"]


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return obtain(NetworkRequest(network="lenet5", calibration_images=4))


@pytest.fixture(scope="module")
def compiled(network: IntegerNetwork) -> Compiled:
    return compile_graph(network.graph, PYNQ.engine)


def profile_of(network: IntegerNetwork, compiled: Compiled, spans: np.ndarray, cycles: int) -> Profile:
    least = bounds(network.graph, compiled.program, DdrModel())
    return Profile.of(compiled, spans.astype(np.uint32), cycles, network.macs_by_layer, least)


def test_cycles_by_layer_add_up_to_the_run(network: IntegerNetwork, compiled: Compiled) -> None:
    count = len(compiled.program.descriptors)
    spans = np.stack([10 * np.arange(count), 10 * np.arange(count) + 7], axis=1)
    profile = profile_of(network, compiled, spans, 1000)
    executions = sum(descriptor.opcode is Opcode.EXEC for descriptor in compiled.program.descriptors)
    assert sum(row.total for row in profile.rows) == profile.cycles == 1000
    assert sum(row.cycles for row in profile.rows) == 7 * executions
    assert profile.rows[-1].layer == FINISHING
    assert sum(row.macs for row in profile.rows) == network.macs
    assert sum(row.encoded_bytes for row in profile.rows) == len(compiled.weights)


def test_zeros_take_fewer_bytes_in_memory_than_on_the_chip(rng: np.random.Generator) -> None:
    taken = {}
    for zeros in (0.0, 0.7):
        graph = chain(rng, 8, (16, 32, 40), zeros=zeros)
        compiled = compile_graph(graph, PYNQ.engine)
        spans = np.zeros((len(compiled.program.descriptors), 2), np.uint32)
        least = bounds(graph, compiled.program, DdrModel())
        rows = Profile.of(compiled, spans, 0, {}, least).rows
        taken[zeros] = max(rows, key=lambda row: row.weight_bytes)
    assert taken[0.0].weight_bytes == taken[0.7].weight_bytes == taken[0.0].encoded_bytes
    assert taken[0.7].encoded_bytes < 0.5 * taken[0.7].weight_bytes


def test_idle_cycles_before_the_awaited_load_ends_are_the_memorys(
    network: IntegerNetwork, compiled: Compiled
) -> None:
    descriptors = compiled.program.descriptors
    first = next(index for index, each in enumerate(descriptors) if each.opcode is Opcode.EXEC)
    assert descriptors[first].wait_load > 0
    spans = np.zeros((len(descriptors), 2), int)
    for index, descriptor in enumerate(descriptors):
        if descriptor.opcode in (Opcode.LOAD, Opcode.LOAD_WEIGHTS):
            spans[index] = 0, 60
        else:
            spans[index] = 100, 100
    spans[first] = 64, 100
    row = profile_of(network, compiled, spans, 100).rows[0]
    assert (row.layer, row.cycles, row.ddr_stall, row.other_stall) == (descriptors[first].node, 36, 60, 4)


def test_the_engines_own_profile_is_drawn(network: IntegerNetwork, tmp_path: Path) -> None:
    profile = simulate(compile_for(network, PYNQ), SimulationOptions(images=1)).profile
    assert sum(row.total for row in profile.rows) == profile.cycles
    assert profile.rows[0].ddr_stall > PYNQ.ddr_latency  # the image comes first
    for row in profile.rows:
        assert row.cycles >= row.array_bound >= row.peak_bound and row.ddr_stall >= 0 and row.other_stall >= 0
    profile.draw(tmp_path / "chart.png", "lenet5")
    assert imread(tmp_path / "chart.png").std() > 0.05
