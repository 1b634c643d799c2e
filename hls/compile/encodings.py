"""How the lines of a layer are stored in DDR: by the encoding of fewest beats that gives the same lines.

The choice depends on the lines, not on the bits or codebooks that the graph states. So weights that
were trained as codewords, but that do not suit the engine, are stored plain.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitlathe.hls.program import Encoding
from bitlathe.hls.program.sparse import encode_stream, stream_words
from bitlathe.hls.target.config import CODEWORD_BYTES, CODEWORDS
from bitlathe.model.graph.arrays import Int8s

Used = npt.NDArray[np.bool_]  # (passes, po)

SAMPLE = 1 << 13  # codewords that are counted first, to give up early
NIBBLE = range(-8, 8)
CODEBOOK_COST = 32  # beats in the time that one more load takes
SPARSE_COST = 16  # beats in the time from the last word of a sparse load to its last line


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedLines:
    """A layer's lines in DDR."""

    encoding: Encoding
    words: Int8s  # (words, pi): each pass a parameter line, then the kernel's lines as encoded
    pass_words: tuple[int, ...]  # from the first word to each pass's, and to the end
    codebook: Int8s  # (words, pi); none but for INDICES
    narrow: bool = False  # codes of SPARSE lines have 4 bits

    @property
    def cost(self) -> int:
        """Beats that load it all; a codebook's descriptor counts too."""
        return len(self.words) + len(self.codebook) + (CODEBOOK_COST if len(self.codebook) else 0)


def encoded(lines: Int8s, used: Used) -> EncodedLines:
    """The encoding of fewest beats for lines (passes, lines, po, pi); each pass's first line is parameters.

    Columns that are not `used` hold no channel: a codeword there may be any.
    """
    dense = min(_candidates(lines, used), key=lambda one: (one.cost, one.encoding))
    narrow = _is_narrow(lines[:, 1:])
    ends = stream_words(lines, narrow=narrow).cumsum()
    if lines.shape[1] == 1 or ends[-1] + SPARSE_COST >= dense.cost:
        return dense
    return EncodedLines(
        encoding=Encoding.SPARSE,
        words=encode_stream(lines, narrow=narrow).view(np.int8),
        pass_words=(0, *ends.tolist()),
        codebook=dense.codebook[:0],
        narrow=narrow,
    )


def _candidates(lines: Int8s, used: Used) -> Iterator[EncodedLines]:
    kernel, none = lines[:, 1:], np.zeros((0, lines.shape[-1]), np.int8)
    yield _encoded(Encoding.COLUMNS, lines, kernel, none)
    if not kernel.size:
        return
    if _is_diagonal(kernel):
        lane = np.arange(kernel.shape[-1])
        yield _encoded(Encoding.DIAGONAL, lines, kernel[:, :, lane, lane], none)
    if _is_narrow(kernel):
        halves = (kernel[:, :, ::2] & 15) | (kernel[:, :, 1::2] << 4)
        yield _encoded(Encoding.NIBBLES, lines, halves, none)
    if (found := _indices(kernel, used)) is not None:
        yield _encoded(Encoding.INDICES, lines, *found)


def _encoded(encoding: Encoding, lines: Int8s, kernel: Int8s, codebook: Int8s) -> EncodedLines:
    passes, pi = len(lines), lines.shape[-1]
    words = np.concatenate([lines[:, 0], kernel.reshape(passes, -1, pi)], axis=1)
    starts = tuple(range(0, (passes + 1) * words.shape[1], words.shape[1]))
    return EncodedLines(encoding=encoding, words=words.reshape(-1, pi), pass_words=starts, codebook=codebook)


def _is_narrow(kernel: Int8s) -> bool:
    return bool(kernel.size) and NIBBLE.start <= int(kernel.min()) and int(kernel.max()) < NIBBLE.stop


def _is_diagonal(kernel: Int8s) -> bool:
    po, pi = kernel.shape[-2:]
    return not kernel[..., ~np.eye(po, pi, dtype=bool)].any()


def _indices(kernel: Int8s, used: Used) -> tuple[Int8s, Int8s] | None:
    """Indices (passes, lines * po * pi / 8) and the codebook; None when there are too many codewords."""
    passes, count, po, pi = kernel.shape
    rows = np.ascontiguousarray(kernel).reshape(-1, CODEWORD_BYTES).view(np.uint64)
    rows = rows.reshape(passes, count, po, -1)
    taken = rows.transpose(0, 2, 1, 3)[used].ravel()
    if len(np.unique(taken[:SAMPLE])) > CODEWORDS:
        return None
    codewords = np.unique(taken)
    if not 0 < len(codewords) <= CODEWORDS:
        return None
    indices = np.searchsorted(codewords, np.where(used[:, None, :, None], rows, codewords[0]))
    room = -(-codewords.nbytes // pi) * pi // CODEWORD_BYTES
    codebook = np.zeros(room, np.uint64)
    codebook[: len(codewords)] = codewords
    return indices.astype(np.uint8).view(np.int8).reshape(passes, -1), codebook.view(np.int8).reshape(-1, pi)
