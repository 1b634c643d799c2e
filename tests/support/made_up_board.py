"""A board that nobody makes, as a user would add it: one file in the user's own folder."""

from __future__ import annotations

from pathlib import Path

NAME = "made-up"
TEXT = """\
[board]
part = "xc7z010clg225-1"
lut = 40_000
ff = 80_000
dsp = 120
bram36 = 90
uram = 0
family = "xc7"
clock_mhz = 125.0
port_bytes = 8
ddr_latency = 25
ddr_busy = 0.5
ddr_window_mib = 64
processor = "zynq-7000"
board_files = "*made-up*"

[engine]
pi = 8
po = 8
pp = 2
banks = 3
bank_lines = 2048
weight_lines = 1024

[simulated]
registers = 0x4000_0000
interrupts = 0x4001_0000
memory_mib = 32
"""


def made_up_folder(parent: Path, text: str = TEXT) -> Path:
    """A folder for BITLATHE_BOARDS that holds the board's file."""
    folder = parent / "boards"
    folder.mkdir()
    (folder / f"{NAME}.toml").write_text(text, encoding="utf-8")
    return folder
