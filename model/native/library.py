"""The compiled kernels: built once for a compiler and a processor, kept by their digest, loaded once."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from bitlathe.model.graph.errors import ToolError
from bitlathe.model.native.cache import cache_folder, digest_of, locked
from bitlathe.model.native.cxx import cxx

SOURCE = Path(__file__).with_name("kernels.cpp")
NATIVE = ("-march=native",)  # the processor's own instructions; without them the kernels are plain C++
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")


@lru_cache(maxsize=2)
def kernels(instructions: tuple[str, ...] = NATIVE) -> ctypes.CDLL:
    """The library of kernels.cpp; ToolError where there is no C++ compiler or it fails."""
    command = [*cxx("networks are evaluated in compiled code"), *_FLAGS, *instructions]
    library = cache_folder() / f"evaluator-{digest_of([*command, _processor()], [SOURCE])}.so"
    with locked(library):
        if not library.exists():
            _build(command, library)
    loaded = ctypes.CDLL(str(library))
    loaded.bitlathe_evaluate.argtypes = [
        *(ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32),
        *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32),
    ]
    return loaded


def _build(command: list[str], library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="build-") as folder:
        made = Path(folder, "kernels.so")
        done = subprocess.run([*command, str(SOURCE), "-o", str(made)], capture_output=True, text=True)
        if done.returncode:
            raise ToolError(f"{command[0]} cannot compile {SOURCE.name}: {done.stderr.strip()[-400:]}")
        made.replace(library)


def _processor() -> str:
    """What -march=native depends on, as far as Linux tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    features = (line for line in lines if line.startswith(("flags", "Features", "model name")))
    return "\n".join([platform.machine(), *sorted(set(features))])
