"""The C++ header of program constants, rendered from the program's field tables."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from bitlathe.hls.config import PROGRAM_VERSION
from bitlathe.hls.program import (
    COMMON,
    DESCRIPTOR_BYTES,
    EXEC,
    HEADER,
    LOAD_WEIGHTS,
    MAGIC,
    MOVE,
    Encoding,
    ErrorCode,
    Field,
    Opcode,
    Space,
)
from bitlathe.hls.registers import FLAG_WEIGHTS_RESIDENT, NO_DESCRIPTOR
from bitlathe.hls.render import render
from bitlathe.model.graph.storage import write_whole

HEADER_FILE = Path(__file__).parent / "include" / "bitlathe" / "program.hpp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A constant of an enumeration."""

    name: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """An enumeration."""

    name: str
    entries: tuple[Code, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The fields of one kind of descriptor, as a namespace."""

    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramView:
    """What the header prints."""

    descriptor_bytes: int
    magic: int
    version: int
    no_descriptor: int
    flag_weights_resident: int
    codes: tuple[Codes, ...]
    tables: tuple[Table, ...]


def program_view() -> ProgramView:
    """The program format as the header prints it."""
    body = len(COMMON)
    return ProgramView(
        descriptor_bytes=DESCRIPTOR_BYTES,
        magic=MAGIC,
        version=PROGRAM_VERSION,
        no_descriptor=NO_DESCRIPTOR,
        flag_weights_resident=FLAG_WEIGHTS_RESIDENT,
        codes=(
            _codes("Op", Opcode),
            _codes("Space", Space),
            _codes("Encoding", Encoding),
            _codes("Error", ErrorCode),
        ),
        tables=(
            Table(name="common", fields=COMMON),
            Table(name="exec", fields=EXEC[body:]),
            Table(name="move", fields=MOVE[body:]),
            Table(name="weights", fields=LOAD_WEIGHTS[body:]),
            Table(name="header", fields=HEADER),
        ),
    )


def header_text() -> str:
    """Text of program.hpp."""
    return render("vitis_program.hpp.j2", v=program_view())


def _codes(name: str, codes: type[IntEnum]) -> Codes:
    entries = tuple(
        Code(name=f"k{name}{code.name.title().replace('_', '')}", value=code.value) for code in codes
    )
    return Codes(name=name, entries=entries)


if __name__ == "__main__":
    write_whole(HEADER_FILE, header_text().encode())
