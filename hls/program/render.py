"""Every file that is generated from a table of hls: one list, one command.

The program format, the registers and the widths of the data path are each written once, in format.py,
registers.py and hls/datapath.py; the SystemVerilog packages, the C++ headers and the pages in docs/ are
printed from them by

    python -m bitlathe.hls.program.render
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from bitlathe.hls.datapath import datapath
from bitlathe.hls.program.format import (
    DESCRIPTOR_BYTES,
    MAGIC,
    Descriptor,
    Encoding,
    ErrorCode,
    Exec,
    Field,
    Header,
    LoadWeights,
    Move,
    Opcode,
    PackedFields,
    Space,
    fields_of,
)
from bitlathe.hls.program.registers import (
    ABORT,
    ADDRESS_BITS,
    FLAG_WEIGHTS_RESIDENT,
    NO_DESCRIPTOR,
    REGISTERS,
)
from bitlathe.hls.render import render
from bitlathe.hls.target.config import INPUT_CHANNELS, PROGRAM_VERSION
from bitlathe.model.graph.files.storage import write_whole

HLS = Path(__file__).parent.parent
RTL, CXX, DOCS = HLS / "rtl", HLS / "vitis" / "include" / "bitlathe", HLS.parent / "docs"
AnyCode = TypeVar("AnyCode", bound=IntEnum)

_ERRORS = {
    ErrorCode.NONE: "the run reached its end",
    ErrorCode.BAD_HEADER: "magic, version, identity, number of descriptors or a stride of the program",
    ErrorCode.BAD_OPCODE: "an unknown opcode, an END before the last descriptor, or none there",
    ErrorCode.BAD_FIELD: "an impossible field, waits that nothing can meet, or (no descriptor) an argument: "
    "`INPUTS` is 0 or an address is not aligned",
    ErrorCode.OUT_OF_BOUNDS: "an access beyond its space, scratchpad, weight store, codebook or tables",
    ErrorCode.AXI_READ: "memory answered a read with an error",
    ErrorCode.AXI_WRITE: "memory answered a write with an error (no descriptor: a profile word)",
    ErrorCode.ABORTED: "ended from outside, by `CTRL`'s abort (no descriptor)",
    ErrorCode.BAD_STREAM: "sparse weights whose words are fewer or more than their masks ask for",
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
    Opcode.LOAD_WEIGHTS: ("LOAD", "memory to weight store, codebook or tables"),
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
    Encoding.TABLE: ("1", "`pi` codes of the tables; a line is one of their words"),
    Encoding.SPARSE: ("as they come", "a mask of `pi` octets, or codes of what the masks say is not zero"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedFile:
    """A file of the repository and what its tables say it holds."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTable:
    """The codes of an enumeration: those of opcodes are OP_LOAD in SystemVerilog, kOpLoad in C++."""

    name: str  # of the type in C++
    prefix: str  # in SystemVerilog
    width: int
    codes: type[IntEnum]


CODES = (
    CodeTable(name="Op", prefix="OP", width=8, codes=Opcode),
    CodeTable(name="Space", prefix="SPACE", width=4, codes=Space),
    CodeTable(name="Encoding", prefix="ENCODING", width=3, codes=Encoding),
    CodeTable(name="Error", prefix="ERR", width=8, codes=ErrorCode),
)
LAYOUTS: Mapping[str, type[PackedFields]] = {
    "common": Descriptor,
    "exec": Exec,
    "move": Move,
    "weights": LoadWeights,
    "header": Header,
}


def generated_files() -> tuple[GeneratedFile, ...]:
    """All of them."""
    program = {
        "bits": 8 * DESCRIPTOR_BYTES,
        "magic": MAGIC,
        "version": PROGRAM_VERSION,
        "no_descriptor": NO_DESCRIPTOR,
        "flag_weights_resident": FLAG_WEIGHTS_RESIDENT,
        "code_tables": CODES,
        "layouts": {name: fields_of(kind) for name, kind in LAYOUTS.items()},
        "own": {name: _own_fields(kind) for name, kind in LAYOUTS.items()},
        "move_bits": max(_end(Move), _end(LoadWeights)),
    }
    registers = {"registers": REGISTERS, "address_bits": ADDRESS_BITS, "abort_bit": ABORT.bit_length() - 1}
    widths = _widths()
    pages = {
        "opcodes": _rows(_OPCODES),
        "encodings": _rows(_ENCODINGS),
        "spaces": _rows(_SPACES),
        "errors": _rows(_ERRORS),
    }
    tables = {name: _field_table(_own_fields(kind)) for name, kind in LAYOUTS.items()}
    texts = {
        RTL / "program_pkg.sv": render("program_pkg.sv.j2", **program),
        RTL / "register_pkg.sv": render("register_pkg.sv.j2", **registers),
        RTL / "datapath_pkg.sv": render("datapath_pkg.sv.j2", **widths),
        CXX / "program.hpp": render("vitis_program.hpp.j2", **program),
        CXX / "datapath.hpp": render("vitis_datapath.hpp.j2", **widths),
        DOCS / "program.md": render("program.md.j2", version=PROGRAM_VERSION, tables=tables, **pages),
        DOCS / "registers.md": render("registers.md.j2", errors=pages["errors"], **registers),
    }
    return tuple(GeneratedFile(path=path, text=text) for path, text in texts.items())


def _own_fields(kind: type[PackedFields]) -> tuple[Field, ...]:
    """Fields of a layout, less those that every descriptor has."""
    is_one_kind = issubclass(kind, Descriptor) and kind is not Descriptor
    return fields_of(kind)[len(fields_of(Descriptor)) if is_one_kind else 0 :]


def _end(kind: type[PackedFields]) -> int:
    """Bits up to the last one in use."""
    return max(field.lsb + field.width for field in fields_of(kind))


def _widths() -> dict[str, Mapping[str, int] | Mapping[int, Mapping[str, int]]]:
    """Widths of the data path: those of every engine, and those that follow from `pi`."""
    every = {pi: asdict(datapath(pi)) for pi in INPUT_CHANNELS}
    first = every[INPUT_CHANNELS[0]]
    shared = {name: bits for name, bits in first.items() if {one[name] for one in every.values()} == {bits}}
    own = {pi: {name: one[name] for name in one if name not in shared} for pi, one in every.items()}
    return {"shared": shared, "by_pi": own}


def _rows(meanings: Mapping[AnyCode, str] | Mapping[AnyCode, tuple[str, str]]) -> list[dict[str, object]]:
    """Rows of a page's table of codes; a pair of texts is a unit and a meaning."""
    rows = []
    for code, text in meanings.items():
        unit, meaning = ("", text) if isinstance(text, str) else text
        rows.append({"code": code.value, "name": code.name, "unit": unit, "meaning": meaning})
    return rows


def _field_table(fields: Sequence[Field]) -> str:
    """A Markdown table of fields."""
    return "\n".join(["| bits | field | type | meaning |", "|---|---|---|---|", *map(_field_row, fields), ""])


def _field_row(field: Field) -> str:
    bits = f"{field.lsb + field.width - 1}:{field.lsb}" if field.width > 1 else str(field.lsb)
    kind = f"{'signed' if field.signed else 'unsigned'} {field.width}"
    return f"| {bits} | `{field.name}` | {kind} | {field.meaning} |"


def write() -> None:
    """Write them where they belong."""
    for one in generated_files():
        write_whole(one.path, one.text.encode())


if __name__ == "__main__":
    write()
