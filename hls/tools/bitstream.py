"""Running Vivado on an emitted block design, and the facts about the overlay that a bundle needs."""

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from bitlathe.hls.tools.find import Tool
from bitlathe.hls.tools.scripts import EngineKind
from bitlathe.hls.tools.synthesis import LOG_LINES, is_disk_full
from bitlathe.model.graph.errors import FormatError, ToolError
from bitlathe.model.graph.files.storage import write_whole

BITSTREAM, HANDOFF, OVERLAY_FACTS = "bitlathe.bit", "bitlathe.hwh", "overlay.json"
IP_FOLDER = "ip"
CELL = "engine"  # the engine's name in the block design
_CLOCK = re.compile(r"^BITLATHE clock (\d+(?:\.\d+)?) Hz$", re.MULTILINE)


def build_bitstream(project: Path, engine: EngineKind, identity: int, vivado: Tool) -> Path:
    """The bitstream that a project's design.tcl gives, its .hwh and overlay.json beside it.

    `identity` is what the engine answers in its register. ToolError with the log's end when Vivado fails.
    """
    if engine is not EngineKind.RTL and not any(project.glob(f"{IP_FOLDER}/*")):
        raise ToolError(
            f"{project / IP_FOLDER} is empty: run `make hls` with an HLS tool first, or copy there the IP "
            "that it exports elsewhere"
        )
    for name in (BITSTREAM, HANDOFF, OVERLAY_FACTS):
        (project / name).unlink(missing_ok=True)  # an earlier run's must not pass for this one's
    text = _run(project, vivado)
    write_facts(project, engine, identity, text)
    return project / BITSTREAM


def write_facts(project: Path, engine: EngineKind, identity: int, log: str) -> None:
    """Write overlay.json: which engine, where its registers are, and the clock at which timing closed.

    FormatError where .hwh or log do not say it.
    """
    hertz = _CLOCK.search(log)
    if hertz is None:
        raise FormatError(f"{project}: Vivado's log names no clock; emit the project again and rerun")
    facts = {
        "engine": engine.value,
        "ip": CELL,
        "address": register_address(project / HANDOFF),
        "clock_mhz": float(hertz[1]) / 1e6,
        "identity": identity,
    }
    write_whole(project / OVERLAY_FACTS, (json.dumps(facts, indent=1) + "\n").encode())


def register_address(hwh: Path) -> int:
    """Where a hardware hand-off file maps the engine's registers; FormatError where it does not."""
    try:
        ranges = ET.parse(hwh).getroot().iter("MEMRANGE")
    except (OSError, ET.ParseError) as error:
        raise FormatError(f"{hwh}: no hardware hand-off file ({error}); build the bitstream again") from error
    for entry in ranges:
        if entry.get("INSTANCE") == CELL and entry.get("MEMTYPE") == "REGISTER":
            return int(entry.get("BASEVALUE", ""), 0)
    raise FormatError(
        f"{hwh}: maps no registers of {CELL}; a release whose format is unknown, please report it"
    )


def _run(project: Path, vivado: Tool) -> str:
    """Vivado's output; ToolError when it failed."""
    log = project / "vivado.log"
    command = [
        str(vivado.path),
        "-mode",
        "batch",
        "-nojournal",
        "-log",
        "detail.log",
        "-source",
        "design.tcl",
    ]
    with log.open("w", encoding="utf-8") as sink:
        status = subprocess.run(
            command,
            cwd=project,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(vivado.environment),
        ).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    missing = [name for name in (BITSTREAM, HANDOFF) if not (project / name).exists()]
    if status or missing or "BITLATHE done" not in text:
        if is_disk_full(text.lower(), project):
            raise ToolError(f"Vivado {vivado.release}: the disk is full; free some, run again. Log: {log}")
        last = "\n".join(text.splitlines()[-LOG_LINES:])
        raise ToolError(f"Vivado {vivado.release} failed with status {status}; whole log in {log}:\n{last}")
    return text
