"""The engine's sources for a target and a synthesis tool: {file name: text}; nothing is written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bitlathe.hls.render import render
from bitlathe.hls.target.area import check_fits
from bitlathe.hls.target.config import EngineConfiguration, Target
from bitlathe.model.graph.errors import ToolError

RTL = Path(__file__).parent / "rtl"
TOP = "engine_top"
FILE_LIST = "engine.f"

# A port of engine.sv, as its formatter lays them out; the high end of its range is a number, PI-1 or n*PI-1.
_PORT = re.compile(
    r"^ +(?P<direction>input|output) +(?:wire )?logic +"
    r"(?:\[ *(?:(?P<number>\d+)|(?:(?P<factor>\d+)\*)?PI-1):0\] )?(?P<name>\w+),?$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the engine."""

    name: str
    direction: str  # input or output
    width: int
    attributes: tuple[str, ...] = ()  # Verilog's, of the interface that it is

    @property
    def range(self) -> str:
        """Its range as Verilog writes it, empty for one bit."""
        return f"[{self.width - 1}:0]" if self.width > 1 else ""


def engine_parameters(configuration: EngineConfiguration) -> dict[str, int]:
    """Parameters of the module `engine`."""
    return {
        "PI": configuration.pi,
        "PO": configuration.po,
        "PP": configuration.pp,
        "Banks": configuration.banks,
        "BankLines": configuration.bank_lines,
        "WeightLines": configuration.weight_lines,
        "Identity": configuration.identity,
    }


def engine_sources() -> tuple[Path, ...]:
    """The engine's SystemVerilog in an order that compiles: packages first; ToolError where it is missing."""
    if not (RTL / "engine.sv").exists():
        raise ToolError(f"{RTL / 'engine.sv'} is missing; reinstall bitlathe")
    return tuple(sorted(RTL.glob("*.sv"), key=lambda path: (not path.stem.endswith("_pkg"), path.name)))


def emit_rtl(target: Target) -> dict[str, str]:
    """The engine's sources, a top module with the target's parameters, and the list of the files in order.

    CapacityError where the target's engine cannot fit its part.
    """
    check_fits(target)
    sources = {path.name: path.read_text(encoding="utf-8") for path in engine_sources()}
    top = f"{TOP}.v"
    return {**sources, top: top_text(target), FILE_LIST: "".join(f"{name}\n" for name in (*sources, top))}


def top_text(target: Target) -> str:
    """Text of the top module.

    It is plain Verilog because Vivado's block designs take no SystemVerilog file as a module.
    """
    ports = tuple(engine_ports(target.engine.word_bytes))
    return render(f"{TOP}.v.j2", target=target, parameters=engine_parameters(target.engine), ports=ports)


# Vivado finds AXI by its ports' names, but must be told clock, reset and interrupt, which AXI depends on.
_INTERFACES = {
    "clk_i": ("clock", "CLK", "ASSOCIATED_BUSIF s_axi_control:m_axi, ASSOCIATED_RESET rst_ni"),
    "rst_ni": ("reset", "RST", "POLARITY ACTIVE_LOW"),
    "irq_o": ("interrupt", "INTERRUPT", "SENSITIVITY LEVEL_HIGH"),
}


def engine_ports(word_bytes: int) -> Iterator[Port]:
    """Ports of the module `engine` for words of PI = `word_bytes`, as its source declares them."""
    header, _, _ = (RTL / "engine.sv").read_text(encoding="utf-8").partition("\n);")
    for port in _PORT.finditer(header):
        width = int(port["factor"] or 1) * word_bytes if "PI" in port[0] else int(port["number"] or 0) + 1
        name = port["name"]
        yield Port(name=name, direction=port["direction"], width=width, attributes=tuple(_attributes(name)))


def _attributes(port: str) -> Iterator[str]:
    if port in _INTERFACES:
        kind, signal, parameter = _INTERFACES[port]
        yield f'X_INTERFACE_INFO = "xilinx.com:signal:{kind}:1.0 {port} {signal}"'
        yield f'X_INTERFACE_PARAMETER = "XIL_INTERFACENAME {port}, {parameter}"'
