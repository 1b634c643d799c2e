"""Engine configurations and targets: what is built, and for which board."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from bitlathe.hls.target.board_files import PACKAGED, board_files
from bitlathe.model.graph.errors import CapacityError, FormatError
from bitlathe.model.graph.files.settings import demand
from bitlathe.model.graph.files.toml_sections import TomlDocument, read_toml

PROGRAM_VERSION = 3
INPUT_CHANNELS = 8, 16  # a cycle, that the engine is written for
LARGEST_BANK = 1 << 15  # lines, which positions of 16 bits count with their sign
CODEWORDS, CODEWORD_BYTES = 256, 8  # of the codebook, which product-quantized weights index
TABLES, TABLE_CODES = 8, 256  # of activations: a code for every byte
FAMILIES = "xc7", "xcu", "xcup"  # whose primitives the area is counted in
PARTS = Path(__file__).with_name("parts.toml")  # what a board's file need not say of a known part
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")  # the pattern of a board's name in a bundle
_PATTERN = re.compile(r"[A-Za-z0-9_.:*-]{1,64}")


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
        if self.bank_lines > LARGEST_BANK or self.weight_lines > 1 << 16:
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


class Processor(Enum):
    """The processing system beside the fabric, which decides block design and memory ports."""

    ZYNQ_7000 = "zynq-7000"
    ZYNQ_ULTRASCALE = "zynq-ultrascale"

    @property
    def port_bytes(self) -> int:
        """Width of its widest memory port."""
        return 8 if self is Processor.ZYNQ_7000 else 16


CLOCK_TOLERANCE = 1e-6  # of a clock that is written with six decimals


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """The table [board] of a board's file; hls/target/README.md explains the keys."""

    part: str
    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int
    family: str  # as Yosys names it
    clock_mhz: float  # the clock the engine is meant to close at (an estimate until synthesized)
    port_bytes: int  # of the widest memory port, a beat of which is a word
    ddr_latency: int  # cycles from an address to its first beat
    ddr_busy: float  # share of cycles in which the DDR model delivers a beat
    ddr_window_mib: int  # contiguous memory that the board's image keeps for the fabric (CMA)
    processor: Processor
    board_files: str  # pattern of Vivado's name of the board
    clock_pll_mhz: float | None = None  # that the board divides its fabric's clock from; None where unknown
    hls4ml_board: str | None = None  # hls4ml's name of it, where its accelerator backend knows the board
    reference: bool = False  # one on which tests and benchmarks measure everything

    def __post_init__(self) -> None:
        for key in ("lut", "ff", "ddr_latency", "ddr_window_mib"):
            demand(self, key, getattr(self, key) > 0, "1 or more")
        for key in ("dsp", "bram36", "uram"):
            demand(self, key, getattr(self, key) >= 0, "0 or more")
        demand(self, "part", bool(_WORD.fullmatch(self.part)), "the vendor's name of a part")
        demand(self, "board_files", bool(_PATTERN.fullmatch(self.board_files)), "a name, * for any letters")
        demand(self, "family", self.family in FAMILIES, f"one of {', '.join(FAMILIES)}")
        demand(self, "clock_mhz", 0 < self.clock_mhz < 10_000, "a number of MHz above 0")
        if self.clock_pll_mhz is not None:
            divisor = max(round(self.clock_pll_mhz / self.clock_mhz), 1)
            nearest = self.clock_pll_mhz / divisor
            near = abs(self.clock_mhz / nearest - 1) <= CLOCK_TOLERANCE
            demand(self, "clock_mhz", near, f"a whole fraction of clock_pll_mhz, such as {nearest:.9g}")
        demand(self, "ddr_busy", 0 < self.ddr_busy <= 1, "a share above 0, at most 1")
        widths = [width for width in INPUT_CHANNELS if width <= self.processor.port_bytes]
        demand(self, "port_bytes", self.port_bytes in widths, f"one of {', '.join(map(str, widths))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(BoardFacts):
    """A board, and the engine configuration built for it."""

    name: str
    engine: EngineConfiguration

    def milliseconds(self, cycles: float) -> float:
        """Time of cycles at the clock."""
        return cycles / (1000 * self.clock_mhz)


class _Targets(Mapping[str, Target]):
    """The boards by name, each read when it is asked for, so a bad file affects only its own board."""

    def __getitem__(self, name: str) -> Target:
        return _read(board_files()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(board_files())

    def __len__(self) -> int:
        return len(board_files())


TARGETS: Mapping[str, Target] = _Targets()


def reference_targets() -> dict[str, Target]:
    """The package's boards on which tests and benchmarks measure everything, by name."""
    targets = (_read(path) for path in sorted(PACKAGED.glob("*.toml")))
    return {target.name: target for target in targets if target.reference}


def _read(path: Path) -> Target:
    """The target of a board's file; FormatError names the file and the key that is wrong."""
    if not _WORD.fullmatch(path.stem):
        raise FormatError(f"{path}: names no board; use letters, digits, '_', '.' and '-'")
    document = read_toml(path)
    document.check_keys((), ("board", "engine", "simulated"))  # the last is of board/sim
    part = _known_part(document.table("board").get("part"))
    usual = part.pop("engine", None)
    board = {**part, **document.table("board")}
    facts = replace(document, values={**document.values, "board": board}).section(("board",), BoardFacts)
    return Target(
        name=path.stem,
        engine=_engine(document, usual),
        **{field.name: getattr(facts, field.name) for field in fields(BoardFacts)},
    )


def _known_part(name: object) -> dict[str, Any]:
    """The entries of parts.toml about a part, whose name begins with the table's; none of one it lacks."""
    parts = read_toml(PARTS)
    return next((dict(parts.table(key)) for key in parts.values if str(name).startswith(key)), {})


def _engine(document: TomlDocument, usual: str | None) -> EngineConfiguration:
    """The engine of a board's file, or the part's usual one where the file has no [engine]."""
    if "engine" in document.values or usual is None:
        return document.section(("engine",), EngineConfiguration)
    return configuration(usual)


_LABEL = re.compile(r"(\d+)x(\d+)x(\d+)-(\d+)x(\d+)-(\d+)", re.ASCII)


def find_target(word: str) -> Target:
    """Target of a name, or of NAME:SIZES with another engine; CapacityError says which of them is wrong.

    >>> find_target("pynq-z2:8x8x4-5x4096-4608").engine.pp
    4
    """
    name, colon, sizes = word.partition(":")
    if name not in TARGETS:
        raise CapacityError(f"target {name!r} is unknown; choose one of {', '.join(TARGETS)}")
    board = TARGETS[name]
    return replace(board, engine=configuration(sizes)) if colon else board


def configuration(sizes: str) -> EngineConfiguration:
    """Engine configuration of PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES; CapacityError for any other text."""
    found = _LABEL.fullmatch(sizes)
    if found is None:
        raise CapacityError(
            f"engine {sizes!r}: give PIxPOxPP-BANKSxBANK_LINES-WEIGHT_LINES, "
            f"such as {EngineConfiguration().label}"
        )
    names = ("pi", "po", "pp", "banks", "bank_lines", "weight_lines")
    return EngineConfiguration(**dict(zip(names, map(int, found.groups()), strict=True)))
