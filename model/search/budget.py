"""The most that one image may take on the hardware."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from bitlathe.model.graph.files.settings import WrongValue

BUDGETS = ("budget_ms", "budget_cycles")  # how users name one


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBudget:
    """A bound in milliseconds or in cycles; a network that takes as much or less meets it."""

    limit: float
    in_cycles: bool  # else in milliseconds

    @classmethod
    def of(cls, budget_ms: float | None, budget_cycles: float | None) -> LatencyBudget | None:
        """The budget that a user gave in one of two units, None for neither; WrongValue for nonsense."""
        given = zip(BUDGETS, (budget_ms, budget_cycles), strict=True)
        bounds = {key: limit for key, limit in given if limit is not None}
        for key, limit in bounds.items():
            if not 0 < limit < inf:
                raise WrongValue(key, f"is {limit:g}; give more than 0")
        if len(bounds) > 1:
            raise WrongValue("budget_cycles", "stands beside `budget_ms`; give one of them")
        made = [cls(limit=limit, in_cycles=key == "budget_cycles") for key, limit in bounds.items()]
        return made[0] if made else None

    @property
    def key(self) -> str:
        """How a user names it."""
        return BUDGETS[self.in_cycles]

    @property
    def as_setting(self) -> dict[str, float]:
        """It as a user writes it."""
        return {self.key: self.limit}

    def spent(self, cycles: int, milliseconds: float) -> float:
        """Share of the budget that an image takes; above 1 it is missed.

        >>> LatencyBudget(limit=500, in_cycles=True).spent(750, 0.005)
        1.5
        """
        return self._taken(cycles, milliseconds) / self.limit

    def is_met(self, cycles: int, milliseconds: float) -> bool:
        """Whether an image takes no more."""
        return self._taken(cycles, milliseconds) <= self.limit

    def told(self, cycles: int, milliseconds: float) -> str:
        """What an image takes, in the budget's unit.

        >>> LatencyBudget(limit=0.005, in_cycles=False).told(900, 0.006)
        '0.006 ms'
        """
        return self._words(self._taken(cycles, milliseconds))

    def verdict(self, cycles: int, milliseconds: float) -> str:
        """Whether it is met, in words, and else by how much it is missed.

        >>> LatencyBudget(limit=500, in_cycles=True).verdict(750, 0.005)
        'missed by 250 cycles (50.00 %): 750 cycles'
        """
        takes = self.told(cycles, milliseconds)
        if self.is_met(cycles, milliseconds):
            return f"met: {takes}"
        over = self._words(self._taken(cycles, milliseconds) - self.limit)
        return f"missed by {over} ({100 * (self.spent(cycles, milliseconds) - 1):.2f} %): {takes}"

    def to_json(self, cycles: int, milliseconds: float) -> dict[str, float | bool]:
        """The budget, whether an image meets it, and the share of the budget by which it misses."""
        is_met = self.is_met(cycles, milliseconds)
        missed_by = 0.0 if is_met else self.spent(cycles, milliseconds) - 1
        return {"cycles" if self.in_cycles else "ms": self.limit, "met": is_met, "missed_by": missed_by}

    def __str__(self) -> str:
        return self._words(self.limit)

    def _taken(self, cycles: int, milliseconds: float) -> float:
        return cycles if self.in_cycles else milliseconds

    def _words(self, amount: float) -> str:
        return f"{amount:,.12g} cycles" if self.in_cycles else f"{amount:.6g} ms"
