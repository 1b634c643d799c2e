"""The register map: one table serves the SystemVerilog package, the board's driver and the documentation.

AXI4-Lite, 32 bit, laid out as Vitis HLS lays out `s_axilite` with `ap_ctrl_hs`, so one driver serves both
engines.
"""

from dataclasses import dataclass
from enum import Enum


class Access(Enum):
    """Access that software has to a register."""

    READ_ONLY = "read"
    READ_WRITE = "read, write"
    CONTROL = "read, write, with side effects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A 32-bit register at a byte offset."""

    name: str
    offset: int
    access: Access
    meaning: str


ADDRESS_BITS = 16  # of the block: 64 KiB, the smallest range that a board's design gives it
ADDRESS_SPACE = 1 << ADDRESS_BITS  # bytes
NO_DESCRIPTOR = 0xFFFF_FFFF  # ERROR_INDEX when no descriptor is at fault

# CTRL, GIE, IER and ISR keep the bits of ap_ctrl_hs, of which 0 to 9 are taken by Vitis HLS and XRT.
START, DONE, IDLE, READY, ABORT = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 16
FLAG_WEIGHTS_RESIDENT = 1 << 0


def _address(name: str, offset: int, meaning: str) -> tuple[Register, Register]:
    """The two registers of a 40-bit address."""
    return (
        Register(name=f"{name}_LO", offset=offset, access=Access.READ_WRITE, meaning=f"{meaning}, bits 31:0"),
        Register(
            name=f"{name}_HI", offset=offset + 4, access=Access.READ_WRITE, meaning=f"{meaning}, bits 39:32"
        ),
    )


def _argument(name: str, offset: int, meaning: str) -> Register:
    return Register(name=name, offset=offset, access=Access.READ_WRITE, meaning=meaning)


def _status(name: str, offset: int, meaning: str) -> Register:
    return Register(name=name, offset=offset, access=Access.READ_ONLY, meaning=meaning)


def _control(name: str, offset: int, meaning: str) -> Register:
    return Register(name=name, offset=offset, access=Access.CONTROL, meaning=meaning)


REGISTERS = (
    _control(
        "CTRL",
        0x00,
        "bit 0 start: write 1 to start, ignored while busy, reads 1 while busy; bit 1 done: cleared by "
        "reading; bit 2 idle; bit 3 ready: as done; bit 16 abort: write 1 to end the run under way, ignored "
        "while idle, reads 0",
    ),
    _control("GIE", 0x04, "bit 0: interrupts reach irq_o"),
    _control("IER", 0x08, "bit 0: done raises an interrupt"),
    _control("ISR", 0x0C, "bit 0: done has raised an interrupt; writing 1 toggles it"),
    *_address("PROGRAM", 0x10, "address of the program, a multiple of 64"),
    *_address("WEIGHTS", 0x1C, "address of the weights"),
    *_address("INPUT", 0x28, "address of the first input"),
    *_address("OUTPUT", 0x34, "address of the first output"),
    *_address("SCRATCH", 0x40, "address of the scratch space"),
    *_address("PROFILE", 0x4C, "address of the profile, one word a descriptor; 0: no profile"),
    _argument("INPUTS", 0x58, "inputs to run, at least 1"),
    _argument("FLAGS", 0x60, "bit 0: the weights marked `once` are resident, skip loading them"),
    _argument("WEIGHTS_BYTES", 0x68, "size of the weights"),
    _argument("INPUT_BYTES", 0x70, "size of all inputs"),
    _argument("OUTPUT_BYTES", 0x78, "size of all outputs"),
    _argument("SCRATCH_BYTES", 0x80, "size of the scratch space"),
    _status("ERROR", 0x90, "ErrorCode of the last run"),
    _status(
        "ERROR_INDEX",
        0x98,
        "descriptor at fault, 0 = first after the header; 0xFFFFFFFF: none (header, arguments, profile, "
        "abort)",
    ),
    _status("CYCLES_LO", 0xA0, "cycles from the start to done, bits 31:0; counts while busy"),
    _status("CYCLES_HI", 0xA4, "the same, bits 63:32"),
    _status("RUNS", 0xAC, "runs completed since reset, failed ones included"),
    _status("IDENTITY", 0xB0, "identity of the engine configuration"),
    _status("VERSION", 0xB8, "version of the program format"),
    _status("CYCLE_COUNTER", 0xC0, "cycles since reset, bits 31:0"),
    _status("EXEC_INDEX", 0xC8, "descriptor that the EXEC unit works on, or the last it has worked on"),
)

OFFSETS = {register.name: register.offset for register in REGISTERS}

# HLS code sees no clock but the wire it is given, and an output without handshake may change before the end.
_NOT_IN_HLS = ("RUNS", "CYCLE_COUNTER", "EXEC_INDEX", "PROFILE_LO", "PROFILE_HI")
# The tool makes CTRL, so an engine made by HLS has a register of its own that aborts while it is not 0.
HLS_OFFSETS = {
    **{name: offset for name, offset in OFFSETS.items() if name not in _NOT_IN_HLS},
    "ABORT": 0x88,
}
_OF_A_KERNEL = ("CTRL", "GIE", "IER", "ISR", "INPUT_LO", "INPUT_HI", "OUTPUT_LO", "OUTPUT_HI", "INPUTS")
KERNEL_OFFSETS = {  # of one network's kernel: no program, no weights in memory
    name: OFFSETS[name] for name in (*_OF_A_KERNEL, "CYCLES_LO", "CYCLES_HI", "IDENTITY", "VERSION")
}
