"""The simulated board's memory: what Python sees and what the engine sees are two copies.

Only a flush carries bytes to the engine and only an invalidate carries them back, so a program that forgets
one fails here every time, not now and then on a board.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pynq.buffer import PynqBuffer

from bitlathe.board.sim.settings import Faults

PAGE_BYTES = 4096
SMALLEST_BYTES = 8192  # of a buffer, as the boards' driver has it
HOST_POISON, DRAM_POISON = 0x3C, 0xC3  # what nobody wrote; different, so that a mix-up shows


class SimulatedMemory:
    """Buffers for `pynq.allocate`, first fit on page boundaries."""

    def __init__(self, device: Any, base: int, size: int, faults: Faults) -> None:
        self._device = device
        self._faults = faults
        self._flushes = self._invalidates = 0
        self.base = base
        self.host = np.full(size, HOST_POISON, np.uint8)
        self.dram = np.full(size, DRAM_POISON, np.uint8)
        self._used: dict[int, int] = {}  # start -> size of the buffers that are out

    def allocate(self, shape: Any, dtype: Any, **_: Any) -> PynqBuffer:
        """A buffer; RuntimeError when memory is full, as the boards' driver raises."""
        wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
        size = max(SMALLEST_BYTES, -(-wanted // PAGE_BYTES) * PAGE_BYTES)
        start = self._first_fit(size)
        self._used[start] = size
        buffer = PynqBuffer(
            shape,
            dtype,
            buffer=self.host.data[start : start + wanted],
            device=self._device,
            device_address=self.base + start,
            bo=start,
            coherent=False,
        )
        # `freed` keeps a second free from libc, which pynq has on the boards only.
        buffer.memory, buffer.pointer, buffer.return_to, buffer.freed = self, (start, size), self, True
        return buffer

    def return_pointer(self, pointer: tuple[int, int]) -> None:
        """Take a buffer back."""
        self._used.pop(pointer[0], None)

    def flush(self, start: int) -> None:
        """Bring a buffer's bytes to the engine; the whole buffer, as the boards do it."""
        self._flushes += 1
        if self._is_lost(self._flushes, self._faults.lost_flushes):
            return
        self._sync(self.host, self.dram, start)
        wrong = self._faults.wrong_bit
        if wrong is not None and start <= wrong < start + self._used[start]:
            self.dram[wrong] ^= 1

    def invalidate(self, start: int) -> None:
        """Bring what the engine wrote to Python."""
        self._invalidates += 1
        if not self._is_lost(self._invalidates, self._faults.lost_invalidates):
            self._sync(self.dram, self.host, start)

    @staticmethod
    def _is_lost(number: int, last_kept: int | None) -> bool:
        return last_kept is not None and number > last_kept

    def _sync(self, source: NDArray[np.uint8], target: NDArray[np.uint8], start: int) -> None:
        end = start + self._used[start]
        target[start:end] = source[start:end]

    def _first_fit(self, size: int) -> int:
        start = 0
        for used, length in sorted(self._used.items()):
            if used - start >= size:
                break
            start = used + length + PAGE_BYTES  # a page between buffers, so that an overrun hits none
        if start + size > len(self.host):
            raise RuntimeError(
                f"allocation of {size} bytes failed: {len(self.host)} bytes of memory are in use"
            )
        return start
