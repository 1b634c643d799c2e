"""Inside the simulator: loads put every word where the descriptor says, in order, and never elsewhere."""

import cocotb

from bitlathe.hls.program import Encoding, ErrorCode, Space
from bitlathe.hls.target.config import CODEWORD_BYTES, CODEWORDS, TABLE_CODES, TABLES
from bitlathe.rtl_tb.descriptors import ADVANCE, BASES, space_range
from bitlathe.rtl_tb.load_unit.agents import Bench, fails_with, random_sparse, run_cycles
from bitlathe.rtl_tb.traffic import run


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3], profile=[False, True])
async def every_word_lands_where_its_descriptor_says(dut, stall, profile):
    bench = await Bench.start(dut, stall=stall, profile=profile)
    bench.fill_codebook()
    for _ in range(24):
        if bench.rng.random() < 0.5:
            bench.expect_load(bench.load())
        elif bench.rng.random() < 0.3:
            bench.load_weights(skip=True)
        elif bench.rng.random() < 0.3:
            bench.expect_weights(bench.load_table())
        elif bench.rng.random() < 0.4:
            random_sparse(bench)
        else:
            bench.expect_weights(bench.load_weights())
    await bench.run(25)
    bench.check()
    indices = [record & 0xFFFF for (record,) in bench.records.items]
    assert indices == (list(range(25)) if profile else [])
    assert all((record >> 16 & 0xFFFFFFFF) <= record >> 48 for (record,) in bench.records.items)


@cocotb.test()
async def loads_follow_each_other_without_a_gap(dut):
    bench = await Bench.start(dut)
    shape = {"segment_words": 64, "segments": 1, "row_words": 64, "line": 0, "plane": 0, "offset": 0}
    for _ in range(6):
        bench.expect_load(bench.load(**shape, space=Space.INPUT))
    await bench.run(6)
    bench.check()
    first, last = bench.words.cycles[0], bench.words.cycles[-1]
    assert last - first + 1 <= 6 * 64 + 6, "more than a cycle lost from a load to the next"
    assert bench.memory.burst_cycles[0] == 4, "cycles from a descriptor to its first burst"
    assert first == bench.memory.burst_cycles[0] + bench.memory.latency + 1


@cocotb.test()
@cocotb.parametrize(encoding=[Encoding.DIAGONAL, Encoding.NIBBLES, Encoding.INDICES])
async def encoded_weights_take_a_beat_a_cycle(dut, encoding):
    bench = await Bench.start(dut)
    bench.fill_codebook()
    coded = {"encoding": encoding, "pass_lines": 3, "weight_line": 0, "offset": 0}
    for _ in range(2):
        bench.expect_weights(bench.load_weights(**coded, beats=64))
    await bench.run(3)
    bench.check()
    first, last = bench.octets.cycles[0], bench.octets.cycles[-1]
    assert last - first + 1 <= 2 * 64 + 1, "more than a cycle lost from a load to the next"


