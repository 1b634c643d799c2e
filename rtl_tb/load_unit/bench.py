"""Inside the simulator: loads put every word where the descriptor says, in order, and never elsewhere."""

from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from bitlathe.hls.program import Encoding, ErrorCode, LoadMove, LoadWeights, Space
from bitlathe.hls.program.moves import bursts, decoded_columns, pixel_positions, weight_beats, word_offsets
from bitlathe.hls.program.sparse import OCTET, encode_stream
from bitlathe.hls.target.config import CODEWORD_BYTES, CODEWORDS, TABLE_CODES, TABLES
from bitlathe.rtl_tb.descriptors import (
    ADVANCE,
    BASES,
    BYTES,
    bits_of,
    drive_spaces,
    random_move,
    random_weights,
    space_range,
)
from bitlathe.rtl_tb.stimulus import random_generator, reset
from bitlathe.rtl_tb.traffic import ReadMemory, ReadPorts, Sink, Source, quiet, run, word_at

BURSTS = ReadPorts(
    valid="burst_valid_o",
    ready="burst_ready_i",
    address="burst_address_o",
    beats="burst_beats_o",
    beats_bias=0,
    rvalid="rvalid_i",
    rready="rready_o",
    rdata="rdata_i",
    rerror="rerror_i",
    error_value=1,
)
INPUTS = (
    "clear_i",
    "stop_i",
    "now_i",
    "profile_on_i",
    "desc_valid_i",
    "desc_i",
    "desc_index_i",
    "desc_advance_i",
    "desc_skip_i",
)


