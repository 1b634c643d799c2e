"""The fabric's clock: never above what the design closed at, and what it really is.

pynq takes the divisor that comes closest to what it is asked for, which may be a faster clock; and what
it reads back is computed from divisors and an assumed crystal. Here requests sink until the answer is safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bitlathe.board.errors import ClockError

TOLERANCE = 1e-4  # 33.333 MHz stands for a third of 100
STEP = 0.97  # of the request, when the divisor next to it is too fast
TRIES = 60
COUNT_TOLERANCE = 0.01  # by which counter and clock may differ; a latency of other clocks would be wrong
READINGS = 5  # of the counter, the quickest of which counts: a process may be interrupted between
COUNTER_RANGE = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Seconds that pass beside the fabric: the processor's, or a simulation's own."""

    now: Callable[[], float]
    sleep: Callable[[float], None]
    seconds: float  # over which a clock is counted: reading takes a thousandth of it at most


WALL = Timer(now=time.perf_counter, sleep=time.sleep, seconds=0.05)


def settle_clock(closed_mhz: float, ask: Callable[[float], float]) -> float:
    """Fastest clock at or below `closed_mhz` that `ask` answers; it sets a clock and reads it back, both MHz.

    ClockError when no request brings it down.

    >>> settle_clock(150, lambda mhz: min((100.0, 143.0, 167.0), key=lambda clock: abs(clock - mhz)))
    143.0
    """
    asked = got = closed_mhz
    for _ in range(TRIES):
        got = ask(asked)
        if 0 < got <= closed_mhz * (1 + TOLERANCE):
            return got
        asked *= STEP
    raise ClockError(
        f"the fabric's clock reads {got:g} MHz whatever is asked for, the design works up to "
        f"{closed_mhz:g} MHz; restart the board, or give it the boot image of its pynq version"
    )


def counted_mhz(read: Callable[[], int], timer: Timer = WALL) -> float:
    """Clock in MHz by the engine's free-running counter against a clock of seconds."""
    first, began = _reading(read, timer.now)
    timer.sleep(timer.seconds)
    last, ended = _reading(read, timer.now)
    return (last - first) % COUNTER_RANGE / (ended - began) / 1e6


def _reading(read: Callable[[], int], now: Callable[[], float]) -> tuple[int, float]:
    """The counter, and when it was read."""
    found = []
    for _ in range(READINGS):
        before, value, after = now(), read(), now()
        found.append((after - before, value, (before + after) / 2))
    _, value, at = min(found)
    return value, at


def disagreement(clock_mhz: float, counted: float) -> float:
    """Share of the read-back clock by which the counted one differs."""
    return abs(counted / clock_mhz - 1)


def check_counted(clock_mhz: float, counted: float | None) -> None:
    """ClockError when the counter and the read-back clock disagree: one would make latencies wrong."""
    if counted is not None and disagreement(clock_mhz, counted) > COUNT_TOLERANCE:
        raise ClockError(
            f"the clock reads {clock_mhz:g} MHz, but the engine counts {counted:.1f} million cycles "
            "a second; the boot image uses another crystal or PLL than pynq assumes, so no latency is given"
        )
