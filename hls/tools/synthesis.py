"""Running a synthesizer on an emitted project; each finished stage is kept, so a rerun continues."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bitlathe.hls.config import Target
from bitlathe.hls.tools.find import Kind, Tool, find_tool
from bitlathe.hls.tools.reports import HlsReport, read_report
from bitlathe.model.graph.errors import ToolError

LOG_LINES = 12
STAMP = "stages.json"
DISK_FULL = ("no space left on device", "disk quota exceeded")
EXPORT_BUG = ("bad lexical cast", "core_revision")


class Stage(Enum):
    """What a synthesizer does, in order."""

    CSYNTH = "csynth"  # C++ to Verilog and estimates
    EXPORT = "export"  # the Verilog as an IP


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesized:
    """What a synthesis left."""

    report: HlsReport
    ip: Path
    stages_run: tuple[Stage, ...]  # those that were not done already


def synthesize(project: Path, target: Target, tool: Tool) -> Synthesized:
    """Synthesize and export a project's folder; ToolError with the log's end when a stage fails.

    A stage that an earlier run finished with the same sources and the same tool is not run again.
    """
    digest = _digest(project, tool)
    done = _read_stamp(project, digest)
    run = tuple(stage for stage in Stage if stage not in done)
    for stage in run:
        _run_stage(project, tool, stage)
        done = [*done, stage]
        _write_stamp(project, digest, done)
    return Synthesized(report=read_report(report_path(project), target), ip=ip_path(project), stages_run=run)


def stage_command(tool: Tool, stage: Stage) -> list[str]:
    """The command of a stage, to run in the project's folder."""
    if tool.name != Kind.VITIS_RUN.value:
        return [str(tool.path), "-f", "run.tcl"]
    common = ["--mode", "hls", "--config", "hls.cfg", "--work_dir", "hls"]
    if stage is Stage.EXPORT:
        return [str(tool.path), *common[:2], "--package", *common[2:]]
    compiler = find_tool("v++", tool.environment)
    if compiler is None:
        raise ToolError(f"{tool.path} is here without v++: source the whole settings64.sh")
    return [str(compiler.path), "-c", *common]


def report_path(project: Path) -> Path:
    """The synthesis report, wherever this generation puts it; ToolError where there is none."""
    return _only(project, ("hls/solution1/syn/report/csynth.xml", "hls/hls/syn/report/csynth.xml"), "report")


def ip_path(project: Path) -> Path:
    """Folder of the exported IP; ToolError where there is none."""
    return _only(project, ("hls/solution1/impl/ip", "hls/hls/impl/ip"), "exported IP")


def _only(project: Path, places: Sequence[str], what: str) -> Path:
    found = next((project / place for place in places if (project / place).exists()), None)
    if found is None:
        raise ToolError(f"{project}: the tool ended well but left no {what}: see {' or '.join(places)}")
    return found


def _run_stage(project: Path, tool: Tool, stage: Stage) -> None:
    log = project / f"{stage.value}.log"
    environment = {**tool.environment, "BITLATHE_STAGES": stage.value}
    with log.open("w", encoding="utf-8") as sink:
        try:
            status = subprocess.run(
                stage_command(tool, stage),
                cwd=project,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
            ).returncode
        except OSError as error:
            raise ToolError(f"{tool.path} can't be run: {error}; repair the installation") from error
    text = log.read_text(encoding="utf-8", errors="replace")
    # Tcl's `error` under vivado_hls leaves status 0 in some releases, so the last line of run.tcl decides.
    unfinished = tool.name != Kind.VITIS_RUN.value and "BITLATHE done" not in text
    if status or unfinished:
        raise ToolError(_explain(tool, stage, status, text, log))


def _explain(tool: Tool, stage: Stage, status: int, text: str, log: Path) -> str:
    lower = text.lower()
    last = "\n".join(text.splitlines()[-LOG_LINES:])
    head = f"{tool.name} {tool.release} failed in {stage.value} with status {status}"
    if any(words in lower for words in DISK_FULL):
        return f"{head}: the disk is full; free some and run again, finished stages are kept. Log: {log}"
    if stage is Stage.EXPORT and tool.has_export_bug and any(words in lower for words in EXPORT_BUG):
        return (
            f"{head}: releases up to 2021.2 can't export since 2022; install AMD's patch y2k22 "
            f"(answer record 76960) or run under a date before 2022, then run again. Log: {log}"
        )
    return f"{head}; whole log in {log}:\n{last}"


def _digest(project: Path, tool: Tool) -> str:
    digest = hashlib.sha256(f"{tool.path} {tool.release}".encode())
    sources = (project / "run.tcl", project / "hls.cfg", *sorted((project / "src").rglob("*")))
    for path in sources:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:20]


def _read_stamp(project: Path, digest: str) -> list[Stage]:
    try:
        stamp: Mapping[str, object] = json.loads((project / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    done = stamp.get("stages")
    if stamp.get("digest") != digest or not isinstance(done, list):
        return []
    return [stage for stage in Stage if stage.value in done]


def _write_stamp(project: Path, digest: str, done: Sequence[Stage]) -> None:
    unfinished = project / f".{STAMP}"
    unfinished.write_text(json.dumps({"digest": digest, "stages": [stage.value for stage in done]}))
    os.replace(unfinished, project / STAMP)
