"""Inside the simulator: an EXEC is refused when hls/checks.py refuses it, with the same error, in time."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from bitlathe.hls.checks import fault_of
from bitlathe.hls.program import ErrorCode, Exec
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.rtl_tb.descriptors import bits_of
from bitlathe.rtl_tb.execs import led_astray, one_step_outside, random_exec
from bitlathe.rtl_tb.stimulus import random_generator, reset

LATENCY = 18  # cycles, as the module's header says
CASES = 150
LARGE = 0.1  # share of EXECs of any size that the fields hold


def configuration_of(dut: Any) -> EngineConfiguration:
    """The engine that the module's parameters describe."""
    return EngineConfiguration(
        pi=int(dut.PI.value),
        po=int(dut.PO.value),
        pp=int(dut.PP.value),
        banks=int(dut.Banks.value),
        bank_lines=int(dut.BankLines.value),
        weight_lines=int(dut.WeightLines.value),
    )


def drawn(rng: np.random.Generator, configuration: EngineConfiguration) -> Exec:
    """An EXEC that the engine takes, large now and then: here it is judged and not run."""
    return random_exec(rng, configuration, is_large=rng.random() < LARGE)


async def judged(dut: Any, one: Exec) -> ErrorCode:
    """The verdicts of the two checks on an EXEC; reach_check's comes after LATENCY cycles, in one cycle."""
    dut.desc_i.value = bits_of(one)
    dut.start_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.start_i.value = 0
    said = []
    for _ in range(LATENCY + 4):
        await RisingEdge(dut.clk_i)
        said.append((bool(int(dut.bad_field_o.value)), bool(int(dut.beyond_o.value))))
    if int(dut.field_o.value):
        return ErrorCode.BAD_FIELD
    bad_field, beyond = said.pop(LATENCY - 1)
    assert not any(map(any, said)), "a verdict before its time, or after"
    return ErrorCode.BAD_FIELD if bad_field else ErrorCode.OUT_OF_BOUNDS if beyond else ErrorCode.NONE


async def start(dut: Any) -> EngineConfiguration:
    dut.start_i.value, dut.desc_i.value = 0, 0
    await reset(dut)
    return configuration_of(dut)


@cocotb.test()
async def an_exec_within_its_stores_is_taken(dut):
    configuration, rng = await start(dut), random_generator()
    for _ in range(CASES):
        one = drawn(rng, configuration)
        assert fault_of(one, configuration) is None, one
        assert await judged(dut, one) is ErrorCode.NONE, one


@cocotb.test()
async def an_exec_one_word_outside_is_refused(dut):
    configuration, rng = await start(dut), random_generator()
    for _ in range(CASES // 4):
        one = drawn(rng, configuration)
        for where, moved in one_step_outside(one, configuration).items():
            assert await judged(dut, moved) is ErrorCode.OUT_OF_BOUNDS, (where, moved)


@cocotb.test()
async def any_change_is_judged_as_specified(dut):
    configuration, rng = await start(dut), random_generator()
    seen = dict.fromkeys((ErrorCode.NONE, ErrorCode.BAD_FIELD, ErrorCode.OUT_OF_BOUNDS), 0)
    for _ in range(3 * CASES):
        one = led_astray(rng, drawn(rng, configuration))
        fault = fault_of(one, configuration)
        expected = ErrorCode.NONE if fault is None else fault.code
        assert await judged(dut, one) is expected, (one, fault)
        seen[expected] += 1
    assert min(seen.values()) > CASES // 20, seen


@cocotb.test()
async def a_reset_in_the_middle_of_a_check_leaves_nothing_of_it(dut):
    configuration, rng = await start(dut), random_generator()
    one = random_exec(rng, configuration)
    beyond = one_step_outside(one, configuration)["out after"]
    for cycles in range(LATENCY):
        dut.desc_i.value = bits_of(beyond)
        dut.start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.start_i.value = 0
        for _ in range(cycles):
            await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 0
        await RisingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        assert await judged(dut, one) is ErrorCode.NONE
