"""One verilated engine as a Python object: registers, interrupt, memory timing, counters and injected faults.

Calls of the library release the interpreter's lock, so models of several threads run at once.
"""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from bitlathe.hls.sim.memory import SimulatedDdr
from bitlathe.model.graph.errors import BitlatheError, ToolError

REGISTER_LIMIT = 1000  # cycles a register access may take
_SETTLE_CYCLES = 16  # between two looks at what is outstanding
_WORD = ctypes.c_uint64


class BusError(BitlatheError):
    """A register access was refused or not answered, or the engine broke a rule of its bus."""


class AxiChannel(IntEnum):
    """Channels of the AXI4 master."""

    AR = 0
    R = 1
    AW = 2
    W = 3
    B = 4


class Response(IntEnum):
    """AXI responses other than OKAY."""

    SLVERR = 2
    DECERR = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Counts of the harness since the last clear, by name (see harness.cpp)."""

    statistics: Mapping[str, int]
    violations: Mapping[str, int]  # of the AXI rules and of SystemVerilog assertions

    @property
    def broken(self) -> dict[str, int]:
        """Violations that happened."""
        return {name: count for name, count in self.violations.items() if count}


class Model:
    """An engine out of reset, with `memory` behind its AXI4 master."""

    def __init__(
        self, library: Path, memory: NDArray[np.uint8], ddr: SimulatedDdr, *, random_seed: int = 0
    ) -> None:
        self._library = _load(library)
        self._handle = self._library.sim_new(random_seed)
        self.attach(memory, ddr.base)
        percent = (ctypes.c_int32 * len(AxiChannel))(*[ddr.stall_percent] * len(AxiChannel))
        self._library.sim_configure(
            self._handle, ddr.latency, ddr.write_latency, ddr.outstanding, ddr.slots, percent
        )
        self._library.sim_order_writes(self._handle, ddr.write_order, ddr.response_bunch)

    def attach(self, memory: NDArray[np.uint8], base: int) -> None:
        """Put a memory behind the master; the engine keeps its state, windows allowed before are forgotten.

        The array stays the caller's: both see every write of the other.
        """
        self._memory = memory  # kept alive, the harness holds its address
        self._library.sim_attach(self._handle, memory.ctypes.data, base, memory.nbytes)

    def close(self) -> None:
        """Free the model; it can't be used afterwards."""
        if self._handle:
            self._library.sim_free(self._handle)
        self._handle = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Nothing to free where the library could not be loaded.
        if getattr(self, "_handle", None):
            self.close()

    def reset(self, cycles: int = 8) -> None:
        """Hold the engine's reset for some cycles; the memory keeps running and answers earlier requests."""
        self._library.sim_reset(self._handle, cycles)

    def read(self, offset: int) -> int:
        """A register's 32 bits; BusError when the engine refuses or does not answer."""
        data = ctypes.c_uint32()
        status = self._library.sim_read(self._handle, offset, ctypes.byref(data), REGISTER_LIMIT)
        _check_register(status, "read", offset)
        return data.value

    def write(self, offset: int, value: int) -> None:
        """Write a register; BusError when the engine refuses or does not answer."""
        status = self._library.sim_write(self._handle, offset, value, REGISTER_LIMIT)
        _check_register(status, "write", offset)

    def settle(self, limit: int) -> bool:
        """Run until the memory has answered every burst, at most `limit` cycles; whether it has."""
        for _ in range(0, limit, _SETTLE_CYCLES):
            if not self.counters().statistics["outstanding"]:
                return True
            self.run(_SETTLE_CYCLES, until_interrupt=False)
        return not self.counters().statistics["outstanding"]

    def run(self, limit: int, *, until_interrupt: bool = True) -> int:
        """Cycles run: `limit`, or fewer when the interrupt line rose."""
        return int(self._library.sim_run(self._handle, limit, until_interrupt))

    @property
    def interrupt(self) -> bool:
        """The interrupt line."""
        return bool(self._library.sim_irq(self._handle))

    def seed(self, seed: int) -> None:
        """Restart the memory's patterns of busy and stalled cycles."""
        self._library.sim_seed(self._handle, seed)

    def allow(self, low: int, high: int, *, write: bool) -> None:
        """Count bursts outside `low`..`high - 1`, and outside all windows allowed before, as stray."""
        self._library.sim_allow(self._handle, write, low, high)

    def inject(self, response: Response, low: int, high: int, *, write: bool) -> None:
        """Answer beats to addresses `low`..`high - 1` with an error."""
        self._library.sim_inject(self._handle, write, low, high, response)

    def hang(self, channel: AxiChannel, after: int) -> None:
        """Let a channel of the memory fall silent after some more handshakes."""
        self._library.sim_hang(self._handle, channel, after)

    def clear_injections(self) -> None:
        """Answer everything properly again."""
        self._library.sim_clear_injections(self._handle)

    def trace(self, path: Path) -> None:
        """Write a VCD file from now on; ToolError for a library built without."""
        if not self._library.sim_trace(self._handle, os.fsencode(path)):
            raise ToolError(f"cannot write {path}: this simulator was built without BuildOptions(trace=True)")

    def counters(self, *, clear: bool = False) -> Counters:
        """The counts so far."""
        statistics, violations = _names(self._library)
        counts = (_WORD * (len(statistics) + len(violations)))()
        self._library.sim_counts(self._handle, counts)
        if clear:
            self._library.sim_clear_counts(self._handle)
        return Counters(
            statistics=dict(zip(statistics, counts, strict=False)),
            violations=dict(zip(violations, counts[len(statistics) :], strict=True)),
        )


def _check_register(status: int, verb: str, offset: int) -> None:
    if status < 0:
        raise BusError(
            f"register {verb} at {offset:#04x}: no answer in {REGISTER_LIMIT} cycles; reset the engine"
        )
    if status:
        raise BusError(f"register {verb} at {offset:#04x} answered with error {status}; no such register")


@cache
def _load(library: Path) -> ctypes.CDLL:
    """Library with the types of its functions; the path names the contents, so one load serves all."""
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolError(f"cannot load {library}: {error}; delete it to build it again") from error
    handle, integer, word = ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32
    for name, result, arguments in (
        ("sim_new", handle, (integer,)),
        ("sim_attach", None, (handle, ctypes.c_void_p, _WORD, _WORD)),
        ("sim_free", None, (handle,)),
        ("sim_reset", None, (handle, integer)),
        ("sim_irq", integer, (handle,)),
        ("sim_read", integer, (handle, word, ctypes.POINTER(word), integer)),
        ("sim_write", integer, (handle, word, word, integer)),
        ("sim_run", _WORD, (handle, _WORD, integer)),
        ("sim_configure", None, (handle, integer, integer, integer, word, ctypes.POINTER(ctypes.c_int32))),
        ("sim_order_writes", None, (handle, integer, integer)),
        ("sim_seed", None, (handle, _WORD)),
        ("sim_allow", None, (handle, integer, _WORD, _WORD)),
        ("sim_inject", None, (handle, integer, _WORD, _WORD, integer)),
        ("sim_hang", None, (handle, integer, ctypes.c_int64)),
        ("sim_clear_injections", None, (handle,)),
        ("sim_trace", integer, (handle, ctypes.c_char_p)),
        ("sim_count_names", ctypes.c_char_p, ()),
        ("sim_counts", None, (handle, ctypes.POINTER(_WORD))),
        ("sim_clear_counts", None, (handle,)),
    ):
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def _names(library: ctypes.CDLL) -> tuple[list[str], list[str]]:
    statistics, violations = library.sim_count_names().decode().split(";")
    return statistics.split(), violations.split()
