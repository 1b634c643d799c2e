"""The fabric never runs faster than its design closed at, and latencies are divided by a true clock."""

from __future__ import annotations

import pytest

from bitlathe.board.clock import Timer, check_counted, counted_mhz, settle_clock
from bitlathe.board.errors import ClockError


class FakeClock:
    """A fabric's counter beside a processor's clock; a reading takes a microsecond, or a pause as well."""

    def __init__(self, mhz: float, started: int = 0, pauses: dict[int, float] | None = None) -> None:
        self.seconds, self._mhz, self._started, self._pauses = 10.0, mhz, started, pauses or {}
        self._readings = 0
        self.timer = Timer(now=lambda: self.seconds, sleep=self.wait, seconds=0.05)

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def read(self) -> int:
        self.wait(5e-7)
        value = self._started + round((self.seconds - 10) * self._mhz * 1e6)
        self.wait(5e-7 + self._pauses.get(self._readings, 0))
        self._readings += 1
        return value % (1 << 32)


def closest(source_mhz: float, asked: float) -> float:
    """What pynq does: the divisor that comes closest, faster or slower."""
    return min((source_mhz / divisor for divisor in range(1, 64)), key=lambda clock: abs(clock - asked))


@pytest.mark.parametrize(
    ("source", "closed", "settled"),
    [
        (1000, 150, 1000 / 7),  # 142.9 is closer than 166.7
        (1500, 200, 1500 / 8),  # 214.3 is closer than 187.5, and too fast
        (1499.985, 250, 1499.985 / 6),
        (1000, 100, 100),
    ],
)
def test_a_clock_settles_at_the_fastest_safe_one(source: float, closed: float, settled: float) -> None:
    assert settle_clock(closed, lambda mhz: closest(source, mhz)) == pytest.approx(settled)


def test_a_clock_that_stays_too_fast_is_refused() -> None:
    with pytest.raises(
        ClockError, match="reads 200 MHz whatever is asked for, the design works up to 150 MHz"
    ):
        settle_clock(150, lambda _: 200.0)


def test_cycles_are_counted_across_the_wrap_of_the_counter() -> None:
    clock = FakeClock(mhz=100, started=0xFFFF_FF00)
    assert counted_mhz(clock.read, clock.timer) == pytest.approx(100)


def test_a_process_that_is_interrupted_while_it_reads_counts_the_same_clock() -> None:
    clock = FakeClock(mhz=100, pauses={0: 0.004, 2: 0.001, 6: 0.010})
    assert counted_mhz(clock.read, clock.timer) == pytest.approx(100, rel=1e-4)


def test_a_clock_that_the_counter_contradicts_is_refused() -> None:
    check_counted(100, 99.2)
    check_counted(100, None)  # an engine without a counter
    with pytest.raises(ClockError, match="so no latency is given"):
        check_counted(100, 98.5)
    with pytest.raises(
        ClockError, match=r"reads 100 MHz, but the engine counts 66\.0 million cycles a second"
    ):
        check_counted(100, 66)
