"""A pynq device whose fabric is a compiled simulator; Overlay, allocate, MMIO, Clocks, interrupts work on it.

The methods that pynq calls are those of `pynq.pl_server.device.Device`; no function of pynq is replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pynq import Clocks
from pynq.interrupt import _InterruptController
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from bitlathe.board.clock import Timer
from bitlathe.board.errors import DeviceError
from bitlathe.board.sim.boards import BoardModel, board_model
from bitlathe.board.sim.interrupts import InterruptController, InterruptDevice
from bitlathe.board.sim.library import EngineModel
from bitlathe.board.sim.memory import SimulatedMemory
from bitlathe.board.sim.overlay_text import SimulatedOverlay, read_overlay_text
from bitlathe.board.sim.settings import SimulationSettings

_WORD_BYTES = 4
_CONTROL, _START, _ABORT = 0x00, 1, 1 << 16  # register CTRL and bits of it
_COUNT_SECONDS = 3e-5  # over which a clock is counted; thousands of cycles


class SimulatedDevice(Device):  # type: ignore[misc]  # pynq ships no types
    """A board without hardware. `activate` makes it the one that pynq uses."""

    def __init__(self, model: BoardModel, settings: SimulationSettings) -> None:
        super().__init__(f"simulated_{model.name}")
        self.name, self.arch = model.name, model.processor.architecture
        self.capabilities = {"MEMORY_MAPPED": True, "SIMULATED": True}
        memory_bytes = settings.memory_bytes or model.memory_bytes
        self.default_memory = SimulatedMemory(self, settings.memory_base, memory_bytes, settings.faults)
        self.loads = 0
        self._model = model
        self._settings = settings
        self._clocks = dict(model.processor.clock_registers)
        self._engine: EngineModel | None = None
        self._engine_span = range(0)  # addresses of its registers
        self._intc_span = range(0)
        self._intc = InterruptController(self._line)
        self._overlay: SimulatedOverlay | None = None

    # ---- what pynq asks of a device

    def get_bitfile_metadata(self, name: str, partial: bool = False) -> Any:
        """The parsed .hwh beside a .bit."""
        hwh = Path(name).with_suffix(".hwh")
        if not hwh.is_file():
            raise FileNotFoundError(f"{hwh} is missing")
        parser = RuntimeMetadataParser(Metadata(input=str(hwh)))
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Load what the .bit's text names: a fresh engine, out of reset."""
        path = Path(bitstream.bitfile_name)
        self._overlay = read_overlay_text(path)
        if self._overlay.board != self.name:
            raise DeviceError(f"{path.name}: is for a simulated {self._overlay.board}, this is {self.name}")
        memory, faults = self._settings.memory_of(self._overlay.memory), self._settings.faults
        if self._engine is None or not faults.keeps_state:
            dram, base = self.default_memory.dram, self.default_memory.base
            self._engine = EngineModel(path.with_name(self._overlay.library), dram, base, memory)
        self.loads += 1
        if self.loads <= faults.hang_loads:
            self._engine.inject(faults, self.default_memory.base)
        self._map(parser)
        super().post_download(bitstream, parser, self.name)

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:
        """Nothing is cached."""

    def get_memory(self, description: Any) -> SimulatedMemory:
        """The one memory there is."""
        return self.default_memory

    def mmap(self, base: int, length: int) -> Any:
        """Registers as an array whose accesses are bus transactions."""
        return RegisterWindow(self, base, length)

    def flush(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """Bring a whole buffer to the engine, as the boards do."""
        self.default_memory.flush(bo)

    def invalidate(self, bo: int, offset: int, ptr: int, size: int) -> None:
        """Bring a buffer from the engine."""
        self.default_memory.invalidate(bo)

    # ---- the bus

    def bus_read(self, address: int) -> int:
        """32 bits from an address; RuntimeError where a real board would hang."""
        if address in self._clocks:
            return self._clocks[address]
        if address in self._engine_span:
            return self._read_engine(address - self._engine_span.start)
        if address in self._intc_span:
            return self._intc.read(address - self._intc_span.start)
        raise RuntimeError(f"bus error: nothing answers a read of {address:#x}")

    def bus_write(self, address: int, value: int) -> None:
        """Write 32 bits; RuntimeError where a real board would hang."""
        if address in self._clocks:
            self._clocks[address] = self._clocks[address] if self._settings.faults.clock_stuck else value
        elif address in self._engine_span:
            self._write_engine(address - self._engine_span.start, value)
        elif address in self._intc_span:
            self._intc.write(address - self._intc_span.start, value)
        else:
            raise RuntimeError(f"bus error: nothing answers a write to {address:#x}")

    def run(self, cycles: int) -> None:
        """Let time pass in the fabric, at most until the interrupt line rises."""
        self.engine.run(cycles, until_interrupt=True)

    @property
    def timer(self) -> Timer:
        """Seconds as they pass for this board: its cycles, at the clock that its registers set."""
        return Timer(now=self._seconds, sleep=self._sleep, seconds=_COUNT_SECONDS)

    def _seconds(self) -> float:
        return self.engine.counts()[0]["cycles"] / (1e6 * self._true_mhz)

    def _sleep(self, seconds: float) -> None:
        self.engine.run(round(1e6 * self._true_mhz * seconds))

    @property
    def _true_mhz(self) -> float:
        return float(Clocks.fclk0_mhz) * self._settings.faults.crystal

    def _line(self) -> bool:
        """The interrupt line."""
        cut = self._settings.faults.no_interrupt
        return not cut and self._engine is not None and self._engine.interrupt

    @property
    def engine(self) -> EngineModel:
        """The loaded engine; RuntimeError before an overlay is loaded."""
        if self._engine is None:
            raise RuntimeError("bus error: no overlay is loaded")
        return self._engine

    def _read_engine(self, offset: int) -> int:
        self.engine.run(self._settings.access_cycles)
        value = self.engine.read(offset)
        forged = self._settings.faults.identity
        is_identity = self._overlay is not None and offset == self._overlay.identity_offset
        return value if forged is None or not is_identity else forged

    def _write_engine(self, offset: int, value: int) -> None:
        self.engine.run(self._settings.access_cycles)
        if offset == _CONTROL and self._settings.faults.deaf_to_abort:
            value &= ~_ABORT
        if offset == _CONTROL and value & _START:
            self.engine.begin()
        self.engine.write(offset, value)

    def _map(self, parser: Any) -> None:
        """Addresses as the .hwh has them, and the interrupt's way to the processor."""
        spans = {
            address["phys_addr"]: range(address["phys_addr"], address["phys_addr"] + address["addr_range"])
            for address in parser.ip_dict.values()
            if "phys_addr" in address
        }
        self._engine_span = spans.get(self._model.registers, range(0))
        self._intc_span = spans.get(self._model.interrupts, range(0))
        for controller in parser.interrupt_controllers.values():
            _InterruptController._uio_devices[controller["raw_irq"]] = InterruptDevice(self._intc, self.run)


class RegisterWindow:
    """Registers from an address on, as pynq's MMIO and RegisterMap use an array of them."""

    def __init__(self, device: SimulatedDevice, base: int, length: int) -> None:
        self._device = device
        self._base = base
        self._words = length // _WORD_BYTES

    def __len__(self) -> int:
        return self._words

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            first, last, _ = index.indices(self._words)
            return RegisterWindow(
                self._device, self._base + first * _WORD_BYTES, (last - first) * _WORD_BYTES
            )
        return np.uint32(self._device.bus_read(self._address(index)))

    def __setitem__(self, index: int, value: Any) -> None:
        self._device.bus_write(self._address(index), int(value) & 0xFFFF_FFFF)

    def view(self, dtype: Any) -> RegisterWindow:
        """The same registers; only 32-bit ones exist."""
        if np.dtype(dtype).itemsize != _WORD_BYTES:
            raise TypeError(f"registers are 32 bits wide, not {np.dtype(dtype)}")
        return self

    def _address(self, index: int) -> int:
        if not 0 <= index < self._words:
            raise IndexError(f"register {index} of {self._words}")
        return self._base + int(index) * _WORD_BYTES


def activate(board: str, settings: SimulationSettings | None = None) -> SimulatedDevice:
    """Make a simulated board the device that pynq uses from now on."""
    device = SimulatedDevice(board_model(board), settings or SimulationSettings())
    Device.active_device = device
    Clocks.device = device
    if hasattr(Clocks, "_real_instance"):  # of another board, kept by pynq
        del Clocks._real_instance
    _InterruptController._controllers.clear()
    return device
