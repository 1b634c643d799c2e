"""The hardware hand-off file of a simulated overlay: only what pynq reads of the file that Vivado writes.

Elements and attributes were found by leaving out whatever changes nothing in pynqmetadata 0.1.9 and 0.2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bitlathe.board.sim.boards import BoardModel
from bitlathe.board.sim.processors import SimulatedProcessor

ENGINE = "engine_0"
ENGINE_VLNV = "user.org:user:engine:1.0"
_INTC, _INTC_VLNV = "axi_intc_0", "xilinx.com:ip:axi_intc:4.1"
_MEMORY_MAPPED = "xilinx.com:interface:aximm:1.0"
_RANGE = 0x1_0000
_CLOCKS = 4


def hwh_text(board: BoardModel, registers: Mapping[str, int]) -> bytes:
    """The .hwh of a board with the engine, its registers (name -> offset) and an interrupt controller."""
    system = Element("EDKSYSTEM")
    SubElement(system, "EXTERNALPORTS")
    modules = SubElement(system, "MODULES")
    _processor(modules, board)
    _engine(modules, registers)
    _interrupt_controller(modules, board.processor)
    ElementTree.indent(system)
    text: bytes = ElementTree.tostring(system, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _processor(modules: Element, board: BoardModel) -> None:
    chip = board.processor
    module = _module(modules, chip.instance, f"xilinx.com:ip:{chip.kind}:{chip.version}")
    module.set("MODTYPE", chip.kind)
    parameters = SubElement(module, "PARAMETERS")
    for clock in range(_CLOCKS):
        for key, value in chip.clock_parameters(clock).items():
            SubElement(parameters, "PARAMETER", NAME=key, VALUE=value)
    ports = SubElement(module, "PORTS")
    SubElement(ports, "PORT", NAME=chip.interrupt, DIR="I", SIGIS="INTERRUPT", SIGNAME="intc_irq")
    _connect(ports[0], _INTC, "irq")
    buses = SubElement(module, "BUSINTERFACES")
    SubElement(buses, "BUSINTERFACE", NAME=chip.control, TYPE="MASTER", VLNV=_MEMORY_MAPPED)
    ranges = SubElement(module, "MEMORYMAP")
    _memory_range(ranges, chip.control, ENGINE, "s_axi_control", board.registers)
    _memory_range(ranges, chip.control, _INTC, "s_axi", board.interrupts)


def _engine(modules: Element, registers: Mapping[str, int]) -> None:
    module = _module(modules, ENGINE, ENGINE_VLNV)
    blocks = SubElement(module, "ADDRESSBLOCKS")
    block = SubElement(blocks, "ADDRESSBLOCK", INTERFACE="s_axi_control", USAGE="register")
    listed = SubElement(block, "REGISTERS")
    for name, offset in registers.items():
        register = SubElement(listed, "REGISTER", NAME=name)
        _properties(register, DESCRIPTION="", ADDRESS_OFFSET=f"{offset:#x}", SIZE="32", ACCESS="read-write")
        SubElement(register, "FIELDS")
    ports = SubElement(module, "PORTS")
    _connect(
        SubElement(ports, "PORT", NAME="irq_o", DIR="O", SIGIS="INTERRUPT", SIGNAME="engine_irq"),
        _INTC,
        "intr",
    )
    _slave(module, "s_axi_control")


def _interrupt_controller(modules: Element, chip: SimulatedProcessor) -> None:
    module = _module(modules, _INTC, _INTC_VLNV)
    ports = SubElement(module, "PORTS")
    _connect(
        SubElement(ports, "PORT", NAME="intr", DIR="I", SIGIS="INTERRUPT", SIGNAME="engine_irq"),
        ENGINE,
        "irq_o",
    )
    line = SubElement(ports, "PORT", NAME="irq", DIR="O", SIGIS="INTERRUPT", SIGNAME="intc_irq")
    _connect(line, chip.instance, chip.interrupt)
    _slave(module, "s_axi")


def _module(modules: Element, name: str, vlnv: str) -> Element:
    kind = vlnv.split(":")[2]
    return SubElement(modules, "MODULE", FULLNAME=f"/{name}", INSTANCE=name, MODTYPE=kind, VLNV=vlnv)


def _slave(module: Element, bus: str) -> None:
    buses = SubElement(module, "BUSINTERFACES")
    SubElement(buses, "BUSINTERFACE", NAME=bus, TYPE="SLAVE", VLNV=_MEMORY_MAPPED)


def _connect(port: Element, instance: str, pin: str) -> None:
    connections = SubElement(port, "CONNECTIONS")
    SubElement(connections, "CONNECTION", INSTANCE=instance, PORT=pin)


def _memory_range(ranges: Element, master: str, instance: str, bus: str, base: int) -> None:
    SubElement(
        ranges,
        "MEMRANGE",
        INSTANCE=instance,
        MASTERBUSINTERFACE=master,
        SLAVEBUSINTERFACE=bus,
        MEMTYPE="REGISTER",
        ADDRESSBLOCK="Reg",
        BASEVALUE=f"{base:#x}",
        HIGHVALUE=f"{base + _RANGE - 1:#x}",
    )


def _properties(element: Element, **values: str) -> None:
    for name, value in values.items():
        SubElement(element, "PROPERTY", NAME=name, VALUE=value)