class Clock:
    """The run's cycle, as the unit and the records see it."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.now = dut, 0

    def drive(self) -> None:
        self.dut.now_i.value = self.now

    def sample(self) -> None:
        self.now += 1


class Bench:
    """Descriptors in; words, weight columns, codes of tables, completions and records out."""

    def __init__(self, dut: Any, rng: np.random.Generator, stall: float) -> None:
        self.dut, self.rng = dut, rng
        self.pi, self.po, self.banks = int(dut.PI.value), int(dut.PO.value), int(dut.Banks.value)
        self.lines, self.weight_lines = int(dut.BankLines.value), int(dut.WeightLines.value)
        self.descriptors = Source(dut, "desc_valid_i", "desc_ready_o", rng, stall)
        self.memory = ReadMemory(
            dut, BURSTS, rng, word_bytes=self.pi, stall=stall, latency=20, contents=self.word
        )
        self.streams: dict[int, int] = {}  # words of sparse weights, by address
        self.known: set[int] = set()  # addresses whose words a test has read
        words = ("load_line_o", "load_bank_o", "load_data_o")
        self.words = Sink(dut, "load_valid_o", "load_ready_i", words, rng, stall)
        octets = ("wload_line_o", "wload_mask_o", "wload_data_o")
        self.octets = Sink(dut, "wload_valid_o", None, octets, rng)
        pieces = ("table_line_o", "table_data_o")
        self.pieces = Sink(dut, "table_valid_o", "table_ready_i", pieces, rng, stall)
        self.completions = Sink(dut, "done_o", None, (), rng)
        self.records = Sink(dut, "record_valid_o", "record_ready_i", ("record_o",), rng, stall)
        self.clock = Clock(dut)
        self.sent = 0
        self.expected_words: list[tuple[int, ...]] = []
        self.expected_octets: list[tuple[int, ...]] = []  # line, number in it, bytes
        self.expected_pieces: list[tuple[int, ...]] = []
        self.codebook = bytearray(CODEWORDS * CODEWORD_BYTES)
        self.expected_bursts: list[tuple[int, int]] = []

    @classmethod
    async def start(cls, dut: Any, *, stall: float = 0.0, profile: bool = False) -> "Bench":
        """A bench after reset."""
        quiet(dut, INPUTS)
        bench = cls(dut, random_generator(), stall)
        drive_spaces(dut)
        await reset(dut)
        dut.profile_on_i.value = int(profile)
        return bench

    @property
    def agents(self) -> list[Any]:
        sinks = [self.words, self.octets, self.pieces, self.completions, self.records]
        return [self.descriptors, self.memory, *sinks, self.clock]

    def send(self, load: LoadMove | LoadWeights, *, skip: bool = False) -> None:
        """Queue a descriptor."""
        bits = bits_of(load) & ((1 << 272) - 1)
        self.descriptors.queue.append(
            {
                "desc_i": bits,
                "desc_index_i": self.sent,
                "desc_advance_i": ADVANCE[Space(load.space)] // self.pi,
                "desc_skip_i": int(skip),
            }
        )
        self.sent += 1

    def load(self, **changes: int) -> LoadMove:
        """Queue a random LOAD, changed."""
        space = Space(int(self.rng.integers(4)))
        fields = random_move(self.rng, banks=self.banks, lines=self.lines, word_bytes=self.pi, space=space)
        load = LoadMove(**(fields | changes))
        self.send(load)
        return load

    def load_weights(self, *, skip: bool = False, **changes: int) -> LoadWeights:
        """Queue a random LOAD_WEIGHTS, changed."""
        load = random_weights(self.rng, po=self.po, lines=self.weight_lines, word_bytes=self.pi)
        load = replace(load, **changes)
        self.send(load, skip=skip)
        return load

    def expect_load(self, load: LoadMove) -> None:
        places = pixel_positions(load, self.banks)
        for place, data in zip(places, self.data(load), strict=True):
            self.expected_words.append((*place, data))

    def expect_weights(self, load: LoadWeights) -> None:
        for beat, data in zip(weight_beats(load, self.po), self.data(load), strict=True):
            word = data.to_bytes(self.pi, "little")
            if beat.encoding is Encoding.CODEBOOK:
                self.codebook[beat.line * self.pi : (beat.line + 1) * self.pi] = word
                continue
            if beat.encoding is Encoding.TABLE:
                pairs = [int.from_bytes(word[first : first + 2], "little") for first in range(0, self.pi, 2)]
                self.expected_pieces += enumerate(pairs, beat.line * self.pi // 2)
                continue
            columns = b"".join(decoded_columns(beat, word, bytes(self.codebook)))
            self.expect_octets(beat.line, columns, first=beat.columns.start * self.pi // OCTET)

    def expect_octets(self, line: int, data: bytes, first: int = 0) -> None:
        """Expect bytes in octets of a line, from the `first` on."""
        for place in range(0, len(data), OCTET):
            octet = int.from_bytes(data[place : place + OCTET], "little")
            self.expected_octets.append((line, first + place // OCTET, octet))

    def load_sparse(self, contents: np.ndarray, *, narrow: bool, **changes: int) -> LoadWeights:
        """Put the stream of lines (passes, lines, po, pi) into memory and queue its load, changed."""
        words = encode_stream(contents, narrow=narrow)
        count = contents.shape[0] * contents.shape[1]
        addresses = self._free(len(words) + 2)  # a test may ask for more words than there are
        self.streams |= {
            address: int.from_bytes(word.tobytes(), "little")
            for address, word in zip(addresses, words, strict=False)
        }
        fields = {
            "offset": addresses[0] - BASES[Space.WEIGHTS],
            "beats": len(words),
            "weight_line": int(self.rng.integers(self.weight_lines - count + 1)),
            "pass_lines": contents.shape[1] - 1,
            "lines": count,
        }
        load = LoadWeights(space=Space.WEIGHTS, encoding=Encoding.SPARSE, narrow=narrow, **(fields | changes))
        self.send(load)
        return load

    def _free(self, words: int) -> range:
        """Addresses in the weights that nothing else reads."""
        while True:
            first = int(self.rng.integers(BYTES[Space.WEIGHTS] // self.pi - words))
            begin = BASES[Space.WEIGHTS] + first * self.pi
            addresses = range(begin, begin + words * self.pi, self.pi)
            if not self.known.intersection(addresses):
                self.known.update(addresses)
                return addresses

    def expect_sparse(self, load: LoadWeights, lines: np.ndarray) -> None:
        self.data(load)
        for number, line in enumerate(lines.reshape(load.lines, -1)):
            self.expect_octets(load.weight_line + number, line.tobytes())

    def word(self, address: int) -> int:
        """The word that memory holds at an address."""
        return self.streams.get(address, word_at(address, self.pi))

    def fill_codebook(self) -> None:
        """Load all codewords, so that any index has one."""
        beats = CODEWORDS * CODEWORD_BYTES // self.pi
        fields = {"encoding": Encoding.CODEBOOK, "beats": beats, "weight_line": 0, "offset": 8 * self.pi}
        self.expect_weights(self.load_weights(**fields))

    def load_table(self, **changes: int) -> LoadWeights:
        """Queue a load of some codes of the tables, changed."""
        words = TABLES * TABLE_CODES // self.pi
        first = int(self.rng.integers(words))
        beats = int(self.rng.integers(1, min(words - first, 40) + 1))
        fields = {
            "encoding": Encoding.TABLE,
            "weight_line": first,
            "beats": beats,
            "pass_lines": 0,
            "offset": 0,
        }
        return self.load_weights(**(fields | changes))

    def data(self, load: LoadMove | LoadWeights) -> list[int]:
        """Words that memory holds where the descriptor points; notes the bursts on the way."""
        base = BASES[Space(load.space)] + ADVANCE[Space(load.space)]
        self.expected_bursts += [(burst.address, burst.beats) for burst in bursts(load, base, self.pi)]
        addresses = [base + offset for offset in word_offsets(load, self.pi)]
        self.known.update(addresses)
        return [self.word(address) for address in addresses]

    def octets_seen(self) -> list[tuple[int, ...]]:
        """What reached the weight store, octet by octet."""
        octets = range(self.po * self.pi // OCTET)
        return [
            (line, place, data >> 64 * place & (1 << 64) - 1)
            for line, mask, data in self.octets.items
            for place in octets
            if mask >> place & 1
        ]

    async def run(self, completions: int, limit: int = 20_000) -> None:
        """Run until as many descriptors are complete and their records are out."""
        await run(
            self.dut, self.agents, lambda: len(self.completions.cycles) >= completions and self.idle, limit
        )

    @property
    def idle(self) -> bool:
        return not int(self.dut.busy_o.value) and not int(self.dut.record_valid_o.value)

    def check(self) -> None:
        """Check that everything arrived, in order, and nothing else did."""
        assert self.words.items == self.expected_words
        assert self.octets_seen() == self.expected_octets
        assert self.pieces.items == self.expected_pieces
        assert self.memory.bursts == self.expected_bursts


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


def sparse_lines(bench: Bench, passes: int, count: int, zeros: float, narrow: bool) -> np.ndarray:
    """Lines of which a share is zero."""
    lines = bench.rng.integers(-128, 128, (passes, count, bench.po, bench.pi)).astype(np.int8)
    if narrow:
        lines[:, 1:] >>= 4
    lines[bench.rng.random(lines.shape) < zeros] = 0
    return lines


def random_sparse(bench: Bench) -> None:
    """Queue a load of sparse lines, from all zero to none."""
    passes, count = int(bench.rng.integers(1, 4)), int(bench.rng.integers(2, 9))
    zeros, narrow = float(bench.rng.choice([0, 0.2, 0.6, 0.8, 0.97, 1])), bool(bench.rng.integers(2))
    lines = sparse_lines(bench, passes, count, zeros, narrow)
    bench.expect_sparse(bench.load_sparse(lines, narrow=narrow), lines)


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


async def fails_with(bench: Bench, code: ErrorCode, index: int) -> None:
    """The next error is this one; then the unit is cleared and works again."""
    dut = bench.dut
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == (code, index)
    dut.stop_i.value = 1
    await run(dut, bench.agents, lambda: not bench.memory.beats)
    await run_cycles(bench, 4)
    dut.clear_i.value = 1
    await run_cycles(bench, 1)
    dut.clear_i.value = dut.stop_i.value = 0
    bench.descriptors.queue.clear()
    for sink in (bench.words, bench.octets, bench.pieces, bench.completions):
        sink.items.clear()
        sink.cycles.clear()
    for expected in (
        bench.expected_words,
        bench.expected_octets,
        bench.expected_pieces,
        bench.expected_bursts,
    ):
        expected.clear()
    bench.memory.bursts.clear()
    bench.memory.broken.clear()
    bench.expect_load(bench.load())
    await bench.run(1)
    bench.check()


async def run_cycles(bench: Bench, count: int) -> None:
    stop = bench.clock.now + count
    await run(bench.dut, bench.agents, lambda: bench.clock.now >= stop)


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
        bench.load()
    broken = bench.load(space=Space.SCRATCH, offset=0, segment_words=40, segments=1)
    bench.load()
    bench.memory.broken = {BASES[Space.SCRATCH] + broken.offset + 20 * bench.pi}
    await fails_with(bench, ErrorCode.AXI_READ, 2)
