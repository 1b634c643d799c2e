"""The SystemVerilog package of program constants, rendered from the program's field tables."""

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
from bitlathe.hls.render import render
from bitlathe.model.graph.storage import write_whole

RTL = Path(__file__).parent / "rtl"
PACKAGE = RTL / "program_pkg.sv"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constant:
    name: str
    value: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    name: str
    lsb: int
    width: int


def _constants(prefix: str, codes: type[IntEnum], width: int) -> list[_Constant]:
    return [_Constant(name=f"{prefix}_{code.name}", value=code.value, width=width) for code in codes]


def _places(prefix: str, table: tuple[Field, ...]) -> list[_Place]:
    return [
        _Place(name=f"{prefix}_{field.name.upper()}", lsb=field.lsb, width=field.width) for field in table
    ]


def package_text() -> str:
    """Text of program_pkg.sv."""
    body = len(COMMON)
    return render(
        "program_pkg.sv.j2",
        descriptor_bits=8 * DESCRIPTOR_BYTES,
        magic=f"{MAGIC:08X}",
        version=PROGRAM_VERSION,
        constants=[
            *_constants("OP", Opcode, 8),
            *_constants("SPACE", Space, 4),
            *_constants("ENCODING", Encoding, 3),
            *_constants("ERR", ErrorCode, 8),
        ],
        fields=[
            *_places("COMMON", COMMON),
            *_places("EXEC", EXEC[body:]),
            *_places("MOVE", MOVE[body:]),
            *_places("LW", LOAD_WEIGHTS[body:]),
            *_places("HDR", HEADER),
        ],
    )


if __name__ == "__main__":
    write_whole(PACKAGE, package_text().encode())
