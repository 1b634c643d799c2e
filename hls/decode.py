"""Reading an encoded program back."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from bitlathe.hls.config import PROGRAM_VERSION, EngineConfiguration
from bitlathe.hls.program import COMMON, DESCRIPTOR_BYTES, HEADER, MAGIC, TABLES, Opcode, decode_fields
from bitlathe.model.graph.errors import FormatError

Fields = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A descriptor as the engine reads it: every field of its table."""

    index: int
    opcode: Opcode
    fields: Fields

    @property
    def where(self) -> str:
        """Its name in messages."""
        return f"descriptor {self.index} ({self.opcode.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedProgram:
    """Header fields and descriptors."""

    header: Fields
    descriptors: tuple[Decoded, ...]


def decode_program(data: bytes, configuration: EngineConfiguration) -> DecodedProgram:
    """A program's descriptors; FormatError when it is damaged or of another version or engine."""
    header = decode_fields(HEADER, data[:DESCRIPTOR_BYTES])
    body = data[DESCRIPTOR_BYTES:]
    expected = {
        "magic": MAGIC,
        "version": PROGRAM_VERSION,
        "identity": configuration.identity,
        "descriptors": len(body) // DESCRIPTOR_BYTES,
        "crc": zlib.crc32(body),
    }
    for name, value in expected.items():
        if header[name] != value:
            raise FormatError(
                f"program: {name} is {header[name]:#x}, expected {value:#x}; compile it again for this engine"
            )
    chunks = (body[start : start + DESCRIPTOR_BYTES] for start in range(0, len(body), DESCRIPTOR_BYTES))
    return DecodedProgram(
        header=header, descriptors=tuple(map(_decode, *zip(*enumerate(chunks), strict=True)))
    )


def _decode(index: int, data: bytes) -> Decoded:
    code = decode_fields(COMMON, data)["opcode"]
    if code not in Opcode.__members__.values():
        raise FormatError(f"descriptor {index}: opcode {code} does not exist; compile the program again")
    opcode = Opcode(code)
    return Decoded(index=index, opcode=opcode, fields=decode_fields(TABLES[opcode], data))
