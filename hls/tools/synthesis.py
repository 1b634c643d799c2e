"""Running a synthesizer on an emitted project; each finished stage is kept, so a rerun continues."""

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from bitlathe.hls.target.config import Target
from bitlathe.hls.tools.find import Launcher, Tool, find_tool
from bitlathe.hls.tools.reports import HlsReport, read_report
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.storage import write_whole

LOG_LINES = 12
STAMP = "stages.json"
DISK_FULL = ("no space left on device", "disk quota exceeded")
LEAST_FREE_BYTES = 16 << 20  # a tool that cannot even write its log does not mention a full disk
SIGNALLED = 128  # a launcher's status for a tool that signal n ended is this and n


class ToolStage(Enum):
    """The stages of a synthesizer, in order."""

    CSYNTH = "csynth"  # C++ to Verilog and estimates
    EXPORT = "export"  # the Verilog as an IP


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisResult:
    """The report and the IP that a synthesis left."""

    report: HlsReport
    ip: Path
    stages_run: tuple[ToolStage, ...]  # those that were not done already


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """Record of the stages that earlier runs finished, kept beside the project."""

    sources: str  # digest of what was synthesized
    tool: str
    stages: tuple[ToolStage, ...] = ()


def synthesize(project: Path, target: Target, tool: Tool) -> SynthesisResult:
    """Synthesize and export a project's folder; ToolError with the log's end when a stage fails.

    A stage that an earlier run finished with the same sources and the same tool is not run again, unless what
    it left is gone.
    """
    stamp = _Stamp(sources=_sources_digest(project), tool=f"{tool.path} {tool.release}")
    done = _finished(project, stamp)
    run = tuple(stage for stage in ToolStage if stage not in done)
    for stage in run:
        _remove_output(project, stage)
        _run_stage(project, tool, stage)
        _only(project, stage)
        done = (*done, stage)
        _write_stamp(project, replace(stamp, stages=done))
    return SynthesisResult(
        report=read_report(report_path(project), target), ip=ip_path(project), stages_run=run
    )


def is_exported(project: Path) -> bool:
    """Whether our record of a project's runs shows that its IP was made from the sources beside it."""
    stamp = _read_stamp(project)
    return stamp is None or (ToolStage.EXPORT in stamp.stages and stamp.sources == _sources_digest(project))


def stage_command(tool: Tool, stage: ToolStage) -> list[str]:
    """The command of a stage, to run in the project's folder."""
    if tool.name != Launcher.VITIS_RUN.value:
        return [str(tool.path), "-f", "run.tcl"]
    common = ["--mode", "hls", "--config", "hls.cfg", "--work_dir", "hls"]
    if stage is ToolStage.EXPORT:
        return [str(tool.path), *common[:2], "--package", *common[2:]]
    compiler = find_tool("v++", tool.environment)
    if compiler is None:
        raise ToolError(f"{tool.path} is here without v++: source the whole settings64.sh")
    return [str(compiler.path), "-c", *common]


def report_path(project: Path) -> Path:
    """The synthesis report, wherever this generation puts it; ToolError where there is none."""
    return _only(project, ToolStage.CSYNTH)


def ip_path(project: Path) -> Path:
    """Folder of the exported IP; ToolError where there is none."""
    return _only(project, ToolStage.EXPORT)


_OUTPUTS = {  # of each stage: where the generations leave it
    ToolStage.CSYNTH: ("report", ("hls/solution1/syn/report/csynth.xml", "hls/hls/syn/report/csynth.xml")),
    ToolStage.EXPORT: ("exported IP", ("hls/solution1/impl/ip", "hls/hls/impl/ip")),
}


def _output(project: Path, stage: ToolStage) -> Path | None:
    """The output of a stage, if it is there."""
    _, places = _OUTPUTS[stage]
    return next((project / place for place in places if (project / place).exists()), None)


def _remove_output(project: Path, stage: ToolStage) -> None:
    """Remove what an earlier run of a stage left, of any generation: it must not pass for this one's."""
    while (old := _output(project, stage)) is not None:
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()


def _only(project: Path, stage: ToolStage) -> Path:
    found = _output(project, stage)
    if found is None:
        what, places = _OUTPUTS[stage]
        raise ToolError(f"{project}: the tool ended well but left no {what}: see {' or '.join(places)}")
    return found


def _run_stage(project: Path, tool: Tool, stage: ToolStage) -> None:
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
    # A script that was cut short may leave status 0, so its last line decides.
    unfinished = tool.name != Launcher.VITIS_RUN.value and "BITLATHE done" not in text
    if status or unfinished:
        raise ToolError(_explain(tool, stage, status, text, log))


def _explain(tool: Tool, stage: ToolStage, status: int, text: str, log: Path) -> str:
    lower = text.lower()
    last = "\n".join(text.splitlines()[-LOG_LINES:])
    head = f"{tool.name} {tool.release} failed in {stage.value} with status {status}"
    if is_disk_full(lower, log.parent):
        return f"{head}: the disk is full; free some and run again, finished stages are kept. Log: {log}"
    if status in (-signal.SIGKILL, SIGNALLED + signal.SIGKILL):
        return (
            f"{head}: it was killed, as the system does where memory runs out; give it more, then run again, "
            f"finished stages are kept. Log: {log}"
        )
    return f"{head}; whole log in {log}:\n{last}"


def is_disk_full(log: str, folder: Path) -> bool:
    """Whether a tool that failed had no room, by its log in lower case or by what is left."""
    return any(words in log for words in DISK_FULL) or shutil.disk_usage(folder).free < LEAST_FREE_BYTES


def _sources_digest(project: Path) -> str:
    """Digest of all that a synthesizer reads."""
    folders = (project / "src", project / "firmware")
    listed = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in (project / "run.tcl", project / "hls.cfg", *listed):
        name = path.relative_to(project).as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _finished(project: Path, stamp: _Stamp) -> tuple[ToolStage, ...]:
    """Stages that need not be run again, in order and without a gap."""
    earlier = _read_stamp(project)
    if earlier is None or replace(earlier, stages=()) != stamp:
        return ()
    kept = [stage in earlier.stages and _output(project, stage) is not None for stage in ToolStage]
    return tuple(stage for place, stage in enumerate(ToolStage) if all(kept[: place + 1]))


def _read_stamp(project: Path) -> _Stamp | None:
    """The stamp of a project, None where there is none that can be read."""
    try:
        said: Mapping[str, str] = json.loads((project / STAMP).read_text(encoding="utf-8"))
        stages = tuple(ToolStage(word) for word in said["stages"])
        return _Stamp(sources=said["sources"], tool=said["tool"], stages=stages)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_stamp(project: Path, stamp: _Stamp) -> None:
    said = {**asdict(stamp), "stages": [stage.value for stage in stamp.stages]}
    write_whole(project / STAMP, json.dumps(said).encode())
