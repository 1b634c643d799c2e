"""docs/registers.md and docs/program.md, rendered from the tables that the hardware is rendered from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from bitlathe.hls.config import PROGRAM_VERSION
from bitlathe.hls.program import (
    COMMON,
    EXEC,
    HEADER,
    LOAD_WEIGHTS,
    MOVE,
    Encoding,
    ErrorCode,
    Field,
    Opcode,
    Space,
)
from bitlathe.hls.registers import ADDRESS_BITS, REGISTERS
from bitlathe.hls.render import render
from bitlathe.model.graph.storage import write_whole

DOCS = Path(__file__).parent.parent / "docs"
Code = TypeVar("Code", bound=IntEnum)

_ERRORS = {
    ErrorCode.NONE: "the run reached its end",
    ErrorCode.BAD_HEADER: "magic, version, identity, number of descriptors or a stride of the program",
    ErrorCode.BAD_OPCODE: "an unknown opcode, an END before the last descriptor, or none there",
    ErrorCode.BAD_FIELD: "an impossible field, waits that nothing can meet, or (no descriptor) an argument: "
    "`INPUTS` is 0 or an address is not aligned",
    ErrorCode.OUT_OF_BOUNDS: "an access beyond its space, the scratchpad, the weight store or the codebook",
    ErrorCode.AXI_READ: "memory answered a read with an error",
    ErrorCode.AXI_WRITE: "memory answered a write with an error (no descriptor: a profile word)",
    ErrorCode.ABORTED: "ended from outside, by `CTRL`'s abort (no descriptor)",
}
_SPACES = {
    Space.WEIGHTS: "weights and parameters",
    Space.INPUT: "the inputs; offsets advance by `input_stride` an input",
    Space.OUTPUT: "the outputs; offsets advance by `output_stride` an input",
    Space.SCRATCH: "what does not stay on the chip",
}
_OPCODES = {
    Opcode.END: ("none", "the next input follows; after the last one waits until every unit is idle"),
    Opcode.LOAD: ("LOAD", "memory to scratchpad"),
    Opcode.LOAD_WEIGHTS: ("LOAD", "memory to weight store or codebook"),
    Opcode.EXEC: ("EXEC", "convolution, depthwise convolution or maximum over the scratchpad"),
    Opcode.STORE: ("STORE", "scratchpad to memory"),
}

_ENCODINGS = {
    Encoding.COLUMNS: ("`po`", "a column: byte i is input lane i"),
    Encoding.DIAGONAL: ("1", "a whole line: byte o of column o is byte o of the beat, all else 0"),
    Encoding.NIBBLES: ("`po` / 2", "two columns of 4-bit weights, the first in the low halves of the bytes"),
    Encoding.INDICES: (
        "`po` / 8",
        "eight columns: a byte is the index of the next codeword, and `pi` / 8 codewords fill a column",
    ),
    Encoding.CODEBOOK: ("1", "`pi` / 8 codewords of the codebook; a line is one of its words"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    code: int
    name: str
    meaning: str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page below docs/ and its text."""

    path: Path
    text: str


def documents() -> tuple[Document, ...]:
    """The generated pages."""
    return (
        Document(path=DOCS / "registers.md", text=_registers()),
        Document(path=DOCS / "program.md", text=_program()),
    )


def _registers() -> str:
    return render("registers.md.j2", registers=REGISTERS, errors=_rows(_ERRORS), address_bits=ADDRESS_BITS)


def _program() -> str:
    body = len(COMMON)
    opcodes = [
        _Row(code=code.value, name=code.name, unit=unit, meaning=meaning)
        for code, (unit, meaning) in _OPCODES.items()
    ]
    return render(
        "program.md.j2",
        version=PROGRAM_VERSION,
        header=_field_table(HEADER),
        common=_field_table(COMMON),
        move=_field_table(MOVE[body:]),
        weights=_field_table(LOAD_WEIGHTS[body:]),
        exec=_field_table(EXEC[body:]),
        opcodes=opcodes,
        encodings=[
            _Row(code=code.value, name=code.name, unit=unit, meaning=meaning)
            for code, (unit, meaning) in _ENCODINGS.items()
        ],
        spaces=_rows(_SPACES),
    )


def _rows(meanings: Mapping[Code, str]) -> list[_Row]:
    return [_Row(code=code.value, name=code.name, meaning=meaning) for code, meaning in meanings.items()]


def _field_table(fields: Sequence[Field]) -> str:
    """A Markdown table of fields."""
    return "\n".join(["| bits | field | type | meaning |", "|---|---|---|---|", *map(_field_row, fields), ""])


def _field_row(field: Field) -> str:
    bits = f"{field.lsb + field.width - 1}:{field.lsb}" if field.width > 1 else str(field.lsb)
    kind = f"{'signed' if field.signed else 'unsigned'} {field.width}"
    return f"| {bits} | `{field.name}` | {kind} | {field.meaning} |"


def write() -> None:
    """Write the pages."""
    for document in documents():
        write_whole(document.path, document.text.encode())


if __name__ == "__main__":
    write()
