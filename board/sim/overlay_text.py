"""The text that takes a bitstream's place in a simulated overlay: which simulator, behind which memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bitlathe.board import names
from bitlathe.board.errors import DeviceError
from bitlathe.board.fields import JsonFields
from bitlathe.board.sim.settings import OVERLAY_KIND, MemoryTiming


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOverlay:
    """The contents of a simulated overlay's .bit."""

    board: str
    library: str  # file beside it
    identity_offset: int  # of the register IDENTITY
    memory: MemoryTiming

    def __post_init__(self) -> None:
        names.BOARD.check(self.board, OVERLAY_KIND)
        names.FILE.check(self.library, OVERLAY_KIND)

    def encode(self) -> bytes:
        """The text."""
        values = {
            "kind": OVERLAY_KIND,
            "board": self.board,
            "library": self.library,
            "identity_offset": self.identity_offset,
            "memory": self.memory.to_json(),
        }
        return (json.dumps(values, indent=1) + "\n").encode()


def read_overlay_text(path: Path) -> SimulatedOverlay:
    """The overlay of a .bit; DeviceError for a real bitstream, BundleError for a damaged text."""
    content = path.read_bytes()
    if not content.startswith(b"{"):
        raise DeviceError(
            f"{path.name}: is a real bitstream, this is a simulated board; make a bundle for simulation"
        )
    fields = JsonFields.parse(content, path.name)
    if fields.text("kind") != OVERLAY_KIND:
        raise DeviceError(f"{path.name}: is not a {OVERLAY_KIND}; make the bundle again")
    return SimulatedOverlay(
        board=fields.text("board"),
        library=fields.text("library"),
        identity_offset=fields.integer("identity_offset"),
        memory=MemoryTiming.from_json(fields.fields("memory")),
    )
