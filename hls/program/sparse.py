"""Sparse lines of the weight store as a stream of words: a mask of what is not zero, and the codes of that.

A group is `pi` octets, an octet 8 bytes that follow one another in a line; so a line of `po` columns has
po / 8 groups, and a group's mask is a word: bit b of byte k stands for byte b of octet k. The codes of all
groups of a pass follow one another as half bytes, the low half first: two of a code, or one where a weight of
-8 to 7 is `narrow`; a pass's first line, its parameters, never is. A word of codes is sent when a group needs
it, and each mask a group ahead, so that what follows it is known in time:

    mask 0, mask 1, codes of group 0, mask 2, codes of group 1, ..., codes of the last group

The rest of a pass's last word of codes means nothing.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from bitlathe.hls.program.format import LoadWeights
from bitlathe.model.graph.arrays import Bytes, Int8s
from bitlathe.model.graph.errors import FormatError

OCTET = 8  # bytes of a line that a byte of a mask stands for
Counts = npt.NDArray[np.intp]


def stream_words(lines: Int8s, *, narrow: bool) -> Counts:
    """Words of each pass's stream, of lines (passes, lines, po, pi) whose first of a pass is parameters."""
    passes, count, po, pi = lines.shape
    coded = np.count_nonzero(lines.reshape(passes, count, -1), axis=2)
    coded[:, : 1 if narrow else count] *= 2
    words: Counts = count * po // OCTET - -coded.sum(axis=1) // (2 * pi)
    return words


