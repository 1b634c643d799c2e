"""Reading an encoded program back."""

import zlib
from dataclasses import dataclass

from bitlathe.hls.program.format import DESCRIPTOR_BYTES, KINDS, MAGIC, OPCODE, Descriptor, Header, Opcode
from bitlathe.hls.target.config import PROGRAM_VERSION, EngineConfiguration
from bitlathe.model.graph.errors import FormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedProgram:
    """Header and descriptors, each descriptor with the name that messages use for it."""

    header: Header
    descriptors: tuple[Descriptor, ...]


def decode_program(data: bytes, configuration: EngineConfiguration) -> DecodedProgram:
    """A program's descriptors; FormatError when it is damaged or of another version or engine."""
    header, body = Header.decode(data[:DESCRIPTOR_BYTES]), data[DESCRIPTOR_BYTES:]
    expected = {
        "magic": MAGIC,
        "version": PROGRAM_VERSION,
        "identity": configuration.identity,
        "descriptors": len(body) // DESCRIPTOR_BYTES,
        "crc": zlib.crc32(body),
    }
    for name, value in expected.items():
        found = getattr(header, name)
        if found != value:
            raise FormatError(
                f"program: {name} is {found:#x}, expected {value:#x}; compile it again for this engine"
            )
    chunks = (body[start : start + DESCRIPTOR_BYTES] for start in range(0, len(body), DESCRIPTOR_BYTES))
    return DecodedProgram(
        header=header, descriptors=tuple(_decode(index, chunk) for index, chunk in enumerate(chunks))
    )


def _decode(index: int, data: bytes) -> Descriptor:
    code = OPCODE.decode(data[0])
    if code not in Opcode.__members__.values():
        raise FormatError(f"descriptor {index}: opcode {code} does not exist; compile the program again")
    opcode = Opcode(code)
    return KINDS[opcode].decode(data, node=f"descriptor {index} ({opcode.name})")