@cocotb.test()
async def codes_of_a_table_come_two_a_cycle(dut):
    bench = await Bench.start(dut)
    for table in range(3):
        whole = {"weight_line": table * TABLE_CODES // bench.pi, "beats": TABLE_CODES // bench.pi}
        bench.expect_weights(bench.load_table(**whole))
    await bench.run(3)
    bench.check()
    first, last = bench.pieces.cycles[0], bench.pieces.cycles[-1]
    assert last - first + 1 <= 3 * TABLE_CODES // 2 + 2, "more than a cycle lost from a load to the next"


@cocotb.test()
async def an_index_finds_the_codeword_of_the_beat_before(dut):
    bench = await Bench.start(dut)
    for beats in (1, CODEWORDS * CODEWORD_BYTES // bench.pi):
        codewords = {"encoding": Encoding.CODEBOOK, "weight_line": 0, "beats": beats}
        indices = {"encoding": Encoding.INDICES, "pass_lines": 1, "beats": bench.po + 1, "weight_line": 5}
        bench.fill_codebook()
        bench.expect_weights(bench.load_weights(**codewords))
        bench.expect_weights(bench.load_weights(**indices))
    await bench.run(6)
    bench.check()


@cocotb.test()
async def a_skipped_load_costs_no_memory_access_and_keeps_its_turn(dut):
    bench = await Bench.start(dut, profile=True)
    bench.expect_load(bench.load())
    for _ in range(3):
        bench.load_weights(skip=True)
    await bench.run(4)
    bench.check()
    ends = [record >> 48 for (record,) in bench.records.items]
    starts = [record >> 16 & 0xFFFFFFFF for (record,) in bench.records.items]
    assert starts[1:] == ends[1:] and ends == sorted(ends)


@cocotb.test()
@cocotb.parametrize(beyond=["segment", "offset", "advance"])
async def a_load_beyond_its_space_is_never_asked_for(dut, beyond):
    bench = await Bench.start(dut)
    bench.memory.legal = legal = space_range(Space.INPUT)
    room = len(legal) - ADVANCE[Space.INPUT]
    bench.load(space=Space.INPUT, offset=0, segment_words=8, segments=1)
    wrong = {
        "segment": {
            "offset": room - 24 * bench.pi,
            "segment_words": 16,
            "segments": 2,
            "segment_stride": 16 * bench.pi,
        },
        "offset": {"offset": (1 << 32) - bench.pi, "segment_words": 1, "segments": 1},
        "advance": {"offset": room, "segment_words": 1, "segments": 1},
    }[beyond]
    bench.load(space=Space.INPUT, **wrong)
    await stays_legal(bench, index=1)


async def stays_legal(bench: Bench, index: int) -> None:
    await run(bench.dut, bench.agents, lambda: bool(int(bench.dut.error_o.value)))
    bench.memory.legal = None
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, index)


@cocotb.test()
async def a_load_up_to_the_last_byte_of_its_space_is_fine(dut):
    bench = await Bench.start(dut)
    bench.memory.legal = space_range(Space.OUTPUT)
    room = len(bench.memory.legal) - ADVANCE[Space.OUTPUT]
    fields = {"offset": room - 24 * bench.pi, "segment_words": 24, "segments": 1, "segment_stride": 0}
    bench.expect_load(bench.load(space=Space.OUTPUT, **fields))
    await bench.run(1)
    bench.check()


@cocotb.test()
@cocotb.parametrize(line=["last", "negative", "plane"])
async def a_line_beyond_the_scratchpad_is_never_written(dut, line):
    bench = await Bench.start(dut)
    shape = {"segment_words": 3, "segments": 1, "row_words": 1, "row_bank": 0, "bank": 0, "plane": 0}
    wrong = {
        "last": {"line": bench.lines - 2, "row_line": 1},
        "negative": {"line": 0, "row_line": -1},
        "plane": {
            "line": bench.lines - 1,
            "row_line": 0,
            "segments": 2,
            "plane": (1 << 16) - bench.lines + 5,
        },
    }[line]
    bench.load(**(shape | wrong))
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    assert all(written < bench.lines for written, _, _ in bench.words.items)
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, 0)


@cocotb.test()
@cocotb.parametrize(encoding=list(Encoding)[: Encoding.CODEBOOK])
async def weights_beyond_their_store_are_never_written(dut, encoding):
    bench = await Bench.start(dut)
    bench.fill_codebook()
    last = {"weight_line": bench.weight_lines - 1, "pass_lines": 1}
    bench.load_weights(encoding=encoding, **last, beats=bench.po + 1, offset=0)
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    assert {line for line, _, _ in bench.octets.items} == {bench.weight_lines - 1}
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, 1)


@cocotb.test()
async def codewords_beyond_the_codebook_change_none(dut):
    bench = await Bench.start(dut)
    bench.fill_codebook()
    words = CODEWORDS * CODEWORD_BYTES // bench.pi
    beyond = bench.load_weights(encoding=Encoding.CODEBOOK, weight_line=words - 1, beats=3)
    bench.codebook[-bench.pi :] = bench.data(beyond)[0].to_bytes(bench.pi, "little")
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, 1)
    coded = {"encoding": Encoding.INDICES, "pass_lines": 8, "beats": bench.po + 8, "weight_line": 0}
    bench.expect_weights(bench.load_weights(**coded))
    await bench.run(2)
    bench.check()


@cocotb.test()
async def codes_beyond_the_tables_are_never_written(dut):
    bench = await Bench.start(dut)
    words = TABLES * TABLE_CODES // bench.pi
    bench.load_table(weight_line=words - 1, beats=3)
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    await run_cycles(bench, bench.pi)
    assert [line for line, _ in bench.pieces.items] == list(range(1024 - bench.pi // 2, 1024))
    await fails_with(bench, ErrorCode.OUT_OF_BOUNDS, 0)
    bench.expect_weights(bench.load_table())
    await bench.run(2)
    bench.check()


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def a_read_error_names_the_load_it_belongs_to(dut, stall):
    bench = await Bench.start(dut, stall=stall)
    for _ in range(2):
        bench.expect_load(bench.load())
    broken = bench.load(space=Space.SCRATCH, offset=0, segment_words=40, segments=1)
    bench.expect_load(broken)
    del bench.expected_words[-20]  # the faulty word; some behind it may be stored until the unit is stopped
    bench.expect_load(bench.load())
    bench.memory.broken = {BASES[Space.SCRATCH] + broken.offset + 20 * bench.pi}
    await fails_with(bench, ErrorCode.AXI_READ, 2)
