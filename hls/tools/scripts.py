"""Scripts of all tool generations: one Tcl, one cfg, and Vivado's block designs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bitlathe.hls.emit import FILE_LIST, emit_rtl
from bitlathe.hls.emit import TOP as RTL_TOP
from bitlathe.hls.render import render
from bitlathe.hls.target.area import check_fits
from bitlathe.hls.target.config import Processor, Target

UNCERTAINTY_PERCENT = 12.5  # of the period, what Vivado HLS takes by default
COUNTER = Path(__file__).parents[1] / "vitis" / "rtl" / "cycle_counter.v"  # what cores made by HLS read
IP_VENDOR, IP_LIBRARY, IP_VERSION = "bitlathe", "hls", "1.0"


class EngineKind(Enum):
    """Which engine a block design wraps."""

    HLS = "hls"  # the IP that HLS exported
    RTL = "rtl"  # the SystemVerilog sources, as a module
    HLS4ML = "hls4ml"  # the IP of one network's kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class HlsView:
    """Values for run.tcl and hls.cfg."""

    target: str
    part: str
    period_ns: str
    uncertainty_ns: str
    top: str
    source: str
    vendor: str = IP_VENDOR
    library: str = IP_LIBRARY
    version: str = IP_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorDesign:
    """How a processing system is set up and wired."""

    template: str
    control: str  # its master port to the registers
    memory: str  # its slave port to the DDR


DESIGNS = {
    Processor.ZYNQ_7000: ProcessorDesign(
        template="board_zynq7.tcl.j2", control="M_AXI_GP0", memory="S_AXI_HP0"
    ),
    Processor.ZYNQ_ULTRASCALE: ProcessorDesign(
        template="board_zynqmp.tcl.j2", control="M_AXI_HPM0_FPD", memory="S_AXI_HP0_FPD"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCell:
    """The engine's cell in a block design."""

    is_ip: bool
    top: str
    vlnv: str  # of the exported IP
    sources: tuple[str, ...]  # of modules, relative to the script
    clock: str
    reset: str
    interrupt: str
    control: str
    memories: tuple[str, ...]  # its master ports


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """Values for a block design."""

    target: str
    part: str
    clock_mhz: str
    memory_bits: int
    board_files: str  # pattern of get_board_parts
    processor: ProcessorDesign
    engine: EngineCell


def hls_scripts(target: Target, *, top: str, source: str) -> dict[str, str]:
    """run.tcl for vitis_hls, hls.cfg for v++ and vitis-run."""
    period = 1000 / target.clock_mhz
    view = HlsView(
        target=target.name,
        part=target.part,
        period_ns=f"{period:.3f}",
        uncertainty_ns=f"{period * UNCERTAINTY_PERCENT / 100:.3f}",
        top=top,
        source=source,
    )
    return {name: render(f"{name}.j2", v=view) for name in ("run.tcl", "hls.cfg")}


def board_scripts(target: Target, engine: EngineKind) -> dict[str, str]:
    """Vivado's block design of a target around an engine, and the engine's sources where they are RTL.

    CapacityError where the engine cannot fit the part.
    """
    check_fits(target)
    sources = (
        emit_rtl(target) if engine is EngineKind.RTL else {COUNTER.name: COUNTER.read_text(encoding="utf-8")}
    )
    names = tuple(f"rtl/{name}" for name in sources if name != FILE_LIST)
    view = BoardView(
        target=target.name,
        part=target.part,
        clock_mhz=f"{target.clock_mhz:g}",
        memory_bits=8 * target.engine.word_bytes,
        board_files=target.board_files,
        processor=DESIGNS[target.processor],
        engine=_CELLS[engine](names),
    )
    design = render(view.processor.template, v=view)
    return {"design.tcl": design, **{f"rtl/{name}": text for name, text in sources.items()}}


def _hls_cell(sources: tuple[str, ...]) -> EngineCell:
    return _ip_cell("bitlathe_engine", ("m_axi_gmem",), sources)


def _hls4ml_cell(sources: tuple[str, ...]) -> EngineCell:
    return _ip_cell("network_kernel", ("m_axi_gmem0", "m_axi_gmem1"), sources)


def _ip_cell(top: str, memories: tuple[str, ...], sources: tuple[str, ...]) -> EngineCell:
    return EngineCell(
        is_ip=True,
        top=top,
        vlnv=f"{IP_VENDOR}:{IP_LIBRARY}:{top}:{IP_VERSION}",
        sources=sources,
        clock="ap_clk",
        reset="ap_rst_n",
        interrupt="interrupt",
        control="s_axi_control",
        memories=memories,
    )


def _rtl_cell(sources: tuple[str, ...]) -> EngineCell:
    return EngineCell(
        is_ip=False,
        top=RTL_TOP,
        vlnv="",
        sources=sources,
        clock="clk_i",
        reset="rst_ni",
        interrupt="irq_o",
        control="s_axi_control",
        memories=("m_axi",),
    )


_CELLS: Mapping[EngineKind, Callable[[tuple[str, ...]], EngineCell]] = {
    EngineKind.RTL: _rtl_cell,
    EngineKind.HLS: _hls_cell,
    EngineKind.HLS4ML: _hls4ml_cell,
}
