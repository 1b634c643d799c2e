"""The HLS engine compiled for the host: one shared library a target, kept by the digest of its contents."""

import os
import subprocess
from collections.abc import Sequence
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from bitlathe.hls.target.config import Target
from bitlathe.hls.vitis.view import config_text
from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native.cache import digest_of, kept
from bitlathe.model.native.cxx import cxx

ROOM = Path(__file__).parent
LOG_LINES = 12  # last lines of the compiler's log that its error shows
# C++11 is what the oldest synthesizer takes; g++ reads no pragma, the linter of hls/vitis/lint does.
FLAGS = (
    "-std=c++11",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-Wall",
    "-Werror",
)
QUIET = ("-Wno-unknown-pragmas", "-Wno-unused-label")


class Types(Enum):
    """The types that take the place of the synthesizer's integers of any width."""

    PLAIN = "the smallest plain integers: fast"
    AP = "ap_int of the exact widths, from the installed hls4ml: slow"


def csim_library(target: Target, types: Types = Types.PLAIN) -> Path:
    """Shared library of a target's HLS engine, compiled where it is not there yet; ToolError."""
    compiler = cxx("C simulation compiles the engine")
    flags = [*FLAGS, *QUIET, *_type_flags(types)]
    sources = [ROOM / "csim.cpp", ROOM / "engine_top.cpp", *sorted((ROOM / "include").rglob("*.hpp"))]
    config = config_text(target)
    name = f"hls-{digest_of([*compiler, *flags, config], sources)}.so"
    return kept(name, lambda folder: _built(folder, [*compiler, *flags], config))


def ap_types_folder() -> Path:
    """Folder of the integer headers that hls4ml brings; ToolError where it is not installed."""
    spec = find_spec("hls4ml")
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [Path(place) / "templates" / "vivado" / "ap_types" for place in places]
    found = next((folder for folder in folders if (folder / "ap_int.h").exists()), None)
    if found is None:
        raise ToolError("the headers ap_types are missing: pip install 'hls4ml>=1.3,<1.4'")
    return found


def _type_flags(types: Types) -> list[str]:
    if types is Types.PLAIN:
        return []
    # The headers set off warnings where they are inlined; the build with plain types is held to all of them.
    return ["-DBITLATHE_AP_TYPES", "-w", "-isystem", str(ap_types_folder())]


def _built(folder: Path, command: Sequence[str], config: str) -> Path:
    """The library, compiled in an empty folder, where the compiler's own temporary files are too."""
    header = folder / "bitlathe" / "config.hpp"
    header.parent.mkdir()
    header.write_text(config, encoding="utf-8")
    includes = [f"-I{path}" for path in (".", ROOM / "include", ROOM / "include" / "bitlathe")]
    done = subprocess.run(
        [*command, *includes, "-o", "csim.so", str(ROOM / "csim.cpp")],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(folder)},
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise ToolError(f"{command[0]} failed with status {done.returncode} on the HLS engine:\n{last}")
    return folder / "csim.so"
