"""Programs of a single EXEC, and the error that an engine must report for each."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bitlathe.hls.checks import fault_of
from bitlathe.hls.compile import Compiled
from bitlathe.hls.cycles.model import exec_cycles
from bitlathe.hls.program import Descriptor, End, ErrorCode, Exec
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.rtl_tb.execs import led_astray, one_step_outside, random_exec

LONGEST = 20_000  # cycles of an EXEC that is run


def alone(network: Compiled, *descriptors: Descriptor) -> Compiled:
    """A network whose program is these descriptors instead of its own."""
    return replace(network, program=replace(network.program, descriptors=(*descriptors, End())))


def execs(
    rng: np.random.Generator, configuration: EngineConfiguration, count: int
) -> Iterator[tuple[Exec, ErrorCode]]:
    """EXECs and what is wrong with them: `count` right ones, each also a step outside, and changed."""
    for _ in range(count):
        right = random_exec(rng, configuration)
        outside = one_step_outside(right, configuration)
        for one in (right, *outside.values(), *(led_astray(rng, right) for _ in range(6))):
            fault = fault_of(one, configuration)
            if fault is not None or exec_cycles(one) <= LONGEST:
                code = ErrorCode.NONE if fault is None else fault.code
                yield one, code
