"""Style of what is not Python: the engine's SystemVerilog by two front ends, our C++ by its formatter.

python .ci/lint.py [--format]    # --format rewrites the C++ instead of judging it

Verilator warns of widths, latches and unused signals. slang holds the sources to the language standard more
strictly than simulators do, and warns of what is lost for certain, such as a shift by a whole width. Both
see the engine as each board has it, for what is wrong may depend on its sizes.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from bitlathe.hls.emit import engine_parameters, engine_sources
from bitlathe.hls.sim.build import verilator_root
from bitlathe.hls.target.config import TARGETS, Target
from bitlathe.model.graph.errors import ToolError

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("hls", "model", "tests")
GENERATED = re.compile(r"generated.*, do not edit")  # in the header of what a template renders and lays out
PRAGMA, LEFT_ALONE = "#pragma HLS", "#pragma mark HLS"  # the formatter puts blanks into any pragma but `mark`
TOP = "engine"
SLANG = (
    "import sys, pyslang; driver = pyslang.driver.Driver(); driver.addStandardArgs(); "
    "read = driver.parseCommandLine(sys.argv[1]) and driver.processOptions() and driver.parseAllSources(); "
    "driver.reportCompilation(driver.createCompilation(), True); "
    "sys.exit(not (driver.reportDiagnostics(True) and read))"
)


def main(words: Sequence[str]) -> int:
    """Exit status: 0 clean, 1 not, 3 where a tool is missing."""
    try:
        if words == ["--format"]:
            for path in cpp_sources():
                path.write_text(formatted(path.read_text(encoding="utf-8"), path), encoding="utf-8")
            return 0
        judged = [is_untidy(path) for path in cpp_sources()]
        for target in {each.engine: each for each in TARGETS.values()}.values():
            judged += [is_refused(verilator(target)), is_refused(slang(target))]
        return int(any(judged))
    except ToolError as error:
        print(f"lint: {error}", file=sys.stderr)
        return 3


def cpp_sources() -> Iterator[Path]:
    """The C++ that somebody wrote."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.[ch]pp")):
            text = path.read_text(encoding="utf-8")
            if "golden" not in path.parts and not GENERATED.search(text[:500]):
                yield path


def is_untidy(path: Path) -> bool:
    """Whether the formatter would change a file; says where."""
    old = path.read_text(encoding="utf-8")
    new = formatted(old, path)
    if new == old:
        return False
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    place = next(line for line in lines if line.startswith("@@"))
    told = f"{path.relative_to(ROOT)}: {place}: run .venv/bin/python .ci/lint.py --format"
    print(told, file=sys.stderr)
    return True


def formatted(text: str, path: Path) -> str:
    """A file's text as .clang-format lays it out, its pragmas left alone; ToolError where that fails."""
    need("clang_format")
    from clang_format import get_executable

    command = [str(get_executable("clang-format")), f"--assume-filename={path}"]
    masked = text.replace(PRAGMA, LEFT_ALONE)
    done = subprocess.run(command, cwd=ROOT, input=masked, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"clang-format failed on {path}: {done.stderr.strip()}")
    return done.stdout.replace(LEFT_ALONE, PRAGMA)


def verilator(target: Target) -> list[str]:
    """Verilator's lint of a target's engine."""
    program = str(verilator_root() / "bin" / "verilator_bin")
    return [program, "--lint-only", "--quiet", "-Wall", "--top-module", TOP, *_engine(target)]


def slang(target: Target) -> list[str]:
    """slang's lint of a target's engine."""
    need("pyslang")
    line = " ".join(f'"{word}"' for word in ("slang", "-Werror", "--top", TOP, *_engine(target)))
    return [sys.executable, "-c", SLANG, line]


def is_refused(command: Sequence[str]) -> bool:
    """Whether a front end finds fault; it says itself with what."""
    surroundings = {**os.environ, "VERILATOR_ROOT": str(verilator_root())}
    return subprocess.run(command, cwd=ROOT, env=surroundings).returncode != 0


def need(package: str) -> None:
    """Raise ToolError where a package is not installed."""
    if find_spec(package) is None:
        raise ToolError(f"{package} is missing: .venv/bin/python -m pip install -e '.[dev,board]'")


def _engine(target: Target) -> list[str]:
    sizes = (f"-G{name}=32'd{value}" for name, value in engine_parameters(target.engine).items())
    return [*sizes, *(path.relative_to(ROOT).as_posix() for path in engine_sources())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
