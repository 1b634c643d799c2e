"""A compiled network fits the DDR that its board gives it, or is refused."""

from dataclasses import replace

import numpy as np
import pytest
from compiled_networks import vgg

from bitlathe.hls.compile.compiler import MIB, compile_for, ddr_bytes
from bitlathe.hls.target.config import TARGETS, EngineConfiguration
from bitlathe.model.graph.errors import CapacityError


def test_what_lies_in_ddr_is_counted_and_bounded(rng: np.random.Generator) -> None:
    graph = vgg(rng, 64, 64)
    spilling = replace(TARGETS["pynq-z2"], engine=EngineConfiguration(bank_lines=600, weight_lines=2200))
    compiled = compile_for(graph, spilling)
    assert compiled.scratch_bytes > 0
    assert ddr_bytes(compiled) > len(compiled.weights) + compiled.scratch_bytes > MIB
    with pytest.raises(CapacityError) as refusal:
        compile_for(graph, replace(spilling, ddr_window_mib=1))
    assert str(refusal.value) == (
        f"{graph.name}: {ddr_bytes(compiled) / MIB:.1f} MiB of weights and maps in DDR, "
        "pynq-z2 has a window of 1 MiB; prune the network, quantize to fewer bits or use smaller images"
    )
