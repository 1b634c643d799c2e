"""The interrupt path of a simulated board: AXI interrupt controller and the Linux device behind it.

Registers of the controller: AMD product guide PG099.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_STATUS, _PENDING, _ENABLE = 0x00, 0x04, 0x08
_ACKNOWLEDGE, _SET_ENABLE, _CLEAR_ENABLE, _MASTER = 0x0C, 0x10, 0x14, 0x1C
CYCLES_A_TURN = 10_000  # fabric cycles that pass while Python waits in its event loop


class InterruptController:
    """Registers of an axi_intc with one level-sensitive input."""

    def __init__(self, line: Callable[[], bool]) -> None:
        self._line = line
        self._latched = 0
        self._enabled = 0
        self._master = 0

    @property
    def output(self) -> bool:
        """The line to the processor."""
        self._latch()
        return bool(self._latched & self._enabled) and self._master & 1 == 1

    def read(self, offset: int) -> int:
        """A register."""
        self._latch()
        values = {
            _STATUS: self._latched,
            _PENDING: self._latched & self._enabled,
            _ENABLE: self._enabled,
            _MASTER: self._master,
        }
        return values.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == _ENABLE:
            self._enabled = value
        elif offset == _SET_ENABLE:
            self._enabled |= value
        elif offset == _CLEAR_ENABLE:
            self._enabled &= ~value
        elif offset == _ACKNOWLEDGE:
            self._latched &= ~value
        elif offset == _MASTER:
            self._master = value

    def _latch(self) -> None:
        self._latched |= self._line()


class InterruptDevice:
    """Stands for the Linux device of the processor's interrupt: lets the fabric run while asyncio waits."""

    def __init__(self, controller: InterruptController, run: Callable[[int], None]) -> None:
        self._controller = controller
        self._run = run
        self._waiting: list[Any] = []

    def add_event(self, event: Any, _number: int) -> None:
        """Set `event` when the interrupt comes."""
        self._waiting.append(event)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        if self._controller.output:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                event.set()
        else:
            self._run(CYCLES_A_TURN)
            asyncio.get_running_loop().call_soon(self._turn)
