"""The compiled kernels: built once for a compiler and a processor, kept by their digest, loaded once."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from functools import lru_cache
from pathlib import Path

from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native.cache import copied, digest_of, kept
from bitlathe.model.native.cxx import cxx

SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernels.cpp", "lanes.hpp", "winograd.hpp"))
NATIVE = ("-march=native",)  # the processor's own instructions
PLAIN: tuple[str, ...] = ()  # no instructions but the oldest: the kernels are plain C++
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")


def fastest_kernels() -> ctypes.CDLL:
    """The kernels in the processor's own instructions, else in those that every compiler knows.

    Clang took -march=native for AArch64 years after GCC. Raises ToolError as `kernels`.
    """
    try:
        return kernels(NATIVE)
    except ToolError:
        return kernels(PLAIN)


@lru_cache(maxsize=2)
def kernels(instructions: tuple[str, ...]) -> ctypes.CDLL:
    """The library of kernels.cpp; ToolError if there is no C++ compiler or it fails."""
    command = [*cxx("networks are evaluated in compiled code"), *_FLAGS, *instructions]
    name = f"evaluator-{digest_of([*command, _processor()], SOURCES)}.so"
    library = kept(name, lambda folder: _built(folder, command))
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolError(f"{library}: cannot be loaded ({error}); remove it, or name another cache") from error
    loaded.bitlathe_evaluate.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p),
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32),
    ]
    return loaded


def _built(folder: Path, command: list[str]) -> Path:
    source, *_ = copied(SOURCES, folder)
    made = folder / "kernels.so"
    done = subprocess.run([*command, source, "-o", made.name], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"{command[0]} cannot compile {source}: {done.stderr.strip()[-400:]}")
    return made


def _processor() -> str:
    """What -march=native depends on, as far as Linux reveals it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    features = (line for line in lines if line.startswith(("flags", "Features", "model name")))
    return "\n".join([platform.machine(), *sorted(set(features))])
