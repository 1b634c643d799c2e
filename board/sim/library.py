"""The compiled simulator behind its C interface, which hls/sim/harness.cpp describes, loaded with ctypes."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitlathe.board.errors import DeviceError
from bitlathe.board.sim.settings import Faults, MemoryChannel, MemoryTiming

ACCESS_LIMIT = 1000  # cycles a register access may take
DECERR = 3
SLOT_UNITS = 1 << 16
_WORD = ctypes.c_uint64


class EngineModel:
    """One engine out of reset, with a memory behind its master port."""

    def __init__(self, library: Path, dram: NDArray[np.uint8], base: int, memory: MemoryTiming) -> None:
        self._dram = dram  # kept alive: the library holds its address
        self._library = _load(str(library))
        self._seed = memory.seed
        self._handle = self._library.sim_new(0)
        self._library.sim_attach(self._handle, dram.ctypes.data, base, dram.nbytes)
        stalls = (ctypes.c_int32 * len(MemoryChannel))(*[memory.stall_percent] * len(MemoryChannel))
        slots = max(1, round(memory.busy * SLOT_UNITS))
        self._library.sim_configure(
            self._handle, memory.latency, memory.write_latency, memory.outstanding, slots, stalls
        )
        self.begin()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.sim_free(self._handle)

    def begin(self) -> None:
        """Restart the memory's patterns, so that equal starts take equal cycles."""
        self._library.sim_seed(self._handle, self._seed)

    def inject(self, faults: Faults, base: int) -> None:
        """Make the memory misbehave; addresses of the faults count from `base`."""
        for write, window in ((0, faults.refuse_reads), (1, faults.refuse_writes)):
            if window is not None:
                self._library.sim_inject(self._handle, write, base + window[0], base + window[1], DECERR)
        if faults.hang is not None:
            self._library.sim_hang(self._handle, *faults.hang)

    def heal(self) -> None:
        """Make the memory behave again."""
        self._library.sim_clear_injections(self._handle)

    def run(self, cycles: int, *, until_interrupt: bool = False) -> int:
        """Cycles run: `cycles`, or fewer when the interrupt line rose."""
        return int(self._library.sim_run(self._handle, cycles, until_interrupt))

    def read(self, offset: int) -> int:
        """A register's 32 bits."""
        data = ctypes.c_uint32()
        status = self._library.sim_read(self._handle, offset, ctypes.byref(data), ACCESS_LIMIT)
        _check(status, offset)
        return data.value

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        _check(self._library.sim_write(self._handle, offset, value, ACCESS_LIMIT), offset)

    @property
    def interrupt(self) -> bool:
        """The interrupt line."""
        return bool(self._library.sim_irq(self._handle))

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """The harness's counts since the reset, violations of the bus rules included."""
        plain, broken = (part.split() for part in self._library.sim_count_names().decode().split(";"))
        values = (_WORD * (len(plain) + len(broken)))()
        self._library.sim_counts(self._handle, values)
        return dict(zip(plain, values, strict=False)), dict(zip(broken, values[len(plain) :], strict=True))


def _check(status: int, offset: int) -> None:
    if status:
        why = "was not answered" if status < 0 else f"was refused with response {status}"
        raise RuntimeError(f"bus error: the register access at {offset:#x} {why}")


@cache
def _load(path: str) -> ctypes.CDLL:
    """The library with its types; the file's name holds its digest, so one load serves all."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise DeviceError(
            f"{path}: the simulator cannot be loaded ({error}); make the bundle on this machine"
        ) from error
    handle, integer, word = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
    for name, result, arguments in (
        ("sim_new", handle, (integer,)),
        ("sim_free", None, (handle,)),
        ("sim_attach", None, (handle, ctypes.c_void_p, _WORD, _WORD)),
        ("sim_irq", integer, (handle,)),
        ("sim_read", integer, (handle, word, ctypes.POINTER(word), integer)),
        ("sim_write", integer, (handle, word, word, integer)),
        ("sim_run", _WORD, (handle, _WORD, integer)),
        ("sim_configure", None, (handle, integer, integer, integer, word, ctypes.POINTER(ctypes.c_int32))),
        ("sim_seed", None, (handle, _WORD)),
        ("sim_inject", None, (handle, integer, _WORD, _WORD, integer)),
        ("sim_clear_injections", None, (handle,)),
        ("sim_hang", None, (handle, integer, ctypes.c_int64)),
        ("sim_count_names", ctypes.c_char_p, ()),
        ("sim_counts", None, (handle, ctypes.POINTER(_WORD))),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
