"""Memories of the functional simulator, and the moves between them."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bitlathe.hls.program import Encoding, LoadMove, LoadWeights, Move, Space, StoreMove
from bitlathe.hls.program.moves import line_beats
from bitlathe.hls.program.sparse import decode_stream
from bitlathe.hls.target.config import (
    CODEWORD_BYTES,
    CODEWORDS,
    TABLE_CODES,
    TABLES,
    EngineConfiguration,
)
from bitlathe.model.graph.arrays import Bytes
from bitlathe.model.graph.errors import FormatError

Positions = npt.NDArray[np.int64]
POISON = 0xA5


@dataclass(slots=True, kw_only=True)
class MarkedWords:
    """The words of a memory, each with a mark that something wrote it."""

    name: str
    words: Bytes  # (words, bytes)
    written: npt.NDArray[np.bool_]  # (words,)

    @classmethod
    def poisoned(cls, name: str, words: int, word_bytes: int) -> "MarkedWords":
        """A store that nothing was written to."""
        return cls(
            name=name,
            words=np.full((words, word_bytes), POISON, np.uint8),
            written=np.zeros(words, np.bool_),
        )

    @classmethod
    def filled(cls, name: str, data: Bytes, word_bytes: int) -> "MarkedWords":
        """A store that holds `data`."""
        words = data.reshape(-1, word_bytes).copy()
        return cls(name=name, words=words, written=np.ones(len(words), np.bool_))

    def read(self, at: Positions, where: str) -> Bytes:
        """Words at positions; FormatError beyond the store or where nothing was written."""
        self._check(at, where)
        if not self.written[at].all():
            first = at[~self.written[at]].flat[0]
            raise FormatError(
                f"{where}: reads word {first} of the {self.name}, which nothing wrote; a wait is missing"
            )
        return self.words[at]

    def write(self, at: Positions, words: Bytes, where: str) -> None:
        """Write words to positions; FormatError beyond the store."""
        self._check(at, where)
        self.words[at] = words
        self.written[at] = True

    def write_half(self, at: Positions, words: Bytes, half: int, where: str) -> None:
        """Write the low 4 bits of every byte into the low (0) or high (1) half of the bytes at positions."""
        self._check(at, where)
        kept = self.words[at] & (0xF0, 0x0F)[half]
        self.write(at, (kept | (words & 15) << 4 * half).astype(np.uint8), where)

    def _check(self, at: Positions, where: str) -> None:
        if at.size and not 0 <= at.min() <= at.max() < len(self.words):
            raise FormatError(
                f"{where}: words {at.min()}..{at.max()} of the {self.name}, which has {len(self.words)}; "
                "the program is wrong"
            )


def strided(origin: int, steps: tuple[int, ...], counts: tuple[int, ...]) -> Positions:
    """Positions origin + sum(index * step) over a grid of `counts`.

    >>> strided(5, (10, 1), (2, 3)).tolist()
    [[5, 6, 7], [15, 16, 17]]
    """
    grid = np.full(counts, origin, np.int64)
    for axis, (step, count) in enumerate(zip(steps, counts, strict=True)):
        grid += (np.arange(count) * step).reshape(
            [-1 if axis == other else 1 for other in range(len(counts))]
        )
    return grid


@dataclass(slots=True, kw_only=True)
class Machine:
    """Scratchpad, weight store, codebook, tables and DDR of one engine."""

    configuration: EngineConfiguration
    scratchpad: MarkedWords  # word line * banks + bank
    weights: MarkedWords  # word line * po + column
    codebook: MarkedWords
    tables: MarkedWords
    ddr: dict[Space, MarkedWords] = field(default_factory=dict)
    ends: list[dict[Space, MarkedWords]] = field(default_factory=list)  # input and output of each input

    @classmethod
    def poisoned(cls, configuration: EngineConfiguration, weights: bytes, scratch_bytes: int) -> "Machine":
        """A machine that has run nothing yet."""
        word = configuration.word_bytes
        machine = cls(
            configuration=configuration,
            scratchpad=MarkedWords.poisoned(
                "scratchpad", configuration.bank_lines * configuration.banks, word
            ),
            weights=MarkedWords.poisoned("weight store", configuration.weight_lines * configuration.po, word),
            codebook=MarkedWords.poisoned("codebook", CODEWORDS * CODEWORD_BYTES // word, word),
            tables=MarkedWords.poisoned("tables", TABLES * TABLE_CODES // word, word),
        )
        machine.ddr[Space.WEIGHTS] = MarkedWords.filled(
            "weights in DDR", np.frombuffer(weights, np.uint8), word
        )
        machine.ddr[Space.SCRATCH] = MarkedWords.poisoned("scratch space", scratch_bytes // word, word)
        return machine

    def open(self, inputs: Bytes, output_bytes: int) -> None:
        """Place inputs (N, bytes) in DDR, and poison where their outputs go."""
        word = self.configuration.word_bytes
        self.ends = [
            {
                Space.INPUT: MarkedWords.filled("input", data, word),
                Space.OUTPUT: MarkedWords.poisoned("output", output_bytes // word, word),
            }
            for data in inputs
        ]

    def present(self, index: int) -> None:
        """Let descriptors see the input and the output of a number."""
        self.ddr.update(self.ends[index])

    def forget(self) -> None:
        """Make all intermediate maps poison again."""
        for store in (self.scratchpad, self.ddr[Space.SCRATCH]):
            store.words[:] = POISON
            store.written[:] = False

    def outputs(self) -> Bytes:
        """Bytes of the finished outputs, (N, bytes)."""
        stores = [end[Space.OUTPUT] for end in self.ends]
        return np.stack([store.read(np.arange(len(store.words)), "the host").ravel() for store in stores])

    def load(self, load: LoadMove) -> None:
        """DDR to scratchpad."""
        ddr, chip, memory = self._move(load, (Space.INPUT, Space.SCRATCH))
        self.scratchpad.write(chip, memory.read(ddr, load.node), load.node)

    def store(self, store: StoreMove) -> None:
        """Scratchpad to DDR."""
        ddr, chip, memory = self._move(store, (Space.OUTPUT, Space.SCRATCH))
        memory.write(ddr, self.scratchpad.read(chip, store.node), store.node)

    def _move(self, move: Move, spaces: tuple[Space, ...]) -> tuple[Positions, Positions, MarkedWords]:
        """Words in DDR and in the scratchpad, both (segments, rows, words a row), and the DDR memory."""
        if move.space not in spaces:
            raise FormatError(f"{move.node}: goes to space {move.space}, allowed are {spaces}")
        banks, word, width = self.configuration.banks, self.configuration.word_bytes, move.row_words
        if move.segment_words % width:
            raise FormatError(
                f"{move.node}: rows of {width} words do not fit segments of {move.segment_words}"
            )
        counts = (move.segments, move.segment_words // width, width)
        ddr = strided(move.offset // word, (move.segment_stride // word, width, 1), counts)
        row = (width - 1) + move.row_line * banks + move.row_bank
        chip = strided(move.line * banks + move.bank, (move.plane * banks, row, 1), counts)
        return ddr, chip, self.ddr[Space(move.space)]

    def load_weights(self, load: LoadWeights) -> None:
        """DDR to weight store, to the codebook or to the tables."""
        source = load.offset // self.configuration.word_bytes + np.arange(load.beats)
        beats = self.ddr[Space(load.space)].read(source, load.node)
        encoding = Encoding(load.encoding)
        if encoding in (Encoding.CODEBOOK, Encoding.TABLE):
            store = self.codebook if encoding is Encoding.CODEBOOK else self.tables
            store.write(load.weight_line + np.arange(len(beats)), beats, load.node)
            return
        columns = beats if encoding is Encoding.COLUMNS else self._decoded(load, encoding, beats)
        first = load.weight_line * self.configuration.po
        self.weights.write(first + np.arange(len(columns)), columns, load.node)

    def _decoded(self, load: LoadWeights, encoding: Encoding, beats: Bytes) -> Bytes:
        """Columns of whole passes: a parameter line and `pass_lines` encoded lines each."""
        po, pi = self.configuration.po, self.configuration.pi
        if encoding is Encoding.SPARSE:
            return decode_stream(load, beats, po)
        size = po + load.pass_lines * line_beats(encoding, po)
        if len(beats) % size:
            raise FormatError(f"{load.node}: {len(beats)} beats are not whole passes of {size}")
        passes = beats.reshape(-1, size, pi)
        decoder = {
            Encoding.DIAGONAL: self._diagonal,
            Encoding.NIBBLES: self._nibbles,
            Encoding.INDICES: self._codewords,
        }[encoding]
        coded = decoder(passes[:, po:].reshape(-1, pi), load.node)
        columns: Bytes = np.concatenate([passes[:, :po], coded.reshape(len(passes), -1, pi)], axis=1)
        return columns.reshape(-1, pi)

    def _diagonal(self, beats: Bytes, where: str) -> Bytes:
        """Columns of one line a beat: column o < pi holds byte o at place o."""
        pi, po = self.configuration.pi, self.configuration.po
        lines = np.zeros((len(beats), po, pi), np.uint8)
        lines[:, np.arange(pi), np.arange(pi)] = beats
        return lines

    def _nibbles(self, beats: Bytes, where: str) -> Bytes:
        """Two columns a beat, the low halves first."""
        halves = np.stack([beats & 15, beats >> 4], axis=1)
        return np.where(halves > 7, halves | 0xF0, halves).astype(np.uint8)

    def _codewords(self, beats: Bytes, where: str) -> Bytes:
        """Eight bytes an index."""
        words = self.configuration.pi // CODEWORD_BYTES
        at = beats.astype(np.int64)
        found = self.codebook.read(at // words, where).reshape(-1, words, CODEWORD_BYTES)
        codewords: Bytes = found[np.arange(at.size), at.ravel() % words]
        return codewords
