"""Cycles by layer add up to the run."""

from __future__ import annotations

import numpy as np

from bitlathe.flow.integer_network import obtain
from bitlathe.flow.profile import WAITING, Profile
from bitlathe.flow.request import NetworkRequest
from bitlathe.hls.compile import compile_graph
from bitlathe.hls.config import TARGETS
from bitlathe.hls.program import Opcode


def test_cycles_by_layer_add_up_to_the_run() -> None:
    network = obtain(NetworkRequest(network="lenet5", calibration_images=4))
    compiled = compile_graph(network.graph, TARGETS["pynq-z2"].engine)
    count = len(compiled.program.descriptors)
    spans = np.stack([10 * np.arange(count), 10 * np.arange(count) + 7], axis=1).astype(np.uint32)
    profile = Profile.of(compiled, spans, 1000, network.macs_by_layer)
    executions = sum(descriptor.opcode is Opcode.EXEC for descriptor in compiled.program.descriptors)
    assert sum(row.cycles for row in profile.rows) == profile.cycles == 1000
    assert profile.rows[-1].layer == WAITING and profile.rows[-1].cycles == 1000 - 7 * executions
    assert sum(row.macs for row in profile.rows) == network.macs
    assert [row[2] for row in profile.table()][-1] == f"{100 - 0.7 * executions:.1f} %"
