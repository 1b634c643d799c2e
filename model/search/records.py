"""Records of a search, one per candidate and per epoch, converted to plain values and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.ladder import Audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Measures of a network in the precision it would be deployed in."""

    merit: float  # by the metric on the judging images, negated where less is better: top-1 in 0..1
    cycles: int  # per image, on the highest rung of the ladder
    latency_ms: float
    macs: int  # multiply-accumulates per image
    size_bytes: int  # of its compact file
    channels: int  # output channels of all layers with multiply-accumulates

    @property
    def accuracy(self) -> float:
        """The merit, by the name that it has for classifiers."""
        return self.merit

    def meets(self, budget: LatencyBudget) -> bool:
        """Whether it takes no more than the budget."""
        return budget.is_met(self.cycles, self.latency_ms)

    def spends(self, budget: LatencyBudget) -> float:
        """Share of the budget that it takes."""
        return budget.spent(self.cycles, self.latency_ms)

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Measures:
        """Measures of `to_json`, or of an earlier version's, where the merit was called accuracy."""
        return cls(**{"merit" if name == "accuracy" else name: value for name, value in plain.items()})


class TrialStage(Enum):
    """How far a candidate had been trained when it was scored."""

    PROBE = "probe"  # a part of the epoch
    EPOCH = "epoch"  # all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """One candidate as it was scored."""

    epoch: int  # from 1
    method: str
    stage: TrialStage
    score: float | None  # by the rule; None if it failed
    measures: Measures | None
    loss: float  # mean over the steps trained at this stage
    steps: int  # trained at this stage
    seconds: float  # wall time, judging included
    failure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"stage": self.stage.value}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> CandidateRecord:
        """A record of `to_json`."""
        return cls(
            **(plain | {"stage": TrialStage(plain["stage"]), "measures": _measures(plain["measures"])})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch: what was tried, what was chosen, and how well cheaper measurements predicted it."""

    epoch: int  # from 1
    choice: str
    measures: Measures  # of the winner after the whole epoch
    candidates: tuple[CandidateRecord, ...]
    agreement: float | None  # Kendall's tau of probes and whole epochs, if both were run
    audits: tuple[Audit, ...]  # of the ladder's lower rungs, on the winner
    seconds: float
    removed_channels: int  # so far
    widths: dict[str, int] = field(default_factory=dict)  # output channels of each weighted layer
    bits: dict[str, tuple[int, int]] = field(default_factory=dict)  # bits of its weights and its output

    @property
    def steps(self) -> int:
        """Training steps of all candidates."""
        return sum(candidate.steps for candidate in self.candidates)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"candidates": [c.to_json() for c in self.candidates]}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> EpochRecord:
        """A record of `to_json`."""
        return cls(
            **(
                plain
                | {
                    "measures": Measures.from_json(plain["measures"]),
                    "candidates": tuple(map(CandidateRecord.from_json, plain["candidates"])),
                    "audits": tuple(Audit(**audit) for audit in plain["audits"]),
                    "bits": {name: tuple(pair) for name, pair in plain["bits"].items()},
                }
            )
        )


def _measures(plain: dict[str, Any] | None) -> Measures | None:
    return None if plain is None else Measures.from_json(plain)
