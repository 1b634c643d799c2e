"""Vivado's project of a board, the exported IP in it, the bitstream by Vivado."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from bitlathe.flow import files
from bitlathe.flow.errors import UsageError
from bitlathe.flow.hardware.hls import MARKER, PROJECTS, Flow, how_to_find, write_project
from bitlathe.flow.progress import Note, Progress, silent
from bitlathe.hls.target.config import Target
from bitlathe.hls.tools.bitstream import IP_FOLDER, build_bitstream
from bitlathe.hls.tools.find import find_vivado
from bitlathe.hls.tools.scripts import EngineKind, board_scripts
from bitlathe.hls.tools.synthesis import ip_path, is_exported
from bitlathe.hls.vitis.project import emit_hls
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.storage import writable

FLOWS = {EngineKind.HLS: Flow.ENGINE, EngineKind.HLS4ML: Flow.HLS4ML}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedIp:
    """An IP that `bitlathe hls` left."""

    folder: Path
    identity: int  # what the core answers in its register


def run_bitstream(
    target: Target,
    engine: EngineKind,
    out: Path,
    required: bool,
    project: Path | None = None,
    progress: Progress = silent,
) -> list[str]:
    """Emit Vivado's project of a board and build it where Vivado is found; lines for a person.

    An engine made by HLS comes from `project`, a folder of `bitlathe hls`, or from the one that is found.
    Raises ToolError where Vivado fails, or is required and missing; UsageError for a folder without that IP.
    """
    files.check_replaceable(out, MARKER)
    vivado = find_vivado()
    if vivado is None and required:
        raise ToolError(f"no Vivado on PATH: {how_to_find('vivado')}")
    ip = None if engine is EngineKind.RTL else exported_ip(target, engine, project)
    scripts = board_scripts(target, engine)
    write_project(out, scripts, {"target": target.name, "engine": engine.value})
    done = [
        f"{engine.value} engine for {target.name}: {len(scripts)} files in {out}",
        *_take(ip, engine, out),
    ]
    if vivado is None:
        return [
            *done,
            "not done: no bitstream, as no Vivado is on PATH; "
            f"{how_to_find('vivado')}, or run `vivado -mode batch -source design.tcl` in {out} elsewhere",
        ]
    tool = f"{vivado.name} {vivado.release}"
    progress(Note(f"building the bitstream with {tool}; this takes an hour or more"))
    identity = target.engine.identity if ip is None else ip.identity
    return [*done, f"bitstream: {build_bitstream(out, engine, identity, vivado)}"]


def exported_ip(target: Target, engine: EngineKind, project: Path | None) -> ExportedIp | None:
    """The IP of a project, or of the one project that has one for the target; None where there is none."""
    if project is not None:
        return _ip_in(project, target, engine)
    places = sorted(PROJECTS.glob(f"*-{target.name}-{FLOWS[engine].value}/{MARKER}"))
    found = [place.parent for place in places if _has_ip(place.parent)]
    if len(found) > 1 and engine is EngineKind.HLS4ML:
        raise UsageError(f"`project`: name one of {', '.join(map(str, found))}: each is another network's IP")
    return _ip_in(found[0], target, engine) if found else None


def _ip_in(project: Path, target: Target, engine: EngineKind) -> ExportedIp:
    try:
        about = json.loads((project / MARKER).read_text(encoding="utf-8"))
        said = about["target"], about["flow"], int(about["identity"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{project}: is not a folder of `bitlathe hls` ({error}); name one that it made"
        ) from error
    if said[:2] != (target.name, FLOWS[engine].value):
        raise UsageError(
            f"{project}: is for {said[0]}, {said[1]} flow; needed is {target.name}, "
            f"{FLOWS[engine].value} flow"
        )
    if not _has_ip(project):
        raise UsageError(
            f"{project}: holds no exported IP; run `bitlathe hls --synth require` with an HLS tool"
        )
    if engine is EngineKind.HLS and not _is_current(project, target):
        raise UsageError(f"{project}: its sources are of another version; run `bitlathe hls` again")
    if not is_exported(project):
        raise UsageError(
            f"{project}: its IP was exported from other sources than are there now; run `bitlathe hls` again "
            "with an HLS tool"
        )
    return ExportedIp(folder=ip_path(project), identity=said[2])


def _has_ip(project: Path) -> bool:
    try:
        return (ip_path(project) / "component.xml").is_file()
    except ToolError:
        return False


def _is_current(project: Path, target: Target) -> bool:
    """Whether the sources beside an IP are those that would be synthesized now."""
    paths = {project / name: text for name, text in emit_hls(target).items()}
    return all(path.is_file() and path.read_text(encoding="utf-8") == text for path, text in paths.items())


def _take(ip: ExportedIp | None, engine: EngineKind, out: Path) -> list[str]:
    """Put the IP where the block design looks for it; a line about it."""
    if engine is EngineKind.RTL:
        return []
    if ip is None:
        flow = FLOWS[engine].value
        return [
            f"not done: {out / IP_FOLDER} has no IP, as no project in {PROJECTS} has exported one; run `make "
            f"hls FLOW={flow} SYNTH=require` with an HLS tool, or name a project with `project`"
        ]
    with writable(out):
        shutil.rmtree(out / IP_FOLDER, ignore_errors=True)
        shutil.copytree(ip.folder, out / IP_FOLDER / "engine")
    return [f"exported IP: {ip.folder}"]
