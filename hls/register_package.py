"""The SystemVerilog package of register offsets, rendered from the register table."""

from pathlib import Path

from bitlathe.hls.registers import ABORT, ADDRESS_BITS, REGISTERS
from bitlathe.hls.render import render
from bitlathe.model.graph.storage import write_whole

PACKAGE = Path(__file__).parent / "rtl" / "register_pkg.sv"


def package_text() -> str:
    """Text of register_pkg.sv."""
    return render(
        "register_pkg.sv.j2",
        registers=REGISTERS,
        address_bits=ADDRESS_BITS,
        abort_bit=ABORT.bit_length() - 1,
    )


if __name__ == "__main__":
    write_whole(PACKAGE, package_text().encode())