def sparse_steps(load: LoadWeights, po: int, pi: int) -> float:
    """Cycles in which the engine is likely to expand a load: of four octets, two, or one (sparse_lanes.sv).

    They go together where their codes are a word at most, which the load's words tell of an octet's codes: as
    many weights are taken to be there at random, each as likely as the other.
    """
    octets = load.lines * po * pi // OCTET
    passes = -(-load.lines // (1 + load.pass_lines))
    halves = max(load.beats - octets / pi - passes / 2, 0) * 2 * pi  # a pass leaves half a word on average
    density = min(halves / (OCTET * octets * (1 if load.narrow else 2)), 1.0)
    cap = 2 * pi if load.narrow else pi
    four, two = (_at_most(cap, count * OCTET, density) for count in (4, 2))
    return octets / 4 * (four + 2 * (1 - four) + 2 * (1 - two))


def _at_most(most: int, count: int, chance: float) -> float:
    """Probability that at most so many of `count` come true.

    >>> _at_most(1, 2, 0.5)
    0.75
    """
    return sum(comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(min(most, count) + 1))


def encode_stream(lines: Int8s, *, narrow: bool) -> Bytes:
    """The passes' streams one after the other, (words, pi)."""
    passes, count, po, pi = lines.shape
    groups = count * po // OCTET
    flat = np.ascontiguousarray(lines).view(np.uint8).reshape(passes, groups, OCTET * pi)
    masks = np.packbits(flat != 0, axis=-1, bitorder="little")  # (passes, groups, pi)
    is_narrow = np.zeros(groups, np.bool_)
    is_narrow[po // OCTET :] = narrow
    halves = np.count_nonzero(flat, axis=2) * np.where(is_narrow, 1, 2)
    needed = -(-halves.cumsum(axis=1) // (2 * pi))  # words of codes up to each group
    own = np.diff(needed, axis=1, prepend=0)
    first = np.concatenate([[0], (groups + needed[:, -1]).cumsum()])  # word of each pass
    words = np.zeros((first[-1], pi), np.uint8)
    group = np.arange(groups)
    before = np.zeros_like(needed)  # words of codes ahead of each mask: of all groups but the last one
    before[:, 2:] = needed[:, :-2]
    words[first[:-1, None] + group + before] = masks
    place = np.broadcast_to(first[:-1, None] + np.minimum(group + 2, groups), own.shape)
    ordinal = np.concatenate([np.arange(total) for total in needed[:, -1]])
    words[np.repeat(place.ravel(), own.ravel()) + ordinal] = _code_words(flat, is_narrow, needed[:, -1], pi)
    return words


def _code_words(flat: Bytes, is_narrow: npt.NDArray[np.bool_], counts: Counts, pi: int) -> Bytes:
    """Words of the passes' codes, so many a pass, (words, pi)."""
    wide = np.broadcast_to(~is_narrow[:, None], flat.shape[1:])
    parts = []
    for one, count in zip(flat, counts, strict=True):
        codes = one[one != 0]
        halves = np.stack([codes & 15, codes >> 4], axis=1)
        kept = np.stack([np.ones(len(codes), np.bool_), wide[one != 0]], axis=1)
        stream = np.zeros(count * 2 * pi, np.uint8)
        sent = halves[kept]
        stream[: len(sent)] = sent
        parts.append(stream[::2] | stream[1::2] << 4)
    words: Bytes = np.concatenate(parts).reshape(-1, pi)
    return words


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Which words of a stream are masks, which are codes."""

    load: LoadWeights
    ones: list[int]  # bits that are set in each word
    octets: int  # pi
    groups_a_line: int
    masks: list[int]
    codes: list[int]
    at: int = 0

    def take(self, into: list[int]) -> None:
        """Take the next word."""
        if self.at >= len(self.ones):
            raise FormatError(
                f"{self.load.node}: its stream ends before its {self.load.lines} lines are complete; "
                "the weights are damaged"
            )
        into.append(self.at)
        self.at += 1

    def take_pass(self, lines: int) -> None:
        """Take the words of a pass of `lines`."""
        groups, missing, first = lines * self.groups_a_line, 0, len(self.masks)
        self.take(self.masks)
        for group in range(groups):
            if group + 1 < groups:
                self.take(self.masks)
            is_narrow = self.load.narrow and group >= self.groups_a_line
            missing += self.ones[self.masks[first + group]] * (1 if is_narrow else 2)
            while missing > 0:
                self.take(self.codes)
                missing -= 2 * self.octets


def decode_stream(load: LoadWeights, words: Bytes, po: int) -> Bytes:
    """The lines of a load from the words (beats, pi) of its stream, (lines * po, pi).

    FormatError where the words are not exactly those that the masks ask for.
    """
    pi, lines, size = words.shape[1], load.lines, 1 + load.pass_lines
    ones = np.unpackbits(words, axis=1).sum(axis=1).tolist()
    walk = _Walk(load=load, ones=ones, octets=pi, groups_a_line=po // OCTET, masks=[], codes=[])
    firsts = []  # word of codes of each pass
    for line in range(0, lines, size):
        firsts.append(len(walk.codes))
        walk.take_pass(min(size, lines - line))
    if walk.at != len(words):
        raise FormatError(f"{load.node}: its stream goes on after its {lines} lines; the weights are damaged")
    mask = np.unpackbits(words[walk.masks], axis=1, bitorder="little").reshape(lines, -1)
    is_narrow = load.narrow & (np.arange(lines) % size > 0)
    taken = mask * np.where(is_narrow, 1, 2)[:, None]
    ends = taken.cumsum().reshape(taken.shape)
    starts = ends - taken
    shift = np.array(firsts) * 2 * pi - starts[::size, 0]  # a pass's codes begin with a word
    at = (starts + np.repeat(shift, size)[:lines, None])[mask > 0]
    stream = words[walk.codes].ravel()
    halves = np.append(np.stack([stream & 15, stream >> 4], axis=1).ravel(), 0)
    low = halves[at]
    narrow = np.broadcast_to(is_narrow[:, None], mask.shape)[mask > 0]
    high = np.where(narrow, np.where(low > 7, 15, 0), halves[at + 1])
    decoded = np.zeros(mask.shape, np.uint8)
    decoded[mask > 0] = low | high << 4
    return decoded.reshape(-1, pi)
