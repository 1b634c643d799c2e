"""Running Vivado on an emitted block design."""

import subprocess
from pathlib import Path

from bitlathe.hls.tools.find import Tool
from bitlathe.hls.tools.scripts import Engine
from bitlathe.hls.tools.synthesis import DISK_FULL, LOG_LINES
from bitlathe.model.graph.errors import ToolError

BITSTREAM, HANDOFF = "bitlathe.bit", "bitlathe.hwh"


def build_bitstream(project: Path, engine: Engine, vivado: Tool) -> Path:
    """The bitstream that a project's design.tcl gives; ToolError with the log's end when Vivado fails."""
    if engine is Engine.HLS and not any(project.glob("ip/*")):
        raise ToolError(f"{project / 'ip'} is empty: copy there the IP that `bitlathe hls` exports")
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
    if any(words in text.lower() for words in DISK_FULL):
        raise ToolError(f"Vivado {vivado.release}: the disk is full; free some space, run again. Log: {log}")
    missing = [name for name in (BITSTREAM, HANDOFF) if not (project / name).exists()]
    if status or missing or "BITLATHE done" not in text:
        last = "\n".join(text.splitlines()[-LOG_LINES:])
        raise ToolError(f"Vivado {vivado.release} failed with status {status}; whole log in {log}:\n{last}")
    return project / BITSTREAM
