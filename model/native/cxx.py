"""The C++ compiler that simulations and benches are compiled with."""

from __future__ import annotations

import os
import shlex
import shutil

from bitlathe.model.graph.errors import ToolError


def cxx(needed: str) -> tuple[str, ...]:
    """Command of the compiler: CXX, which may have words before and after its name, else g++.

    Raises ToolError, naming what `needed` it, if it is not installed.
    """
    try:
        command = tuple(shlex.split(cxx_text()))
    except ValueError:  # a quotation mark without its other one
        command = ()
    if not command or shutil.which(command[0]) is None:
        raise ToolError(f"no C++ compiler ({cxx_text()}), and {needed}: install g++, or name yours in CXX")
    # compilers run in the cache's folders, where a relative path would lead elsewhere
    return (os.path.abspath(command[0]), *command[1:]) if "/" in command[0] else command


def cxx_text() -> str:
    """CXX as given, else g++."""
    return os.environ.get("CXX", "").strip() or "g++"
