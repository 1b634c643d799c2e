"""Sparsity to reach at each step."""

from __future__ import annotations

from dataclasses import dataclass

from bitlathe.model.graph.errors import FormatError


@dataclass(frozen=True, slots=True, kw_only=True)
class CubicSchedule:
    """Sparsity that rises fast at first, while there are many spare weights, and settles at `final`.

    s(t) = final + (initial - final) * (1 - (t - begin) / (end - begin)) ** 3 between `begin` and `end`.
    Raises FormatError for settings without meaning. Source: Zhu and Gupta 2017, arXiv:1710.01878, section 3.

    >>> schedule = CubicSchedule(final=0.8, begin=0, end=100)
    >>> [round(schedule.sparsity(step), 3) for step in (0, 50, 100, 200)]
    [0.0, 0.7, 0.8, 0.8]
    """

    final: float  # share of weights that are 0 in the end, 0 <= final < 1
    begin: int = 0  # step at which it starts to rise
    end: int  # step at which `final` is reached
    initial: float = 0.0
    every: int = 100  # steps between updates of the masks

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.final < 1:
            raise FormatError(
                f"schedule: sparsity from {self.initial} to {self.final}; give 0 <= initial <= final < 1"
            )
        if not 0 <= self.begin <= self.end or self.every < 1:
            raise FormatError(
                f"schedule: steps {self.begin} to {self.end} every {self.every}; "
                "give 0 <= begin <= end and every >= 1"
            )

    def sparsity(self, step: int) -> float:
        """Share of weights to be 0 after `step` steps."""
        if step >= self.end:
            return self.final
        done = max(0, step - self.begin) / max(1, self.end - self.begin)
        return self.final + (self.initial - self.final) * (1 - done) ** 3

    def is_due(self, step: int) -> bool:
        """Whether the masks are to be updated after `step` steps."""
        inside = self.begin <= step <= self.end
        return inside and ((step - self.begin) % self.every == 0 or step == self.end)
