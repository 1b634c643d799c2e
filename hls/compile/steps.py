"""Steps of a program before their order and waits are fixed: one becomes one descriptor."""

from dataclasses import dataclass

from bitlathe.hls.compile.groups import Grouping
from bitlathe.hls.compile.memory import Block, Buffer, StoreKind, whole
from bitlathe.hls.compile.network import Layer
from bitlathe.hls.program import Encoding, Opcode


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStep:
    """LOAD or STORE of equal blocks."""

    opcode: Opcode
    node: str
    chip: Block
    ddr: Block

    @property
    def reads(self) -> tuple[Block, ...]:
        return (self.ddr,) if self.opcode is Opcode.LOAD else (self.chip,)

    @property
    def writes(self) -> tuple[Block, ...]:
        return (self.chip,) if self.opcode is Opcode.LOAD else (self.ddr,)


CODEBOOK = Buffer(name="codebook", memory=StoreKind.CODEBOOK, line=0, lines=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadWeightsStep:
    """Lines from the weight image to the weight store, codewords to the codebook, or codes to the tables."""

    node: str
    lines: Buffer
    word: int  # first word in the weight image
    beats: int
    once: bool  # stays for later inputs
    encoding: Encoding = Encoding.COLUMNS
    pass_lines: int = 0  # encoded lines after each parameter line
    narrow: bool = False  # codes of SPARSE lines have 4 bits
    opcode: Opcode = Opcode.LOAD_WEIGHTS

    @property
    def reads(self) -> tuple[Block, ...]:
        return (whole(CODEBOOK),) if self.encoding is Encoding.INDICES else ()

    @property
    def writes(self) -> tuple[Block, ...]:
        return (whole(self.lines),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecStep:
    """Some rows and output tiles of a layer."""

    layer: Layer
    source: Block  # rows and tiles read
    source_row: int  # row of the map that is in the buffer's row 0
    source_rows: int  # rows of the map that the buffer holds from there
    target: Block  # rows and tiles written, those in between included
    residual: Block | None
    row: int  # first of the layer's own rows
    rows: int  # of its own
    weights: Buffer
    table: Buffer | None  # where a code becomes another
    grouping: Grouping
    words: int  # written a pixel
    sub_tiles: int
    opcode: Opcode = Opcode.EXEC

    @property
    def node(self) -> str:
        return self.layer.node

    @property
    def passes(self) -> int:
        return -(-self.words // self.sub_tiles)

    @property
    def in_tile_step(self) -> int:
        """Lines the input advances from an output tile to the next."""
        return self.layer.tile_step * self.source.buffer.plane

    @property
    def reads(self) -> tuple[Block, ...]:
        stores = tuple(whole(store) for store in (self.weights, self.table) if store is not None)
        return (self.source, *stores) if self.residual is None else (self.source, *stores, self.residual)

    @property
    def writes(self) -> tuple[Block, ...]:
        return (self.target,)


AnyStep = MoveStep | LoadWeightsStep | ExecStep
