"""Inside the simulator: sparse weights come back from their streams, and streams that lie stop the load."""

import cocotb
import numpy as np

from bitlathe.hls.program import ErrorCode, Space
from bitlathe.hls.program.sparse import encode_stream
from bitlathe.rtl_tb.descriptors import BASES
from bitlathe.rtl_tb.load_unit.agents import Bench, fails_with, run_cycles, sparse_lines
from bitlathe.rtl_tb.traffic import run


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], narrow=[False, True])
async def sparse_lines_come_back_whatever_is_zero(dut, stall, narrow):
    bench = await Bench.start(dut, stall=stall)
    cases = [sparse_lines(bench, 2, 5, zeros, narrow) for zeros in (0, 0.6, 0.97, 1)]
    for place in (0, -1):  # one weight at either end
        cases.append(np.zeros((1, 3, bench.po, bench.pi), np.int8))
        cases[-1].reshape(-1)[place] = -5
    for lines in cases:
        bench.expect_sparse(bench.load_sparse(lines, narrow=narrow), lines)
        bench.expect_load(bench.load())
    await bench.run(2 * len(cases))
    bench.check()


@cocotb.test()
@cocotb.parametrize(zeros=[0.6, 0.8], narrow=[False, True])
async def sparse_words_come_as_fast_as_memory_gives_three_quarters(dut, zeros, narrow):
    bench = await Bench.start(dut, stall=0.0)
    lines = sparse_lines(bench, 1, 40, zeros, narrow)
    load = bench.load_sparse(lines, narrow=narrow)
    bench.expect_sparse(load, lines)
    await bench.run(1)
    bench.check()
    first, last = bench.octets.cycles[0], bench.octets.cycles[-1]
    steps = lines.size / 32  # at least
    assert last - first <= max(load.beats / 0.75, 1.1 * steps) + 10


@cocotb.test()
@cocotb.parametrize(
    wrong=["truncated", "one word too few", "one word too many", "a line more", "a line less", "other masks"],
    stall=[0.0, 0.3],
)
async def a_stream_that_is_not_as_long_as_its_masks_say_stops_the_load(dut, wrong, stall):
    bench = await Bench.start(dut, stall=stall)
    narrow = bool(bench.rng.integers(2))
    lines = sparse_lines(bench, 3, 6, 0.6, narrow)
    beats = len(encode_stream(lines, narrow=narrow))
    changes = {
        "truncated": {"beats": beats // 2},
        "one word too few": {"beats": beats - 1},
        "one word too many": {"beats": beats + 1},
        "a line more": {"lines": 19},
        "a line less": {"lines": 17},
        "other masks": {},
    }[wrong]
    load = bench.load_sparse(lines, narrow=narrow, weight_line=bench.weight_lines - 19, **changes)
    if wrong == "other masks":
        bench.streams[BASES[Space.WEIGHTS] + load.offset] ^= (1 << 8 * bench.pi) - 1
    bench.load()
    dut = bench.dut
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    reached = {line for line, _, _ in bench.octets_seen()}
    assert reached <= set(range(load.weight_line, load.weight_line + load.lines))
    assert not bench.completions.cycles
    await fails_with(bench, ErrorCode.BAD_STREAM, 0)


@cocotb.test()
async def sparse_lines_beyond_the_store_are_never_written(dut):
    bench = await Bench.start(dut)
    lines = sparse_lines(bench, 2, 4, 0.5, False)
    bench.load_sparse(lines, narrow=False, weight_line=bench.weight_lines - 7)
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    await run_cycles(bench, 20)
    assert not bench.octets.items
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, 0)
