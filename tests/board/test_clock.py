"""The fabric never runs faster than its design closed at, and latencies are divided by a true clock."""

from __future__ import annotations

from itertools import count

import pytest

from bitlathe.board.clock import check_counted, counted_mhz, settle_clock
from bitlathe.board.errors import ClockError


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
    readings, seconds = iter([0xFFFF_FF00, 19_999_744]), count(10.0, 0.2)
    assert counted_mhz(lambda: next(readings), lambda _: None, lambda: next(seconds)) == pytest.approx(100)


def test_a_clock_that_the_counter_contradicts_is_refused() -> None:
    check_counted(100, 98)
    with pytest.raises(
        ClockError, match=r"reads 100 MHz, but the engine counts 66\.0 million cycles a second"
    ):
        check_counted(100, 66)
