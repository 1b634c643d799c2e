"""The processing systems as pynq sees them: their clocks' registers, and their names in a hand-off file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedProcessor:
    """The differences between processing systems that pynq sees."""

    architecture: str  # as Linux names the processor
    clock_registers: Mapping[int, int]  # address -> value after booting
    instance: str  # in the block design
    kind: str  # of the IP
    version: str  # of the IP
    interrupt: str  # pin
    control: str  # master port to the registers
    clock_parameters: Callable[[int], dict[str, str]]  # of the IP, for one of the fabric's clocks


def _zynq_clock(clock: int) -> dict[str, str]:
    return {
        f"PCW_FPGA_FCLK{clock}_ENABLE": str(int(clock == 0)),
        f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR0": "5",
        f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR1": "2",
        f"PCW_FCLK{clock}_PERIPHERAL_CLKSRC": "IO PLL",
    }


def _zynqmp_clock(clock: int) -> dict[str, str]:
    prefix = f"PSU__CRL_APB__PL{clock}_REF_CTRL"
    return {
        f"PSU__FPGA_PL{clock}_ENABLE": str(int(clock == 0)),
        f"{prefix}__DIVISOR0": "15",
        f"{prefix}__DIVISOR1": "1",
        f"{prefix}__SRCSEL": "IOPLL",
        f"{prefix}__ACT_FREQMHZ": "99.999001",
    }


# Reset values that the boot image leaves: IO PLL at 1000 MHz of a 50 MHz crystal, FCLK0 at 100 MHz;
# IOPLL at 1500 MHz of a 33.333 MHz crystal, PL0 at 100 MHz. Registers: AMD UG585, UG1087.
PROCESSORS = {
    "zynq-7000": SimulatedProcessor(
        architecture="armv7l",
        clock_registers={
            0xF800_0100: 26 << 12,
            0xF800_0104: 21 << 12,
            0xF800_0108: 20 << 12,
            0xF800_0120: 2 << 8,
            **{0xF800_0170 + 16 * clock: 5 << 8 | 2 << 20 for clock in range(4)},
        },
        instance="processing_system7_0",
        kind="processing_system7",
        version="5.5",
        interrupt="IRQ_F2P",
        control="M_AXI_GP0",
        clock_parameters=_zynq_clock,
    ),
    "zynq-ultrascale": SimulatedProcessor(
        architecture="aarch64",
        clock_registers={
            0xFF5E_0020: 90 << 8 | 1 << 16,
            0xFF5E_0030: 90 << 8 | 1 << 16,
            **{0xFF5E_00C0 + 4 * clock: 15 << 8 | 1 << 16 | 1 << 24 for clock in range(4)},
            0xFD1A_0020: 72 << 8 | 1 << 16,
            0xFD1A_002C: 64 << 8 | 1 << 16,
            0xFD1A_0038: 90 << 8 | 1 << 16,
            0xFD1A_0060: 1 << 8,
        },
        instance="zynq_ultra_ps_e_0",
        kind="zynq_ultra_ps_e",
        version="3.5",
        interrupt="pl_ps_irq0",
        control="M_AXI_HPM0_FPD",
        clock_parameters=_zynqmp_clock,
    ),
}
