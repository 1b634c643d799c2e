"""Who may hold a connection to the agent, and for how long.

A connection is a stranger's until its head was read and has the token, then a guest's. Strangers take no
guest's place, and where there are too many of them the one that has waited longest leaves: a sender that is
slow on purpose makes way for one that is not.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """How many connections, and how patient the agent is with each."""

    strangers: int = 64
    of_one_address: int = 32  # strangers
    guests: int = 64
    head_seconds: float = 10.0  # for a whole head
    idle_seconds: float = 20.0  # until the next byte
    body_seconds: float = 20.0  # for a whole body, besides what its length allows
    body_rate: int = 1 << 16  # bytes a second, at least
    refused_seconds: float = 2.0  # for the rest of what was refused
    answer_seconds: float = 20.0  # for the client to take an answer

    def seconds_for(self, length: int) -> float:
        """Seconds for a body of `length` bytes."""
        return self.body_seconds + length / self.body_rate


class TooSlow(Exception):
    """A sender took longer than it may."""


class ClientGone(Exception):
    """A connection has ended, so that nothing more can be said on it."""


@contextmanager
def talking() -> Iterator[None]:
    """Tell the end of a connection from all other errors of the system, which are not the client's."""
    try:
        yield
    except OSError as error:
        raise ClientGone(str(error)) from error


class TimedStream(io.RawIOBase):
    """What a connection sends within the seconds that it was granted; only time spent waiting for it counts.

    A sender that is silent for `idle_seconds` has none left.
    """

    def __init__(
        self,
        connection: socket.socket,
        idle_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._left = 0.0

    def grant(self, seconds: float) -> None:
        """Give the sender so many seconds from now on, for all of what is read next."""
        self._left = seconds

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes; TooSlow when the seconds are over, ClientGone when the connection broke."""
        if self._left <= 0:
            raise TooSlow
        began = self._clock()
        with talking():
            try:
                self._connection.settimeout(min(self._left, self._idle_seconds))
                return self._connection.recv_into(buffer)
            except TimeoutError as error:
                raise TooSlow from error
            finally:
                self._left -= self._clock() - began


class Door:
    """The connections that are open."""

    def __init__(self, limits: DoorLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, str] = {}  # to their address, in the order they came
        self._guests: set[socket.socket] = set()

    def enter(self, connection: socket.socket, address: str) -> None:
        """Let a stranger in; where that is one too many, hang up on the one that has waited longest."""
        with self._lock:
            while (leaving := self._leaving(address)) is not None:
                del self._strangers[leaving]
                _hang_up(leaving)
            self._strangers[connection] = address

    def admit(self, connection: socket.socket) -> bool:
        """Make a stranger a guest, if there is room and nobody has hung up on it."""
        with self._lock:
            if connection not in self._strangers or len(self._guests) >= self._limits.guests:
                return False
            del self._strangers[connection]
            self._guests.add(connection)
            return True

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection that ends."""
        with self._lock:
            self._strangers.pop(connection, None)
            self._guests.discard(connection)

    def is_open(self, connection: socket.socket) -> bool:
        """Whether nobody has hung up on a connection."""
        with self._lock:
            return connection in self._strangers or connection in self._guests

    def _leaving(self, address: str) -> socket.socket | None:
        """The stranger who must go before another of an address comes in."""
        counts = Counter(self._strangers.values())
        if counts[address] >= self._limits.of_one_address:
            crowded = address
        elif len(self._strangers) >= self._limits.strangers:
            crowded = counts.most_common(1)[0][0]
        else:
            return None
        return next(each for each, its_address in self._strangers.items() if its_address == crowded)


def _hang_up(connection: socket.socket) -> None:
    """Let the thread that waits for a connection find its end, and answer."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return  # it has ended by itself
