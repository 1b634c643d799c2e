"""Engine configurations and targets: what is built, and for which board."""

import re
import zlib
from dataclasses import asdict, dataclass, replace

from bitlathe.model.graph.errors import CapacityError

PROGRAM_VERSION = 2
INPUT_CHANNELS = 8, 16  # a cycle, that the engine is written for
CODEWORDS, CODEWORD_BYTES = 256, 8  # of the codebook, which product-quantized weights index


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfiguration:
    """Sizes of one engine; everything else about it follows from these.

    A *word* is `pi` bytes: one pixel of one channel tile, one AXI beat, one line of a scratchpad bank.
    """

    pi: int = 8  # input channels a cycle; also bytes a word and bytes an AXI beat
    po: int = 8  # output channels a cycle, a multiple of pi
    pp: int = 6  # output pixels a cycle
    banks: int = 7  # scratchpad banks; coprime to the strides, so neighbouring pixels never collide
    bank_lines: int = 4096  # words a bank
    weight_lines: int = 4608  # pi * po byte lines of the weight store

    def __post_init__(self) -> None:
        if self.pi not in INPUT_CHANNELS or self.po % self.pi or not 1 <= self.po // self.pi <= 4:
            raise CapacityError(
                f"array of {self.pi} x {self.po} channels: pi must be 8 or 16 and po 1 to 4 times pi"
            )
        if not 1 <= self.pp <= self.banks or not 2 <= self.banks <= 15:
            raise CapacityError(
                f"{self.pp} pixels over {self.banks} banks: needs 1 <= pp <= banks and 2 <= banks <= 15"
            )
        if min(self.bank_lines, self.weight_lines) < 2:
            raise CapacityError("a bank and the weight store need 2 lines at least; choose more")
        if self.bank_lines > 1 << 15 or self.weight_lines > 1 << 16:
            raise CapacityError("a bank holds at most 32768 lines, the weight store 65536; choose fewer")

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates the array starts each cycle."""
        return self.pi * self.po * self.pp

    @property
    def word_bytes(self) -> int:
        return self.pi

    @property
    def weight_line_bytes(self) -> int:
        return self.pi * self.po

    @property
    def sub_tiles(self) -> int:
        """Words that one pixel of an output tile fills."""
        return self.po // self.pi

    @property
    def label(self) -> str:
        """The sizes in one word, as `configuration` reads them.

        >>> EngineConfiguration().label
        '8x8x6-7x4096-4608'
        """
        array = f"{self.pi}x{self.po}x{self.pp}"
        return f"{array}-{self.banks}x{self.bank_lines}-{self.weight_lines}"

    @property
    def identity(self) -> int:
        """32-bit identity read back from the engine; a program names the one it was built for."""
        return zlib.crc32(repr((PROGRAM_VERSION, tuple(sorted(asdict(self).items())))).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A board: part, clock, memory, and the engine configuration built for it."""

    name: str
    part: str
    clock_mhz: float  # the clock the engine is meant to close at (an estimate until synthesized)
    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int
    ddr_busy: float  # share of cycles in which the DDR model delivers a beat
    ddr_latency: int  # cycles from an address to its first beat
    port_bytes: int  # of the widest memory port, a beat of which is a word
    ddr_window_mib: int  # contiguous memory that the board's image keeps for the fabric (CMA)
    engine: EngineConfiguration


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="pynq-z2",
            part="xc7z020clg400-1",
            clock_mhz=150.0,
            lut=53_200,
            ff=106_400,
            dsp=220,
            bram36=140,
            uram=0,
            ddr_busy=0.75,
            ddr_latency=40,
            port_bytes=8,
            ddr_window_mib=128,
            engine=EngineConfiguration(),
        ),
        Target(
            name="zcu104",
            part="xczu7ev-ffvc1156-2-e",
            clock_mhz=250.0,
            lut=230_400,
            ff=460_800,
            dsp=1_728,
            bram36=312,
            uram=96,
            ddr_busy=0.75,
            ddr_latency=60,
            port_bytes=16,
            ddr_window_mib=512,
            engine=EngineConfiguration(pi=16, po=16, pp=6, banks=7, bank_lines=4096, weight_lines=3072),
        ),
    )
}


_LABEL = re.compile(r"(\d+)x(\d+)x(\d+)-(\d+)x(\d+)-(\d+)", re.ASCII)


def target(word: str) -> Target:
    """Target of a name, or of NAME:SIZES with another engine; CapacityError says what is wrong with either.

    >>> target("pynq-z2:8x8x4-5x4096-4608").engine.pp
    4
    """
    name, colon, sizes = word.partition(":")
    if name not in TARGETS:
        raise CapacityError(f"target {name!r} is unknown; choose one of {', '.join(TARGETS)}")
    return replace(TARGETS[name], engine=configuration(sizes)) if colon else TARGETS[name]


def configuration(sizes: str) -> EngineConfiguration:
    """Engine configuration of PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES; CapacityError where it is none."""
    found = _LABEL.fullmatch(sizes)
    if found is None:
        raise CapacityError(
            f"engine {sizes!r}: give PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES, "
            f"such as {EngineConfiguration().label}"
        )
    names = ("pi", "po", "pp", "banks", "bank_lines", "weight_lines")
    return EngineConfiguration(**dict(zip(names, map(int, found.groups()), strict=True)))
