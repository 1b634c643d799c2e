"""Around the load unit: descriptors in; words, weights, codes of tables, completions and records out."""

from dataclasses import replace
from typing import Any

import numpy as np

from bitlathe.hls.program import Encoding, ErrorCode, LoadMove, LoadWeights, Space
from bitlathe.hls.program.moves import bursts, decoded_columns, pixel_positions, weight_beats, word_offsets
from bitlathe.hls.program.sparse import OCTET, encode_stream
from bitlathe.hls.target.config import CODEWORD_BYTES, CODEWORDS, TABLE_CODES, TABLES
from bitlathe.rtl_tb.descriptors import (
    ADVANCE,
    BASES,
    BYTES,
    drive_spaces,
    move_bits,
    random_move,
    random_weights,
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
        bits = move_bits(load)
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


async def fails_with(bench: Bench, code: ErrorCode, index: int) -> None:
    """The next error is this one; then the unit is cleared and works again."""
    dut = bench.dut
    await run(dut, bench.agents, lambda: bool(int(dut.error_o.value)))
    assert (int(dut.error_code_o.value), int(dut.error_index_o.value)) == (code, index)
    dut.stop_i.value = 1
    await run(dut, bench.agents, lambda: not bench.memory.beats)
    await run_cycles(bench, 4)
    stored = bench.words.items
    assert not bench.expected_words or stored == bench.expected_words[: len(stored)]
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
