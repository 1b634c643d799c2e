"""Inside the simulator: axi_rules reports each rule when traffic breaks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from bitlathe.rtl_tb.stimulus import reset
from bitlathe.rtl_tb.traffic import quiet

Signals = Mapping[str, int]
OFFERS = (
    *("m_axi_" + name for name in ("arvalid", "arready", "awvalid", "awready", "wvalid", "wready")),
    *("s_axi_control_" + name for name in ("bvalid", "bready", "rvalid", "rready")),
)
LEGAL = {
    "m_axi_araddr": 0x1F80, "m_axi_arlen": 15, "m_axi_arsize": 3, "m_axi_arburst": 1,
    "m_axi_awaddr": 0x2000, "m_axi_awlen": 1, "m_axi_awsize": 3, "m_axi_awburst": 1,
    "m_axi_wdata": 5, "m_axi_wstrb": 0xFF, "m_axi_wlast": 0,
    "s_axi_control_bresp": 0, "s_axi_control_rresp": 0, "s_axi_control_rdata": 7,
}  # fmt: skip
AW = {"m_axi_awvalid": 1, "m_axi_awready": 1}
W = {"m_axi_wvalid": 1, "m_axi_wready": 1}
LAST = {**W, "m_axi_wlast": 1}
AR = {"m_axi_arvalid": 1, "m_axi_arready": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Cycles of traffic, each as its difference from legal payloads and no offers."""

    broken: int  # bits of broken_o
    cycles: tuple[Signals, ...]


CASES = [
    Case(broken=0, cycles=(AW, W, LAST, {"m_axi_arvalid": 1}, AR)),
    Case(broken=1 << 0, cycles=({"m_axi_arvalid": 1}, {"m_axi_arvalid": 1, "m_axi_araddr": 0x1F00})),
    Case(broken=1 << 1, cycles=({"m_axi_awvalid": 1}, {})),
    Case(broken=1 << 2, cycles=({"m_axi_wvalid": 1}, {"m_axi_wvalid": 1, "m_axi_wdata": 6})),
    Case(broken=1 << 3, cycles=({"s_axi_control_bvalid": 1}, {})),
    Case(
        broken=1 << 4,
        cycles=({"s_axi_control_rvalid": 1}, {"s_axi_control_rvalid": 1, "s_axi_control_rdata": 8}),
    ),
    Case(
        broken=1 << 5,
        cycles=({**AR, "m_axi_arlen": 16, "m_axi_araddr": 0},),
    ),
    Case(broken=1 << 5, cycles=({**AR, "m_axi_araddr": 0x1F88},)),
    Case(broken=1 << 5, cycles=({**AR, "m_axi_araddr": 0x1004},)),
    Case(broken=1 << 6, cycles=({**AW, "m_axi_awaddr": 0x2FF8},)),
    Case(broken=1 << 6, cycles=({**AW, "m_axi_awsize": 2},)),
    Case(broken=0, cycles=(W, LAST, AW)),
    Case(broken=0, cycles=(W, AW, LAST)),
    Case(broken=0, cycles=(W, {**LAST, **AW}, {**W, **AW}, LAST)),
    Case(broken=0, cycles=(W, LAST, W, LAST, AW, AW)),
    Case(broken=0, cycles=(AW, AW, W, LAST, W, LAST)),
    Case(broken=1 << 7, cycles=(AW, LAST)),
    Case(broken=1 << 7, cycles=(AW, W, W)),
    Case(broken=1 << 7, cycles=({**AW, **LAST},)),
    Case(broken=1 << 7, cycles=(LAST, AW)),
    Case(broken=1 << 7, cycles=(W, W, AW)),
    Case(broken=1 << 7, cycles=(W, W, LAST, AW)),
    Case(broken=1 << 7, cycles=(W, LAST, LAST, AW, AW)),
    Case(broken=1 << 8, cycles=(AW, {**W, "m_axi_wstrb": 0x7F})),
]


@cocotb.test(timeout_time=10, timeout_unit="us")
@cocotb.parametrize(case=CASES)
async def a_broken_rule_is_noted(dut: Any, case: Case) -> None:
    quiet(dut, OFFERS)
    await reset(dut)
    for changes in (*case.cycles, {}, {}):
        for name, value in {**dict.fromkeys(OFFERS, 0), **LEGAL, **changes}.items():
            getattr(dut, name).value = value
        await RisingEdge(dut.clk_i)
    assert int(dut.broken_o.value) == case.broken
